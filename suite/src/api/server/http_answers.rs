//! What is in the answers: headers, cookies, files; and how they are packed.

use std::fs;
use std::sync::Arc;

use async_lock::Semaphore;
use http::{HeaderValue, Request};
use sio_driver::{Cookie, Cors, Data, SameSite, Secure, Server, Socket};

use crate::api::common::{Log, Polling, Ws, builder, server, sid_of};
use crate::api::{Case, list};
use crate::world::{settle, spawn, until};

pub(super) const CASES: &[Case] = list![
    b19_the_cookie_comes_with_the_first_answer_to_a_poll,
    b20_headers_of_the_first_answer_and_of_all,
    nothing_of_a_request_breaks_out_of_a_header,
    cross_origin_headers_of_every_answer,
    b56_large_answers_to_polls_are_packed,
    b56_one_packet_that_must_not_be_packed_is_enough,
    packed_bodies_are_not_taken,
    the_client_is_served,
    a_directory_without_the_client,
    b21_the_path_without_its_slash,
    what_is_known_of_a_handshake,
    a_body_of_very_many_events_is_taken_in_turns,
];
use crate::api::server::http_admission::{POLLING, WEBSOCKET, send, websocket};

async fn b19_the_cookie_comes_with_the_first_answer_to_a_poll() {
    let io = builder().cookie(Cookie::default()).build();
    let open = send(&io, Request::get(POLLING)).await;
    let session = Polling { io: io.clone(), sid: sid_of(open.text()) };
    assert_eq!(open.header("set-cookie"), [format!("io={}; Path=/; HttpOnly; SameSite=Lax", session.sid)]);
    session.post("40").await;
    let next = send(&io, Request::get(format!("{POLLING}&sid={}", session.sid))).await;
    assert!(next.text().starts_with("40{") && next.header("set-cookie").is_empty());
    assert_eq!(send(&io, websocket(WEBSOCKET)).await.header("set-cookie"), [""; 0]);

    let cookie = Cookie::new("node").path(None).secure(true).same_site(SameSite::None);
    let open = send(&builder().cookie(cookie).build(), Request::get(POLLING)).await;
    assert_eq!(
        open.header("set-cookie"),
        [format!("node={}; HttpOnly; Secure; SameSite=None", sid_of(open.text()))]
    );
    assert_eq!(send(&server(), Request::get(POLLING)).await.header("set-cookie"), [""; 0]);
}

async fn b20_headers_of_the_first_answer_and_of_all() {
    let io = builder()
        .cookie(Cookie::default())
        .on_initial_headers(|headers, request| {
            headers.append("set-cookie", HeaderValue::from_static("a=1"));
            headers.append("set-cookie", HeaderValue::from_static("b=2"));
            headers.insert("x-path", request.uri.path().parse().unwrap());
        })
        .on_headers(|headers, _| {
            headers.insert("x-all", HeaderValue::from_static("1"));
        })
        .build();
    let open = send(&io, Request::get(POLLING)).await;
    let sid = sid_of(open.text());
    let own = format!("io={sid}; Path=/; HttpOnly; SameSite=Lax");
    assert_eq!(open.header("set-cookie"), [&own, "a=1", "b=2"]);
    assert_eq!((open.header("x-path"), open.header("x-all")), (vec!["/socket.io/"], vec!["1"]));
    let switched = send(&io, websocket(WEBSOCKET)).await;
    assert_eq!((switched.status, switched.header("set-cookie")), (101, vec!["a=1", "b=2"]));
    assert_eq!((switched.header("upgrade"), switched.header("x-all")), (vec!["websocket"], vec!["1"]));
    for request in [
        Request::post(format!("{POLLING}&sid={sid}")),
        websocket(&format!("{WEBSOCKET}&sid={sid}")),
        Request::get("/socket.io/"),
    ] {
        let later = send(&io, request).await;
        assert_eq!(
            (later.header("set-cookie"), later.header("x-all")),
            (vec![], vec!["1"]),
            "{}",
            later.status
        );
    }
}

/// A request's bytes cannot become lines of an answer.
async fn nothing_of_a_request_breaks_out_of_a_header() {
    let io = builder().cors(Cors::permissive().credentials(true)).build();
    let request =
        Request::builder().method("OPTIONS").uri(POLLING).header("origin", "http://a.example\tx: y");
    let answer = send(&io, request.header("access-control-request-headers", "x-a\tx-b")).await;
    assert_eq!(answer.status, 204);
    for (_, value) in &answer.headers {
        assert!(!value.as_bytes().iter().any(|byte| b"\r\n\0".contains(byte)));
    }
}

