//! A chat: rooms, who is typing, images as binary, acknowledged messages, and its web page, all on one port.
//!
//! `cargo run -p sio-tokio --example chat`, then open the page in two windows. `README.md` beside it has the protocol.
//!
//! Only the lines in this file are about tokio.

mod server;

use std::process::ExitCode;

use hyper_util::rt::TokioIo;
use sio_tokio as sio;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), sio::Error> {
    let listener = TcpListener::bind(server::address()?).await?;
    let accept = async || listener.accept().await.map(|(stream, remote)| (TokioIo::new(stream), remote));
    let spawn = |task| drop(tokio::spawn(task));
    server::run(listener.local_addr()?, accept, spawn).await
}
