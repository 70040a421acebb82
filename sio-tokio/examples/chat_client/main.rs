//! The chat in a terminal: talks to the server of `examples/chat`, beside its web page.
//!
//! `cargo run -p sio-tokio --example chat_client -- Ann lobby http://127.0.0.1:3000`
//!
//! What is typed is sent, also while the server is away: it arrives when the server is back. `/room NAME` moves, `/image FILE` sends an
//! image, `/quit` leaves.
//!
//! Only the lines in this file are about tokio.

mod terminal;

use std::process::ExitCode;

use futures_util::stream::unfold;
use sio_tokio as sio;
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[tokio::main]
async fn main() -> ExitCode {
    let lines = unfold(BufReader::new(tokio::io::stdin()).lines(), async |mut lines| {
        lines.next_line().await.transpose().map(|line| (line, lines))
    });
    let spawn = |task| drop(tokio::spawn(task));
    match terminal::run(lines, spawn).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