async fn cross_origin_headers_of_every_answer() {
    let cors = Cors::new().origin("http://friend.example").credentials(true).exposed_headers("x-a");
    let io = builder().cors(cors).build();
    let from = |request: http::request::Builder, origin: &str| request.header("origin", origin.to_owned());
    let open = send(&io, from(Request::get(POLLING), "http://friend.example")).await;
    let later = Request::post(format!("{POLLING}&sid={}", sid_of(open.text())));
    for (answer, status) in [
        (open, 200),
        (send(&io, from(later, "http://friend.example")).await, 200),
        (send(&io, from(Request::get("/socket.io/"), "http://friend.example")).await, 400),
    ] {
        assert_eq!((answer.status, answer.header("vary")), (status, vec!["Origin"]));
        assert_eq!(answer.header("access-control-allow-origin"), ["http://friend.example"]);
        assert_eq!(answer.header("access-control-allow-credentials"), ["true"]);
        assert_eq!(answer.header("access-control-expose-headers"), ["x-a"]);
    }
    let stranger = send(&io, from(Request::get(POLLING), "http://stranger.example")).await;
    assert_eq!((stranger.status, stranger.header("access-control-allow-origin")), (403, vec![]));
    let preflight = Request::builder().method("OPTIONS").uri(POLLING);
    let preflight = send(&io, from(preflight, "http://friend.example")).await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin").len()), (204, 1));
}

fn unpack(body: &[u8], coding: &str) -> String {
    use std::io::Read as _;
    let mut text = String::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(body).read_to_string(&mut text).unwrap(),
        "deflate" => flate2::read::ZlibDecoder::new(body).read_to_string(&mut text).unwrap(),
        other => panic!("{other}"),
    };
    text
}

