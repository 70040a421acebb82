//! The server as its users and its clients see it.

mod acks;
mod close;
#[path = "../common/mod.rs"]
mod common;
mod connect;
mod crowd;
mod dynamic;
mod handlers;
mod http;
mod order;
mod panics;
mod pressure;
mod recovery;
mod rooms;
mod upgrade;
mod wake;
