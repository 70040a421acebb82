//! The rival: socketioxide on axum, as its documentation shows it, with handlers that take typed values.

use anyhow::Result;
use axum::Router;
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use tokio::net::TcpListener;

use super::ROOM;
use crate::payload::Record;

pub(super) async fn serve(listener: TcpListener) -> Result<()> {
    let (layer, io) = SocketIo::new_layer();
    io.ns("/", async |socket: SocketRef| {
        socket.on("echo", async |socket: SocketRef, Data::<String>(x)| reply(&socket, "echo", &x));
        socket.on("echo-value", async |socket: SocketRef, Data::<Value>(x)| reply(&socket, "echo-value", &x));
        socket
            .on("echo-typed", async |socket: SocketRef, Data::<Record>(x)| reply(&socket, "echo-typed", &x));
        // It has no payload that is not parsed.
        socket.on("echo-raw", async |socket: SocketRef, Data::<Value>(x)| reply(&socket, "echo-raw", &x));
        socket.on("bin", async |socket: SocketRef, Data::<Bytes>(x)| reply(&socket, "bin", &x));
        socket.on("ack", async |Data::<String>(x), ack: AckSender| sent(ack.send(&x)));
        socket.on("join", async |socket: SocketRef, ack: AckSender| {
            socket.join(ROOM);
            sent(ack.send(&()));
        });
        socket.on("cast", async |socket: SocketRef, Data::<String>(x)| {
            if let Err(error) = socket.within(ROOM).emit("cast", &x).await {
                eprintln!("socketioxide: {error}");
            }
        });
    });
    let app = Router::new().layer(layer);
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            eprintln!("socketioxide: {error}");
        }
    });
    Ok(axum::serve(listener, app).await?)
}

fn reply<T: Serialize>(socket: &SocketRef, event: &str, value: &T) {
    sent(socket.emit(event, value));
}

fn sent<E: core::fmt::Display>(result: Result<(), E>) {
    if let Err(error) = result {
        eprintln!("socketioxide: {error}");
    }
}
