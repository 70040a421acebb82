//! The client as its users see it.

mod close;
#[path = "../common/mod.rs"]
mod common;
mod connect;
mod emit;
mod hello;
mod hooks;
mod net;
mod outage;
mod receive;
mod wake;
