//! The chat in a terminal: talks to the server of `smol_chat.rs`, beside its web page.
//!
//! `cargo run -p sio-smol --example smol_chat_client -- Ann lobby http://127.0.0.1:3000`
//!
//! What is typed is sent, also while the server is away: it arrives when the server is back. `/room NAME` moves, `/image FILE` sends an
//! image, `/quit` leaves.
//!
//! Only the lines in this file are about smol.

#[path = "../../sio-tokio/examples/chat_client/terminal.rs"]
mod terminal;

use std::process::ExitCode;

use sio_smol as sio;
use smol::Unblock;
use smol::io::{AsyncBufReadExt as _, BufReader};

fn main() -> ExitCode {
    let lines = BufReader::new(Unblock::new(std::io::stdin())).lines();
    let spawn = |task| smol::spawn(task).detach();
    match smol::block_on(terminal::run(lines, spawn)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
