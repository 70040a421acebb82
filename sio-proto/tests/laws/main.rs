//! The laws that every machine obeys, whatever happens to it:
//!
//! 1. *Progress*: after `handle_timeout(t)` and a drain, `poll_timeout()` is `None` or later than `t`.
//! 2. *Chunking*: how packets are grouped into bodies makes no difference.
//! 3. *Round trip*: `decode(encode(p)) == p`.
//! 4. *Safety*: no input panics, or makes a queue grow without bound.
//! 5. *Finality*: after the end there is no event and no deadline, and nothing is left.
//! 6. *Delivery*: what is accepted is sent once and in order, also across an upgrade, or counted as undelivered.
//! 7. *Determinism*: the same seed and inputs give the same outputs.

mod client;
mod cluster;
mod cluster_net;
mod codecs;
#[path = "../common/mod.rs"]
mod common;
mod conn;
mod engine_client;
mod harness;
mod hub;
mod server;
mod session;
