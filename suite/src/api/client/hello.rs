//! The shortest conversation.

use std::time::Duration;

use crate::api::common::server;
use crate::api::net::Net;
use crate::api::{Case, list};
use sio_driver::{ClientSocket, Data, Socket, Transport};

pub(super) const CASES: &[Case] = list![says_hello,];

const SECOND: Duration = Duration::from_secs(1);

async fn says_hello() {
    for transports in
        [&[Transport::Polling][..], &[Transport::WebSocket], &[Transport::Polling, Transport::WebSocket]]
    {
        let io = server();
        io.of("/").on("hello", async |socket: Socket, Data(name): Data<String>| {
            socket.emit("greet", &name)?;
            let back: u32 = socket.emit_with_ack("ask", &()).timeout(SECOND).await?;
            Ok(format!("hi {name} {back}"))
        });
        let client = Net::to(&io)
            .builder()
            .transports(transports.iter().copied())
            .on("ask", async |_: ClientSocket| 42)
            .connect()
            .await
            .unwrap();
        let reply: String = client.emit_with_ack("hello", "world").timeout(SECOND).await.unwrap();
        assert_eq!(reply, "hi world 42");
        client.close().await;
        io.close().await;
    }
}
