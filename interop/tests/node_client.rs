//! The official client against our server: one test for each file of `js/test`.

use interop::{
    node::run_test_file,
    target::{Kind, Profile},
};

#[test]
fn events() {
    run_test_file(Kind::Ours, Profile::Default, "events");
}

#[test]
fn binary() {
    run_test_file(Kind::Ours, Profile::Default, "binary");
}

#[test]
fn acks() {
    run_test_file(Kind::Ours, Profile::Default, "acks");
}

#[test]
fn namespaces() {
    run_test_file(Kind::Ours, Profile::Default, "namespaces");
}

#[test]
fn dynamic() {
    run_test_file(Kind::Ours, Profile::Default, "dynamic");
}

#[test]
fn rooms() {
    run_test_file(Kind::Ours, Profile::Default, "rooms");
}

#[test]
fn disconnect() {
    run_test_file(Kind::Ours, Profile::Default, "disconnect");
}

#[test]
fn transports() {
    run_test_file(Kind::Ours, Profile::Default, "transports");
}

#[test]
fn heartbeat() {
    run_test_file(Kind::Ours, Profile::Quick, "heartbeat");
}

#[test]
fn reconnect() {
    run_test_file(Kind::Ours, Profile::Default, "reconnect");
}

#[test]
fn many() {
    run_test_file(Kind::Ours, Profile::Default, "many");
}

#[test]
fn recovery() {
    run_test_file(Kind::Ours, Profile::Recovery, "recovery");
}

/// Where the reference recovers nothing, or too much.
#[test]
fn recovery_beyond() {
    run_test_file(Kind::Ours, Profile::Recovery, "recovery-beyond");
}
