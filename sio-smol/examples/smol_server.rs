//! A server that greets, and tells who else is here.
//!
//! `cargo run -p sio-smol --example smol_server`, and from JavaScript:
//! `await io("http://127.0.0.1:3000").emitWithAck("hello", "Ann")`

use std::io;

use sio_smol::{Data, Server, Socket};

fn main() -> io::Result<()> {
    let io = Server::builder().build();
    io.of("/").on_connect(async |socket: Socket| socket.join("news")).on(
        "hello",
        async |socket: Socket, Data(name): Data<String>| {
            socket.to("news").emit("joined", &name)?;
            Ok(format!("hello {name}, you are one of {}", socket.namespace().len()))
        },
    );
    println!("listening on http://127.0.0.1:3000");
    smol::block_on(io.listen("127.0.0.1:3000"))
}
