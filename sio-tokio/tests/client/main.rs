//! The client as its users see it.

#[path = "../common/mod.rs"]
mod common;
mod hello;
mod net;
mod wake;
