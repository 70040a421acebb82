//! The yardstick: the same JavaScript tests and the same raw cases against the official server. What fails here is a
//! wrong expectation, not a bug of ours.

use interop::target::Kind;

mod raw {
    use super::Kind;

    interop::raw_case_tests!(Kind::Reference);
}

mod node {
    use interop::{
        node::run_test_file,
        target::{Kind, Profile},
    };

    #[test]
    fn events() {
        run_test_file(Kind::Reference, Profile::Default, "events");
    }

    #[test]
    fn binary() {
        run_test_file(Kind::Reference, Profile::Default, "binary");
    }

    #[test]
    fn acks() {
        run_test_file(Kind::Reference, Profile::Default, "acks");
    }

    #[test]
    fn namespaces() {
        run_test_file(Kind::Reference, Profile::Default, "namespaces");
    }

    #[test]
    fn dynamic() {
        run_test_file(Kind::Reference, Profile::Default, "dynamic");
    }

    #[test]
    fn rooms() {
        run_test_file(Kind::Reference, Profile::Default, "rooms");
    }

    #[test]
    fn disconnect() {
        run_test_file(Kind::Reference, Profile::Default, "disconnect");
    }

    #[test]
    fn transports() {
        run_test_file(Kind::Reference, Profile::Default, "transports");
    }

    #[test]
    fn heartbeat() {
        run_test_file(Kind::Reference, Profile::Quick, "heartbeat");
    }

    #[test]
    fn reconnect() {
        run_test_file(Kind::Reference, Profile::Default, "reconnect");
    }

    #[test]
    fn many() {
        run_test_file(Kind::Reference, Profile::Default, "many");
    }

    #[test]
    fn recovery() {
        run_test_file(Kind::Reference, Profile::Recovery, "recovery");
    }
}