async fn b56_large_answers_to_polls_are_packed() {
    let large = "x".repeat(2000);
    let poll = async |io: &Server, length: usize, accept: &str| {
        let session = Polling::connect(io).await;
        io.emit("e", &large[..length]).unwrap();
        let mut request = Request::get(format!("{POLLING}&sid={}", session.sid));
        if !accept.is_empty() {
            request = request.header("accept-encoding", accept);
        }
        let answer = send(io, request).await;
        let coding = answer.header("content-encoding").first().map(|coding| (*coding).to_owned());
        let text = match &coding {
            Some(coding) => unpack(&answer.body, coding),
            None => answer.text().to_owned(),
        };
        assert_eq!(text, format!(r#"42["e","{}"]"#, &large[..length]));
        assert_eq!(answer.header("content-type"), ["text/plain; charset=UTF-8"]);
        session.post("1").await;
        coding
    };
    let io = server();
    let around = r#"42["e",""]"#.len();
    assert_eq!(poll(&io, 1024 - around, "gzip, deflate, br").await.as_deref(), Some("gzip"));
    assert_eq!(poll(&io, 1023 - around, "gzip, deflate, br").await, None);
    assert_eq!(poll(&io, 2000, "deflate").await.as_deref(), Some("deflate"));
    assert_eq!(poll(&io, 2000, "gzip;q=0").await, None);
    assert_eq!(poll(&io, 2000, "br").await, None);
    assert_eq!(poll(&io, 2000, "").await, None);
    let huge = format!("gzip;q=0{}", ",br;q=0.1".repeat(100_000));
    assert_eq!(poll(&io, 2000, &huge).await, None);
    assert_eq!(poll(&builder().http_compression(None).build(), 2000, "gzip").await, None);
    assert_eq!(poll(&builder().http_compression(100).build(), 200, "gzip").await.as_deref(), Some("gzip"));
    assert_eq!(poll(&builder().http_compression(0).build(), 0, "gzip").await.as_deref(), Some("gzip"));
}

async fn b56_one_packet_that_must_not_be_packed_is_enough() {
    let io = builder().build();
    let large = "x".repeat(2000);
    let socket = Arc::new(std::sync::OnceLock::new());
    let found = socket.clone();
    io.of("/").on_connect(move |socket: Socket| {
        found.get_or_init(|| socket);
        async {}
    });
    let session = Polling::connect(&io).await;
    settle().await;
    let socket: &Socket = socket.get().unwrap();
    let packed = async || {
        let request =
            Request::get(format!("{POLLING}&sid={}", session.sid)).header("accept-encoding", "gzip");
        !send(&io, request).await.header("content-encoding").is_empty()
    };
    socket.emit("e", &large).unwrap();
    assert!(packed().await);
    socket.compress(false).emit("e", &large).unwrap();
    assert!(!packed().await);
    socket.compress(false).compress(true).emit("e", &large).unwrap();
    assert!(packed().await);
    for _ in 0..2 {
        socket.emit("e", &large).unwrap();
        socket.compress(false).emit("small", &()).unwrap();
        socket.emit("e", &large).unwrap();
        assert!(!packed().await, "one is enough");
    }
    socket.compress(false).emit_wait("e", &large).await.unwrap();
    assert!(!packed().await);
    drop(socket.compress(false).emit_with_ack::<(), _>("e", &large).send());
    assert!(!packed().await);
    let id = socket.id().to_string();
    for broadcast in [io.to(id.as_str()), io.of("/").everyone(), io.to("nobody").to(id.as_str())] {
        broadcast.clone().emit("e", &large).unwrap();
        assert!(packed().await);
        broadcast.compress(false).emit("e", &large).unwrap();
        assert!(!packed().await);
    }
    io.compress(false).emit("e", &large).unwrap();
    assert!(!packed().await);
    io.of("/").compress(false).emit("e", &large).unwrap();
    assert!(!packed().await);
    socket.compress(false).broadcast().emit("e", &large).unwrap();
    io.emit("e", &large).unwrap();
    assert!(packed().await, "the other was for others");
}

/// What comes packed is not unpacked: there is nothing to blow up.
async fn packed_bodies_are_not_taken() {
    let io = server();
    let session = Polling::connect(&io).await;
    let request = Request::post(format!("{POLLING}&sid={}", session.sid))
        .header("content-encoding", "gzip")
        .body(http_body_util::Full::new(bytes::Bytes::from_static(b"\x1f\x8b\x08\x00")))
        .unwrap();
    let answer = io.handle(request, None).await;
    assert_eq!(answer.status(), 200, "B48");
    until(|| io.connections() == 0).await;
}

/// A directory that is gone at the end.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sio-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, content: &str) {
        fs::write(self.0.join(name), content).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn the_client_is_served() {
    let directory = Directory::new("dist");
    directory.file("socket.io.min.js", "var io;");
    directory.file("socket.io.min.js.map", "{}");
    directory.file("socket.io.min.js.br", "packed by brotli");
    directory.file("secret.js", "secret");
    let io = builder().path("/live").cors(Cors::permissive()).serve_client(&directory.0).unwrap().build();
    // They are in memory.
    drop(directory);
    let script = "/live/socket.io.min.js";
    let plain = send(&io, Request::get(format!("{script}?v=1"))).await;
    assert_eq!((plain.status, plain.text()), (200, "var io;"));
    assert_eq!(plain.header("content-type"), ["application/javascript; charset=utf-8"]);
    assert_eq!(plain.header("cache-control"), ["public, max-age=0"]);
    assert_eq!(plain.header("vary"), ["Accept-Encoding"]);
    assert_eq!(plain.header("access-control-allow-origin"), ["*"]);
    let map = send(&io, Request::get("/live/socket.io.min.js.map")).await;
    assert_eq!((map.status, map.header("content-type")), (200, vec!["application/json; charset=utf-8"]));

    let tag = plain.header("etag")[0];
    assert!(tag.starts_with('"') && tag.ends_with('"'));
    for known in [tag.to_owned(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let answer = send(&io, Request::get(script).header("if-none-match", &known)).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
        assert_eq!(answer.header("etag"), [tag]);
    }
    for unknown in ["\"x\"", "", "W/", "x"] {
        assert_eq!(send(&io, Request::get(script).header("if-none-match", unknown)).await.status, 200);
    }
    let brotli = send(&io, Request::get(script).header("accept-encoding", "gzip, br")).await;
    assert_eq!((brotli.header("content-encoding"), brotli.text()), (vec!["br"], "packed by brotli"));
    assert_ne!(brotli.header("etag"), [tag]);
    let gzip = send(&io, Request::get(script).header("accept-encoding", "gzip")).await;
    assert_eq!(
        (gzip.header("content-encoding"), unpack(&gzip.body, "gzip")),
        (vec!["gzip"], "var io;".into())
    );
    let head = send(&io, Request::head(script)).await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, vec!["7"], 0));

    for path in [
        "/live/secret.js",
        "/live/socket.io.min.js.br",
        "/live/socket.io.js",
        "/live/../live/socket.io.min.js",
        "/live//socket.io.min.js",
        "/live/socket.io.min.js/",
        "/live/%73ocket.io.min.js",
        "/live/..%2fsecret.js",
        "/live/socket.io.min.js%00",
    ] {
        let answer = send(&io, Request::get(path)).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().contains("Transport unknown"), "{path}");
    }
    assert_eq!(send(&io, Request::post(script)).await.status, 400);
    // The engine is where it was.
    assert_eq!(send(&io, Request::get("/live/?EIO=4&transport=polling")).await.status, 200);
}

