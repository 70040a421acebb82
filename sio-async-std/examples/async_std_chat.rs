//! A chat: rooms, who is typing, images as binary, acknowledged messages, and its web page, all on one port.
//!
//! `cargo run -p sio-async-std --example async_std_chat`, then open the page in two windows. `README.md` of `examples/chat` of sio-tokio has the protocol.
//!
//! Only the lines in this file are about async-std.

#[path = "../../sio-tokio/examples/chat/server/mod.rs"]
mod server;

use std::process::ExitCode;

use async_std::net::TcpListener;
use async_std::task;
use sio_async_std as sio;
use sio_async_std::{Connection, Io};

fn main() -> ExitCode {
    match task::block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), sio::Error> {
    let listener = TcpListener::bind(server::address()?).await?;
    let accept = async || listener.accept().await.map(|(stream, remote)| (Io(Connection(stream)), remote));
    let spawn = |task| drop(task::spawn(task));
    server::run(listener.local_addr()?, accept, spawn).await
}
