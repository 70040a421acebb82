//! One behaviour each; `Bn` is the behaviour's number in the notes on the JavaScript reference.

mod acks;
mod attacks;
mod client_buffer;
mod client_connect;
mod client_end;
mod client_faults;
mod client_network;
mod client_pressure;
mod client_reconnect;
mod client_recovery;
mod client_retries;
mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod dynamic;
mod eio3;
mod engine_client;
mod facts;
mod handshake;
mod heartbeat;
mod namespaces;
mod packets;
mod polling;
mod pressure;
mod recovery;
mod recovery_limits;
mod recovery_model;
mod rooms;
mod upgrade;
