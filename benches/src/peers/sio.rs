//! Ours, on tokio.

use anyhow::Result;
use bytes::Bytes;
use serde_json::Value;
use sio_tokio::{Ack, Data, Error, Payload, Server, Socket};
use tokio::net::TcpListener;

use super::ROOM;
use crate::payload::Record;

pub(super) async fn serve(listener: TcpListener) -> Result<()> {
    let io = Server::builder().build();
    io.of("/")
        .on("echo", async |socket: Socket, Data(x): Data<String>| Ok(socket.emit("echo", &x)?))
        .on("echo-value", async |socket: Socket, Data(x): Data<Value>| Ok(socket.emit("echo-value", &x)?))
        .on("echo-typed", async |socket: Socket, Data(x): Data<Record>| Ok(socket.emit("echo-typed", &x)?))
        .on("echo-raw", async |socket: Socket, payload: Payload| Ok(socket.emit("echo-raw", &payload)?))
        .on("bin", async |socket: Socket, Data(x): Data<Bytes>| Ok(socket.emit("bin", &x)?))
        .on("ack", async |Data(x): Data<String>| x)
        .on("join", async |socket: Socket, ack: Ack| {
            socket.join(ROOM);
            Ok(ack.send(&())?)
        })
        .on("cast", async |socket: Socket, Data(x): Data<String>| -> Result<(), Error> {
            socket.namespace().to(ROOM).emit("cast", &x)?;
            Ok(())
        });
    Ok(io.serve(listener).await?)
}
