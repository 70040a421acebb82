//! The chat in a terminal: talks to the server of `async_std_chat.rs`, beside its web page.
//!
//! `cargo run -p sio-async-std --example async_std_chat_client -- Ann lobby http://127.0.0.1:3000`
//!
//! What is typed is sent, also while the server is away: it arrives when the server is back. `/room NAME` moves, `/image FILE` sends an
//! image, `/quit` leaves.
//!
//! Only the lines in this file are about async-std.

#[path = "../../sio-tokio/examples/chat_client/terminal.rs"]
mod terminal;

use std::process::ExitCode;

use async_std::io::{BufReader, prelude::BufReadExt as _};
use async_std::task;
use sio_async_std as sio;

fn main() -> ExitCode {
    let lines = BufReader::new(async_std::io::stdin()).lines();
    let spawn = |task| drop(task::spawn(task));
    match task::block_on(terminal::run(lines, spawn)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
