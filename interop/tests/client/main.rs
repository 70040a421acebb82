//! Our client against the lab: npm `socket.io` on node and our own server, by polling, by WebSocket, and from one to the
//! other.

#[macro_use]
mod common;

mod acks;
mod bad_input;
mod binary;
mod events;
mod limits;
mod long_run;
mod namespaces;
mod proxies;
mod reconnection;
mod recovery;
mod requests;
mod retries;
mod tls;
