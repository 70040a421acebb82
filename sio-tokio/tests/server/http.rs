//! The server inside of other servers.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::middleware::map_request;
use axum::routing::get;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use sio_tokio::{Server, Socket};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service as _;

use crate::common::{Log, Ws, builder, server, sid_of, until};

fn echo(io: &Server) {
    io.of("/").on("ask", async || "answer");
}

/// One request without a body, and the answer's status and body.
async fn fetch(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer[9..12].parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test]
async fn as_a_layer_in_axum() {
    let io = server();
    echo(&io);
    let app = Router::new().route("/", get(async || "index")).layer(io.layer());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    assert_eq!(fetch(address, "/").await, (200, "index".into()));
    assert_eq!(fetch(address, "/elsewhere").await.0, 404);
    let (status, open) = fetch(address, "/socket.io/?EIO=4&transport=polling").await;
    assert!(status == 200 && open.starts_with("0{\"sid\""), "{open}");
    assert_eq!(fetch(address, "/socket.io/?EIO=4&transport=x").await.0, 400);
    let mut ws = Ws::over(TcpStream::connect(address).await.unwrap()).await;
    ws.join("/").await;
    assert_eq!(ws.ask(r#"["ask"]"#).await, r#"["answer"]"#);
}

/// The line that `Server::layer` documents.
#[tokio::test]
async fn the_address_that_axum_knows() {
    let io = server();
    io.of("/")
        .on("address", async |socket: Socket| socket.handshake().remote_addr.map(|addr| addr.to_string()));
    let app = Router::new().layer(io.layer()).layer(map_request(
        async |ConnectInfo(address): ConnectInfo<SocketAddr>, mut request: axum::extract::Request| {
            request.extensions_mut().insert(address);
            request
        },
    ));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    let stream = TcpStream::connect(address).await.unwrap();
    let ours = stream.local_addr().unwrap();
    let mut ws = Ws::over(stream).await;
    ws.join("/").await;
    assert_eq!(ws.ask(r#"["address"]"#).await, format!("[\"{ours}\"]"));
}

#[tokio::test]
async fn as_a_tower_service() {
    let io = builder().path("/live").build();
    echo(&io);
    let mut service = io.service();
    let mut call = async |path: &str| {
        let request = Request::builder().uri(path).body(Full::<bytes::Bytes>::default()).unwrap();
        let answer: Result<_, Infallible> = service.call(request).await;
        let answer = answer.unwrap();
        let status = answer.status();
        (status, answer.into_body().collect().await.unwrap().to_bytes())
    };
    assert_eq!(call("/socket.io/?EIO=4&transport=polling").await.0, StatusCode::NOT_FOUND);
    assert_eq!(call("/live/?EIO=4&transport=polling").await.0, StatusCode::OK);
    assert!(call("/live/?EIO=4&transport=polling").await.1.starts_with(b"0{"));

    // Under bare hyper, with a WebSocket.
    let (ours, theirs) = duplex(4096);
    let service = TowerToHyperService::new(builder_at_default());
    tokio::spawn(async move {
        let http = hyper::server::conn::http1::Builder::new();
        let _ = http.serve_connection(TokioIo::new(theirs), service).with_upgrades().await;
    });
    let mut ws = Ws::over(ours).await;
    ws.join("/").await;
    assert_eq!(ws.ask(r#"["ask"]"#).await, r#"["answer"]"#);
}

fn builder_at_default() -> sio_tokio::SioService {
    let io = server();
    echo(&io);
    io.service()
}

/// Without upgrades there is no WebSocket, and nothing stays behind.
#[tokio::test]
async fn under_a_server_that_does_not_hand_connections_over() {
    let io = server();
    let mut service = io.service();
    let request = Request::builder()
        .uri("/socket.io/?EIO=4&transport=websocket")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(Full::<bytes::Bytes>::default())
        .unwrap();
    let answer = service.call(request).await.unwrap();
    assert_eq!(answer.status(), 101);
    crate::common::settle().await;
    assert_eq!(io.connections(), 0);
}

/// Others tell it by an extension of the request.
#[tokio::test]
async fn the_address_of_the_client_behind_tower() {
    let io = server();
    let log = Log::default();
    let seen = log.clone();
    io.of("/").on_connect(move |socket: Socket| {
        seen.push(format!("{:?}", socket.handshake().remote_addr));
        async {}
    });
    let mut service = io.service();
    let address: SocketAddr = "192.0.2.1:7".parse().unwrap();
    let mut call = async |method: &str, sid: &str, body: &'static str| {
        let request = Request::builder()
            .method(method)
            .uri(format!("/socket.io/?EIO=4&transport=polling{sid}"))
            .extension(address)
            .body(Full::new(bytes::Bytes::from_static(body.as_bytes())))
            .unwrap();
        let answer = service.call(request).await.unwrap();
        String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    };
    let sid = format!("&sid={}", sid_of(&call("GET", "", "").await));
    assert_eq!(call("POST", &sid, "40").await, "ok");
    until(|| log.len() == 1).await;
    assert_eq!(log.take(), ["Some(192.0.2.1:7)"]);
}
