//! One behaviour each; `Bn` is the behaviour's number in the notes on the JavaScript reference.

mod acks;
mod attacks;
#[path = "../common/mod.rs"]
mod common;
mod engine_client;
mod handshake;
mod heartbeat;
mod namespaces;
mod packets;
mod polling;
mod pressure;
mod rooms;
mod upgrade;
