//! Clients of Socket.IO 2, which speak Engine.IO 3, against our server and against the reference: npm `socket.io-client` 2.5,
//! and requests by hand where that client cannot go without a browser.

use interop::{
    node::run_test_file,
    target::{Kind, Profile},
};

macro_rules! both {
    ($($name:ident: $profile:ident $file:literal)*) => {
        mod ours {
            use super::*;
            $(#[test] fn $name() { run_test_file(Kind::Ours, Profile::$profile, $file); })*
        }
        mod reference {
            use super::*;
            $(#[test] fn $name() { run_test_file(Kind::Reference, Profile::$profile, $file); })*
        }
    };
}

both! {
    client: Eio3 "v2-client"
    mixed: Eio3 "v2-mixed"
    heartbeat: Eio3Quick "v2-heartbeat"
    raw: Eio3 "v2-raw"
    refused: Default "v2-refused"
}
