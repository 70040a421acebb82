//! A chat: rooms, who is typing, images as binary, acknowledged messages, and its web page, all on one port.
//!
//! `cargo run -p sio-smol --example smol_chat`, then open the page in two windows. `README.md` of `examples/chat` of sio-tokio has the protocol.
//!
//! Only the lines in this file are about smol.

#[path = "../../sio-tokio/examples/chat/server/mod.rs"]
mod server;

use std::process::ExitCode;

use sio_smol as sio;
use sio_smol::Io;
use smol::net::TcpListener;

fn main() -> ExitCode {
    match smol::block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), sio::Error> {
    let listener = TcpListener::bind(server::address()?).await?;
    let accept = async || listener.accept().await.map(|(stream, remote)| (Io(stream), remote));
    let spawn = |task| smol::spawn(task).detach();
    server::run(listener.local_addr()?, accept, spawn).await
}
