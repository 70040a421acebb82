//! The raw cases against our server: bad input gets what the reference gives, and harms nobody else.

use interop::target::Kind;

interop::raw_case_tests!(Kind::Ours);