async fn a_directory_without_the_client() {
    let directory = Directory::new("empty");
    let error = builder().serve_client(&directory.0).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().contains("socket.io.min.js"), "{error}");
    assert_eq!(
        send(&server(), Request::get("/socket.io/socket.io.js")).await.status,
        400,
        "unless asked for"
    );
}

async fn b21_the_path_without_its_slash() {
    let target = "/socket.io?EIO=4&transport=polling";
    assert!(!server().matches_path("/socket.io"));
    let io = builder().add_trailing_slash(false).build();
    assert!(
        io.matches_path("/socket.io") && io.matches_path("/socket.io/") && !io.matches_path("/socket.iox")
    );
    assert_eq!(send(&io, Request::get(target)).await.status, 200);
}

async fn what_is_known_of_a_handshake() {
    let io = server();
    let log = Log::default();
    let seen = log.clone();
    io.of("/").on_connect(move |socket: Socket| {
        let handshake = socket.handshake();
        let mut params = handshake.query_params().map(|(name, value)| format!("{name}={value}"));
        seen.push(params.by_ref().collect::<Vec<_>>().join(";"));
        seen.push(format!("{:?} {:?}", handshake.query_param("room"), handshake.query_param("none")));
        let headers = handshake.headers.iter();
        seen.push(headers.map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<_>>().join(";"));
        let age = handshake.issued.elapsed().unwrap_or_default();
        seen.push(format!("{} {} {}", handshake.is_cross_domain(), handshake.secure, age.as_secs() < 60));
        async {}
    });
    let open = Request::get(format!("{POLLING}&room=a+b%21&room=c%C3%BC"))
        .header("host", "a.example")
        .header("origin", "https://a.example")
        .header("x-a", "1")
        .header("x-a", "")
        .header("connection", "keep-alive")
        .header("sec-websocket-key", "x")
        .header("sec-websocket-protocol", "token")
        .extension(Secure(true));
    let open = send(&io, open).await;
    let session = Polling { io: io.clone(), sid: sid_of(open.text()) };
    session.post("40").await;
    until(|| log.len() == 4).await;
    assert_eq!(
        log.take(),
        [
            "EIO=4;transport=polling;room=a b!;room=cü",
            r#"Some("cü") None"#,
            r#"host="a.example";origin="https://a.example";x-a="1";x-a="";sec-websocket-protocol="token""#,
            "true true true",
        ]
    );
    let _ = Ws::connect(&io).await;
    until(|| log.len() == 4).await;
    assert!(log.take()[3].starts_with("false false"));
}

/// One body can hold more events than may wait: the answer comes when the last of them has its place.
async fn a_body_of_very_many_events_is_taken_in_turns() {
    let turns = Arc::new(Semaphore::new(0));
    let io = builder().max_inbox(10).build();
    let log = Log::default();
    let (seen, gate) = (log.clone(), turns.clone());
    io.of("/").on("n", move |Data(number): Data<u32>| {
        let (seen, gate) = (seen.clone(), gate.clone());
        async move {
            gate.acquire().await.forget();
            seen.push(number.to_string());
        }
    });
    let session = Polling::connect(&io).await;
    let events: Vec<_> = (0..1000).map(|number| format!(r#"42["n",{number}]"#)).collect();
    let posting = spawn({
        let session = session.clone();
        async move { session.post(&events.join(" ")).await }
    });
    for count in [0, 100, 900] {
        turns.add_permits(count - log.len());
        until(|| log.len() == count).await;
        settle().await;
        assert!(!posting.is_finished(), "{count} are handled");
    }
    turns.add_permits(100);
    until(|| log.len() == 1000).await;
    posting.await.unwrap();
    assert!(log.take().into_iter().enumerate().all(|(at, number)| number == at.to_string()));

    // A session that ends does not leave its body behind.
    let events: Vec<_> = (0..1000).map(|number| format!(r#"42["n",{number}]"#)).collect();
    let posting = session.request("POST", events.join("\x1e"));
    let ending = async {
        settle().await;
        io.of("/").everyone().disconnect_sockets(true);
    };
    let ((status, _), ()) = futures_util::future::join(posting, ending).await;
    assert!([200, 400].contains(&status));
    turns.add_permits(1000);
    until(|| io.connections() == 0).await;
}
