//! Tests of `sio-tokio` against programs that we did not write.
//!
//! | Peer | Where | Run by |
//! |---|---|---|
//! | the official client, `socket.io-client` from npm, under node's own test runner | `js/test/*.test.js` | `tests/node_client.rs` |
//! | bytes written by hand over HTTP and WebSocket | [`raw`] | `tests/raw_http.rs` |
//! | the client of Socket.IO 2, `socket.io-client` 2.5, and the parser of its revision | `js/test/v2-*.test.js` | `tests/eio3.rs` |
//! | headless Chromium on the chat page | `js/browser/chat.js` | `tests/browser.rs`, `#[ignore]`d |
//!
//! The other way round, our client is tested against a server that is written twice, once with the official server and once
//! with ours: [`lab`]. [`odd`] is a server that does what no server should do, [`proxy`] a CONNECT proxy. `tests/lab.rs` is
//! the proof that these three are right.
//!
//! **The yardstick.** `js/reference-server.js` is the application of [`app`] written with the official server. The same
//! JavaScript tests and the same raw cases run against it in `tests/reference.rs`, so what they expect is what the
//! reference does. Where our server is safer on purpose, a raw case asks [`raw::Case::safer`].
//!
//! Needed: Rust and node (20 or later, with npm). The npm packages are installed on first use, by `npm ci`, into
//! `js/node_modules`. Every wait has a bound; all traffic stays on the loopback interface.

pub mod app;
pub mod lab;
pub mod node;
pub mod odd;
pub mod proxy;
pub mod raw;
pub mod target;
