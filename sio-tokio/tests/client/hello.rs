//! Over a real network.

use std::time::Duration;

use sio_tokio::{Client, ClientSocket, Data, Server, Socket, Transport};
use tokio::net::TcpListener;

const SECOND: Duration = Duration::from_secs(1);

async fn serve(io: &Server) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let io = io.clone();
    tokio::spawn(async move { io.serve(listener).await });
    format!("http://{address}")
}

#[tokio::test]
async fn says_hello() {
    for transports in
        [&[Transport::Polling][..], &[Transport::WebSocket], &[Transport::Polling, Transport::WebSocket]]
    {
        let io = Server::builder().build();
        io.of("/").on("hello", async |socket: Socket, Data(name): Data<String>| {
            socket.emit("greet", &name)?;
            let back: u32 = socket.emit_with_ack("ask", &()).timeout(SECOND).await?;
            Ok(format!("hi {name} {back}"))
        });
        let url = serve(&io).await;
        let client: Client = Client::builder(&url)
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
