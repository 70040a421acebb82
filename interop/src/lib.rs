//! Tests of our servers and clients against programs that we did not write. All are written once, and run on each runtime:
//! `tests/tokio.rs`, `tests/smol.rs` and `tests/async_std.rs` have the same tests ([`on!`], [`adapter`]).
//!
//! | What | Peer | Where |
//! |---|---|---|
//! | server | the official client, `socket.io-client` from npm, under node's own test runner | `js/test/*.test.js`, [`node`] |
//! | | the client of Socket.IO 2, `socket.io-client` 2.5, and the parser of its revision | `js/test/v2_*.test.js`, [`node`] |
//! | | both servers with the options of their HTTP front | [`front`], `js/http` |
//! | | bytes written by hand over HTTP and WebSocket | [`raw`] |
//! | client | a server that is written twice, once with the official server and once with ours: [`lab`] | [`client`] |
//! | | a server that does what no server should do: [`odd`]; a CONNECT proxy: [`proxy`] | [`client`] |
//! | chat | the example's clients in terminals, and its server | [`chat`] |
//! | | headless Chromium on its page | `js/browser/chat.js`, `tests/browser.rs`, `#[ignore]`d |
//!
//! `tests/lab.rs` is the proof that lab, odd server and proxy are right: hand-made bytes, and [stories](mod@stories) of the official client.
//!
//! **The yardstick.** `js/reference-server.js` is the application of [`app`] written with the official server. The same
//! JavaScript tests and the same raw cases run against it in `tests/reference.rs`, so what they expect is what the
//! reference does. Where our server is safer on purpose, a raw case asks [`raw::Case::safer`].
//!
//! Needed: Rust and node (20 or later, with npm). The npm packages are installed on first use, by `npm ci`, into
//! `js/node_modules`. Every wait has a bound; all traffic stays on the loopback interface.

pub mod adapter;
pub mod app;
pub mod chat;
pub mod client;
mod extras;
pub mod front;
pub mod lab;
pub mod node;
pub mod odd;
pub mod proxy;
pub mod raw;
pub mod stories;
pub mod target;

/// All tests of a runtime: `interop::on!(Smol);`
#[macro_export]
macro_rules! on {
    ($adapter:ident) => {
        mod client {
            interop::client_tests!($adapter);
        }

        mod node_client {
            interop::node_client_tests!(super::ours());
            // Where the reference recovers nothing, or too much.
            interop::node_client_tests!(super::ours(), Recovery: recovery_beyond);
            interop::node_client_tests!(super::ours(), MsgpackEio3: msgpack_beyond);
            // Where the reference does everything at once.
            interop::node_client_tests!(super::ours(), Default: extras_beyond);
        }

        mod raw_http {
            interop::raw_case_tests!(super::ours());
        }

        mod http_front {
            interop::front_tests!($adapter);
        }

        mod lab {
            interop::stories!(Ours);
        }

        mod chat {
            #[test]
            fn two_people_chat_in_terminals_and_the_server_restarts() {
                interop::chat::across_a_restart(interop::adapter::Adapter::$adapter);
            }
        }

        /// Our server.
        fn ours() -> interop::target::Kind {
            interop::adapter::Adapter::$adapter.run_here();
            interop::target::Kind::Ours
        }
    };
}
