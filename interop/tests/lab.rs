//! That the lab, the odd server and the proxy are right, before our client is measured by them: the official client and
//! hand-made bytes go through what they offer.

use core::time::Duration;
use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

use interop::{
    lab::{Lab, Side},
    odd::{Accept, Odd, Play, Reply, open, open_packet, session},
    proxy::{self, Proxy},
    raw::{
        http::{Http, fetch},
        peer::Ws,
    },
    stories,
};
use tokio::{runtime::Handle, task::spawn_blocking};

interop::stories!(Node);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recovery() {
    stories::run(Side::Node, Options { recovery: true, ..Options::default() }, "recovery", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence() {
    let (ping_interval, ping_timeout) = (Duration::from_millis(300), Duration::from_millis(200));
    stories::run(Side::Node, Options { ping_interval, ping_timeout, ..Options::default() }, "silence", None)
        .await;
}

// --- The odd server --------------------------------------------------------------------------------------------------

/// Blocking peers, on a thread that may block.
async fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(run).await.expect("the peer does not panic")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_answers() {
    let polls = [
        Reply::ok(open_packet(&[])),
        Reply::ok("40"),
        Reply::status(503, r#"{"code":9,"message":"odd"}"#),
        Reply::redirect(302, "http://elsewhere/"),
        Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
        Reply::Close,
        Reply::Reset,
    ];
    let odd = Odd::start(session(polls, [Reply::status(413, "")], None)).await;
    let addr = odd.addr();
    blocking(move || {
        let poll = |sid: &str| {
            let mut http = Http::connect(addr);
            http.request("GET", &format!("/socket.io/?EIO=4&transport=polling{sid}"), "", b"");
            http
        };
        let first = poll("").response();
        assert_eq!((first.status, first.text()), (200, open_packet(&[]).as_str()));
        assert_eq!(poll("&sid=odd").response().text(), "40");
        assert_eq!(poll("&sid=odd").response().status, 503);
        let redirect = poll("&sid=odd").response();
        assert_eq!((redirect.status, redirect.header("location")), (302, Some("http://elsewhere/")));
        assert_eq!(
            poll("&sid=odd").try_response(false).map_err(|error| error.kind()),
            Err(io::ErrorKind::UnexpectedEof)
        );
        assert_eq!(poll("&sid=odd").end(), interop::raw::http::End::Closed);
        assert_eq!(poll("&sid=odd").end(), interop::raw::http::End::Reset);
        assert!(poll("&sid=odd").is_silent(Duration::from_millis(50)));
        assert_eq!(fetch(addr, "POST", "/?transport=polling&sid=odd", "", b"40").status, 413);
        assert_eq!(fetch(addr, "POST", "/?transport=polling&sid=odd", "", b"40").text(), "ok");
        assert_eq!(poll("").response().text(), open_packet(&[]), "a new session begins anew");
    })
    .await;
    let seen = odd.seen();
    assert_eq!(seen.connections.len(), 11);
    assert_eq!(seen.requests.len(), 11);
    assert_eq!(seen.requests[8].body, b"40");
    assert_eq!(seen.requests[8].parameter("sid"), Some("odd"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_accepts() {
    for (accept, wanted) in [
        (Accept::Close, None),
        (Accept::Reset, None),
        (Accept::Raw(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()), Some(b"SSH-2.0-OpenSSH_9.6\r\n".as_slice())),
    ] {
        let odd = Odd::treating(accept).await;
        let addr = odd.addr();
        let bytes = blocking(move || {
            let mut bytes = Vec::new();
            let _ = TcpStream::connect(addr).and_then(|mut stream| stream.read_to_end(&mut bytes));
            bytes
        });
        assert_eq!(bytes.await, wanted.unwrap_or_default());
        odd.until(|seen| seen.connections.len() == 1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_websockets() {
    let play =
        [open(), Play::Receive, Play::Text("x".repeat(70_000)), Play::Binary(vec![1]), Play::Close(1001)];
    let odd = Odd::start(session([], [], Some(Reply::WebSocket(play.into())))).await;
    let addr = odd.addr();
    blocking(move || {
        let (mut ws, open) = Ws::open(addr);
        assert_eq!(open["sid"], "odd");
        ws.send(&"40".repeat(100));
        assert_eq!(ws.text().len(), 70_000);
        assert_eq!(ws.binary(), [1]);
        assert_eq!(ws.end(), interop::raw::peer::WsEnd::Code(1001));
    })
    .await;
    let seen = odd.until(|seen| !seen.messages.is_empty()).await;
    assert_eq!(seen.messages[0], "40".repeat(100));

    let odd = Odd::start(|_| Reply::WrongKey("nonsense".to_owned())).await;
    let addr = odd.addr();
    let refused = blocking(move || Ws::dial(addr, "/socket.io/?EIO=4&transport=websocket").err()).await;
    assert!(refused.is_some());
}

// --- The proxy -------------------------------------------------------------------------------------------------------

/// Asks for a tunnel, and gives the status line.
fn connect(proxy: &str, target: &str, headers: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(proxy.trim_start_matches("http://")).expect("the proxy accepts");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a read timeout");
    write!(stream, "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{headers}\r\n").expect("the proxy reads");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the proxy answers");
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    (stream, head.lines().next().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxy_tunnels() {
    let lab = Lab::ours(Options::default()).await;
    let auth = Some(("user", "secret"));
    let proxy = Proxy::with(proxy::Options { auth, ..proxy::Options::default() }).await;
    let (url, target) = (proxy.url(), format!("127.0.0.1:{}", lab.port()));
    let hold = {
        let handle = Handle::current();
        move |proxy: &Proxy, held: bool| handle.block_on(async { proxy.hold(held) })
    };
    let proxy = blocking(move || {
        assert_eq!(connect(&url, &target, "").1, "HTTP/1.1 407 Proxy Authentication Required");
        let wrong = "Proxy-Authorization: Basic bm8=\r\n";
        assert_eq!(connect(&url, &target, wrong).1, "HTTP/1.1 407 Proxy Authentication Required");
        let right = "proxy-authorization: Basic dXNlcjpzZWNyZXQ=\r\n";
        let (mut stream, status) = connect(&url, &target, right);
        assert_eq!(status, "HTTP/1.1 200 Connection established");
        assert_eq!(proxy.asked().unauthorised, 2);
        assert_eq!(proxy.asked().tunnels, [target]);
        assert_eq!(proxy.open(), 1);

        let mut answer = |wait| {
            stream.write_all(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n").expect("the tunnel takes");
            stream.set_read_timeout(Some(wait)).expect("a read timeout");
            let mut bytes = [0; 12];
            stream.read_exact(&mut bytes).map(|()| bytes)
        };
        assert_eq!(answer(Duration::from_secs(5)).ok().as_ref(), Some(b"HTTP/1.1 404"));
        hold(&proxy, true);
        // The rest of the answer may have come through already; it is shorter than what is read here.
        let mut rest = Vec::new();
        let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
        let _ = stream.read_to_end(&mut rest);
        stream.write_all(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n").expect("the tunnel takes");
        assert!(stream.read(&mut [0]).is_err(), "nothing comes through");
        hold(&proxy, false);
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a read timeout");
        assert_eq!(stream.read(&mut [0]).ok(), Some(1), "it comes after all");
        assert_eq!(proxy.cut(), 1);
        while matches!(stream.read(&mut [0; 1024]), Ok(1..)) {}
        proxy
    })
    .await;
    while proxy.open() > 0 {
        tokio::task::yield_now().await;
    }
}
