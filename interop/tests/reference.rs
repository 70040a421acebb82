//! The yardstick: the same JavaScript tests and the same raw cases against the official server. What fails here is a
//! wrong expectation, not a bug of ours.

use interop::target::Kind;

mod raw {
    use super::Kind;

    interop::raw_case_tests!(Kind::Reference);
}

mod node {
    use super::Kind;

    interop::node_client_tests!(Kind::Reference);
}
