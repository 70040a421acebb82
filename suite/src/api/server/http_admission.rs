//! Who is let in, and who hears of it when somebody is not.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{AsyncReadExt as _, AsyncWriteExt as _, FutureExt as _, StreamExt as _};
use http::request::Builder;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use sio_driver::{Cors, NamespaceRequest, RequestHead, Server, ServerBuilder, Socket};
use tungstenite::Message;

use crate::api::common::{Log, Polling, Ws, builder, connection};
use crate::api::{Case, list};
use crate::world::{Instant, settle, sleep, timeout, until, yield_now};

pub(super) const CASES: &[Case] = list![
    a_page_of_a_foreign_origin,
    origins_that_are_allowed,
    allow_request_decides_about_handshakes,
    ids_of_sessions_begin_as_the_application_wants,
    a_client_that_leaves_while_it_is_decided_about,
    a_hook_that_panics_lets_nobody_in,
    nor_does_one_that_takes_too_long,
    on_request_sees_every_request,
    what_hooks_find_out_reaches_the_sockets,
    requests_and_handshakes_are_asked_alike,
    each_refusal_is_told_of_once,
    so_is_that_of_a_websocket_after_its_handshake,
    connections_have_a_limit,
    so_do_those_of_one_address,
    a_place_is_free_at_once,
    decisions_that_are_waited_for_count,
    slow_heads_end_when_it_was_said,
];

pub(crate) const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
pub(crate) const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }
}

pub(crate) async fn send(io: &Server, request: Builder) -> Answer {
    let request = request.body(Full::<Bytes>::default()).unwrap();
    let answer = timeout(Duration::from_secs(60), io.handle(request, Some("192.0.2.7:9".parse().unwrap())));
    let (parts, body) = answer.await.expect("in time").into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

pub(crate) fn websocket(target: &str) -> Builder {
    Request::get(target)
        .header("host", "a.example")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

fn polling() -> Builder {
    Request::get(POLLING).header("host", "a.example")
}

fn logging(builder: ServerBuilder<Server>, log: &Log) -> ServerBuilder<Server> {
    let log = log.clone();
    builder.on_connection_error(move |refused| {
        let request = refused.request;
        let (method, path) = (&request.method, request.uri.path());
        let (code, context) = (refused.code(), refused.context().unwrap_or("-"));
        log.push(format!("{method} {path} {code:?} {} {context}", refused.message()));
    })
}

async fn a_page_of_a_foreign_origin() {
    let log = Log::default();
    let io = logging(builder(), &log).build();
    let session = Polling::connect(&io).await;
    let upgrade = format!("{WEBSOCKET}&sid={}", session.sid);
    for origin in
        ["https://evil.example", "null", "http://a.example.evil.example", "file://", "http://\u{fc}"]
    {
        let polled = send(&io, polling().header("origin", origin.as_bytes())).await;
        assert_eq!((polled.status, polled.text()), (403, r#"{"code":4,"message":"Origin not allowed"}"#));
        for target in [WEBSOCKET, &upgrade] {
            let refused = send(&io, websocket(target).header("origin", origin.as_bytes())).await;
            assert_eq!((refused.status, refused.text()), (403, "Origin not allowed"), "{origin}");
            assert_eq!(refused.header("connection"), ["close"]);
        }
        assert_eq!(log.take(), ["GET /socket.io/ Some(4) Origin not allowed INVALID_ORIGIN"; 3]);
    }
    let two =
        websocket(WEBSOCKET).header("origin", "http://a.example").header("origin", "http://evil.example");
    assert_eq!(send(&io, two).await.status, 400);
    assert_eq!(log.take(), ["GET /socket.io/ Some(3) Bad request INVALID_ORIGIN"]);
    assert_eq!(io.connections(), 1);

    // The server's own pages, and who is no page.
    for origin in ["https://a.example", "http://A.EXAMPLE", "ws://a.example"] {
        assert_eq!(send(&io, websocket(WEBSOCKET).header("origin", origin)).await.status, 101, "{origin}");
        assert_eq!(send(&io, polling().header("origin", origin)).await.status, 200, "{origin}");
    }
    assert_eq!(send(&io, websocket(WEBSOCKET)).await.status, 101);
    session.post("40/other,").await;
}

async fn origins_that_are_allowed() {
    let friends = Cors::new().origin("http://friend.example");
    let by_request = Cors::per_request(|head| {
        head.query.contains("tenant=friend").then(|| Cors::new().origin("http://friend.example"))
    });
    let status = async |io: &Server, origin: &str, query: &str| {
        let polled =
            send(io, Request::get(format!("{POLLING}{query}")).header("origin", origin)).await.status;
        let request = websocket(&format!("{WEBSOCKET}{query}")).header("origin", origin);
        (polled, send(io, request).await.status)
    };
    for (builder, friend, stranger) in [
        (builder(), 403, 403),
        (builder().cors(friends), 200, 403),
        (builder().cors(Cors::permissive()), 200, 200),
        (builder().check_origin(false), 200, 200),
    ] {
        let io = builder.build();
        let both = |status| (status, if status == 200 { 101 } else { status });
        assert_eq!(status(&io, "http://friend.example", "").await, both(friend));
        assert_eq!(status(&io, "http://stranger.example", "").await, both(stranger));
    }
    let io = builder().cors(by_request).build();
    assert_eq!(status(&io, "http://friend.example", "&tenant=friend").await, (200, 101));
    assert_eq!(status(&io, "http://friend.example", "").await, (403, 403));
}

async fn allow_request_decides_about_handshakes() {
    let log = Log::default();
    let asked = log.clone();
    let builder = builder().allow_request(move |request: Arc<RequestHead>| {
        asked.push(format!("{} {:?}", request.uri, request.remote_addr));
        async move {
            yield_now().await;
            match request.query_param("token").as_deref() {
                Some("secret token") => Ok(()),
                Some(_) => Err("who <b>are</b> you?".to_owned()),
                None => Err(String::new()),
            }
        }
    });
    let errors = Log::default();
    let io = logging(builder, &errors).build();

    let refused = send(&io, Request::get(format!("{POLLING}&token=x"))).await;
    let message = r#"{"code":4,"message":"who <b>are</b> you?"}"#;
    assert_eq!((refused.status, refused.text()), (403, message));
    assert_eq!(refused.header("content-type"), ["application/json"]);
    let refused = send(&io, Request::get(POLLING)).await;
    assert_eq!((refused.status, refused.text()), (403, r#"{"code":4,"message":"Forbidden"}"#));
    let refused = send(&io, websocket(&format!("{WEBSOCKET}&token=x"))).await;
    assert_eq!((refused.status, refused.text()), (403, "who <b>are</b> you?"));
    assert_eq!(
        refused.header("content-type"),
        ["text/plain; charset=UTF-8"],
        "it is not ours to say that it is HTML"
    );
    assert_eq!(
        errors.take(),
        [
            "GET /socket.io/ Some(4) who <b>are</b> you? -",
            "GET /socket.io/ Some(4) Forbidden -",
            "GET /socket.io/ Some(4) who <b>are</b> you? -"
        ]
    );
    assert_eq!(log.take().len(), 3);

    // B17: not asked about what is refused anyhow; but before the revision.
    for (target, method, code) in [
        ("/socket.io/?EIO=4", "GET", 0),
        (POLLING, "POST", 2),
        (WEBSOCKET, "GET", 3),
        ("/socket.io/?transport=polling&sid=x", "GET", 1),
    ] {
        let refused = send(&io, Request::builder().method(method).uri(target)).await;
        assert!(refused.text().starts_with(&format!(r#"{{"code":{code},"#)), "{}", refused.text());
    }
    assert_eq!(log.take(), [""; 0]);
    let old = POLLING.replace("EIO=4", "EIO=3");
    assert_eq!(send(&io, Request::get(&old)).await.status, 403);
    assert!(send(&io, Request::get(format!("{old}&token=secret+token"))).await.text().contains("\"code\":5"));
    assert_eq!(log.take().len(), 2);

    // Once let in, a session is not asked about again.
    let open = send(&io, Request::get(format!("{POLLING}&token=secret%20token"))).await;
    assert_eq!(open.status, 200);
    assert_eq!(log.take(), ["/socket.io/?EIO=4&transport=polling&token=secret%20token Some(192.0.2.7:9)"]);
    let session = Polling { io: io.clone(), sid: crate::api::common::sid_of(open.text()) };
    session.post("40").await;
    assert!(session.get().await.starts_with("40{"));
    let sid = &session.sid;
    assert_eq!(send(&io, websocket(&format!("{WEBSOCKET}&sid={sid}"))).await.status, 101);
    assert_eq!(log.take(), [""; 0]);
}

async fn ids_of_sessions_begin_as_the_application_wants() {
    let errors = Log::default();
    let builder = builder().shards(3).generate_id(async |request: Arc<RequestHead>| {
        yield_now().await;
        match request.query_param("node").as_deref() {
            Some("none") => Err("which node?".into()),
            Some("panic") => panic!("on purpose"),
            Some(node) => Ok(node.to_owned()),
            None => Ok(String::new()),
        }
    });
    let io = logging(builder, &errors).build();
    for (node, starts) in [("eu-1", "eu-1"), ("0123456789abcdef", "0123456789abcdef")] {
        // Sessions are found in whatever shard they are.
        for _ in 0..4 {
            let open = send(&io, Request::get(format!("{POLLING}&node={node}"))).await;
            let session = Polling { io: io.clone(), sid: crate::api::common::sid_of(open.text()) };
            assert!(session.sid.starts_with(starts), "{}", session.sid);
            session.post("40").await;
            assert!(session.get().await.starts_with("40{"));
            let sid = &session.sid;
            assert_eq!(
                send(&io, websocket(&format!("{WEBSOCKET}&sid={sid}&node=none"))).await.status,
                101,
                "not asked"
            );
        }
    }
    let mut socket = crate::api::common::websocket(connection(&io, 4096), "&node=eu-2").await;
    let open = socket.next().await.unwrap().unwrap();
    assert!(crate::api::common::sid_of(open.to_text().unwrap()).starts_with("eu-2"), "{open}");
    assert_eq!(errors.take(), [""; 0]);
    for node in ["none", "panic", "a%20b", "0123456789abcdefg"] {
        let refused = send(&io, Request::get(format!("{POLLING}&node={node}"))).await;
        assert_eq!((refused.status, refused.text()), (400, r#"{"code":3,"message":"Bad request"}"#));
        let refused = send(&io, websocket(&format!("{WEBSOCKET}&node={node}"))).await;
        assert_eq!(refused.status, 400);
        let told = "GET /socket.io/ Some(3) Bad request ID_GENERATION_ERROR";
        assert_eq!(errors.take(), [told, told]);
    }
}

async fn a_client_that_leaves_while_it_is_decided_about() {
    struct Dropped(Log);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.push("dropped");
        }
    }
    let log = Log::default();
    let seen = log.clone();
    let io = builder()
        .max_connections(1)
        .allow_request(move |_| {
            let guard = Dropped(seen.clone());
            seen.push("asked");
            async move {
                let _guard = guard;
                pending().await
            }
        })
        .build();
    for target in [POLLING, WEBSOCKET] {
        let mut stream = connection(&io, 4096);
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n{}\r\n",
            if target == WEBSOCKET {
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            } else {
                ""
            }
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        until(|| log.len() == 1).await;
        drop(stream);
        until(|| log.len() == 2).await;
        assert_eq!(log.take(), ["asked", "dropped"]);
        assert_eq!(io.connections(), 0);
    }
}

async fn a_hook_that_panics_lets_nobody_in() {
    let log = Log::default();
    let allow = builder().allow_request(|request| async move {
        assert!(request.header("x-good").is_some(), "on purpose");
        Ok(())
    });
    let io = logging(allow, &log).on_connection_error(|_| panic!("on purpose")).build();
    let refused = send(&io, Request::get(POLLING)).await;
    assert_eq!((refused.status, refused.text()), (403, r#"{"code":4,"message":"Forbidden"}"#));
    assert_eq!(send(&io, Request::get(POLLING).header("x-good", "1")).await.status, 200);
    let io = logging(builder().on_request(|_| async { panic!("on purpose") }), &log)
        .on_headers(|_, _| panic!("on purpose"))
        .build();
    let refused = send(&io, Request::get(POLLING)).await;
    assert_eq!((refused.status, refused.text()), (400, r#"{"code":3,"message":"Bad request"}"#));
    assert_eq!(
        log.take(),
        ["GET /socket.io/ Some(4) Forbidden -", "GET /socket.io/ Some(3) Bad request MIDDLEWARE_FAILURE"]
    );
}

async fn nor_does_one_that_takes_too_long() {
    const LIMIT: Duration = Duration::from_secs(3);
    let log = Log::default();
    let with = |name: &'static str| {
        let late = move |hook: &'static str, request: &RequestHead| {
            let waits = request.query_param("slow").is_some_and(|slow| slow.contains(hook));
            async move {
                if waits && name == "for ever" {
                    pending::<()>().await;
                } else if waits {
                    sleep(LIMIT * 2 / 3).await;
                }
            }
        };
        let builder = builder()
            .max_connections(1)
            .hook_timeout(LIMIT)
            .on_request(move |request| late("request", &request).map(Ok))
            .allow_request(move |request| late("allow", &request).map(Ok))
            .generate_id(move |request| late("id", &request).map(|()| Ok(String::new())));
        logging(builder, &log).build()
    };
    let (for_ever, for_a_while) = (with("for ever"), with("for a while"));
    for (io, slow, told) in [
        (&for_ever, "request", Some("Some(3) Bad request MIDDLEWARE_FAILURE")),
        (&for_ever, "allow", Some("Some(4) Forbidden -")),
        (&for_ever, "id", Some("Some(3) Bad request ID_GENERATION_ERROR")),
        (&for_a_while, "request,allow", Some("Some(4) Forbidden -")),
        (&for_a_while, "allow,id", Some("Some(3) Bad request ID_GENERATION_ERROR")),
        (&for_a_while, "allow", None),
    ] {
        let begun = Instant::now();
        let answer = send(io, Request::get(format!("{POLLING}&slow={slow}"))).await;
        match told {
            Some(told) => {
                assert_eq!((answer.status / 100, begun.elapsed()), (4, LIMIT), "{slow}");
                assert_eq!(log.take(), [format!("GET /socket.io/ {told}")]);
            }
            None => assert_eq!((answer.status, begun.elapsed()), (200, LIMIT * 2 / 3)),
        }
    }
    assert_eq!(log.take(), [""; 0]);
}

async fn on_request_sees_every_request() {
    let log = Log::default();
    let errors = Log::default();
    let (first, second) = (log.clone(), log.clone());
    let builder = builder()
        .on_request(move |request: Arc<RequestHead>| {
            first.push(format!("{} {}", request.method, request.uri.query().unwrap_or_default()));
            async move {
                if request.header("x-blocked").is_some() {
                    return Err(Response::builder().status(429).body("later".into()).unwrap());
                }
                Ok(())
            }
        })
        .on_request(move |_| {
            second.push("second");
            async { Ok(()) }
        })
        .on_headers(|headers, _| {
            headers.insert("x-all", "1".parse().unwrap());
        });
    let io = logging(builder, &errors).build();
    let session = Polling::connect(&io).await;
    let sid = format!("EIO=4&transport=polling&sid={}", session.sid);
    let open = "GET EIO=4&transport=polling".to_owned();
    let seen = [open.clone(), format!("POST {sid}"), format!("GET {sid}")];
    let seen: Vec<_> = seen.into_iter().flat_map(|entry| [entry, "second".into()]).collect();
    assert_eq!(log.take(), seen);
    let blocked = send(&io, Request::get(POLLING).header("x-blocked", "1")).await;
    assert_eq!((blocked.status, blocked.text(), blocked.header("x-all")), (429, "later", vec!["1"]));
    let blocked = send(&io, websocket(WEBSOCKET).header("x-blocked", "1")).await;
    assert_eq!((blocked.status, blocked.header("connection")), (429, vec!["close"]));
    assert_eq!(log.take(), [open, "GET EIO=4&transport=websocket".into()], "the first ends it");
    assert_eq!(errors.take(), [""; 0], "that was no refusal of the server's");
}

#[derive(Clone)]
struct User(String);

#[derive(Clone)]
struct Tenant(&'static str);

async fn what_hooks_find_out_reaches_the_sockets() {
    let log = Log::default();
    let (first, second) = (log.clone(), log.clone());
    let io = builder()
        .state("Ann".to_owned())
        .on_request(move |request: Arc<RequestHead>| {
            let tenant = request.extensions.get::<Tenant>().map_or("none", |tenant| tenant.0);
            first.push(format!("tenant: {tenant}"));
            request.attach(User("replaced".to_owned()));
            async { Ok(()) }
        })
        .allow_request(|request: Arc<RequestHead>| async move {
            yield_now().await;
            assert!(request.state::<u8>().is_none());
            let user = request.attached::<User>().ok_or("no user")?;
            assert_eq!(user.0, "replaced");
            request.attach(User(request.state::<String>().cloned().ok_or("no state")?));
            Ok(())
        })
        .on_initial_headers(|headers, request| {
            let user = request.attached::<User>().unwrap();
            headers.insert("x-user", user.0.parse().unwrap());
        })
        .build();
    let user = |extensions: &http::Extensions| extensions.get::<User>().map(|user| user.0.clone());
    io.of("/").on_connect(move |socket: Socket| {
        assert!(socket.handshake().extensions.get::<Tenant>().is_none(), "it is of the request");
        second.push(format!("user: {:?}", user(&socket.handshake().extensions)));
        async {}
    });
    io.of_dynamic(move |request: NamespaceRequest| async move {
        let known = request.state::<String>().is_some_and(|name| name == "Ann");
        known
            && request.state::<u8>().is_none()
            && user(&request.handshake().extensions) == Some("Ann".into())
    });
    let mut ws = Ws::connect(&io).await;
    ws.join("/made").await;
    assert_eq!(log.take(), ["tenant: none", "user: Some(\"Ann\")"]);
    // What later requests of the session attach is nobody's.
    let _session = Polling::connect(&io).await;
    settle().await;
    let told: Vec<_> = log.take().into_iter().filter(|entry| entry.starts_with("user")).collect();
    assert_eq!(told, ["user: Some(\"Ann\")"]);
    // What a server in front knows.
    let answer = send(&io, polling().extension(Tenant("blue"))).await;
    assert_eq!((answer.status, answer.header("x-user")), (200, vec!["Ann"]));
    assert_eq!(log.take(), ["tenant: blue"]);
}

async fn requests_and_handshakes_are_asked_alike() {
    let log = Log::default();
    let (early, late) = (log.clone(), log.clone());
    let io = builder()
        .allow_request(move |request: Arc<RequestHead>| {
            let names: Vec<_> = request.query_params().map(|(name, _)| name.into_owned()).collect();
            let host = request.header("host").is_some();
            early.push(format!("{} {host} {}", names.join(","), request.is_cross_domain()));
            async { Ok(()) }
        })
        .build();
    io.of("/").on_connect(move |socket: Socket| {
        let handshake = socket.handshake();
        let names: Vec<_> = handshake.query_params().map(|(name, _)| name.into_owned()).collect();
        let host = handshake.header("host").is_some();
        assert_eq!((handshake.header("upgrade"), handshake.header("x")), (None, None));
        late.push(format!("{} {host} {}", names.join(","), handshake.is_cross_domain()));
        async {}
    });
    let _ws = Ws::connect(&io).await;
    assert_eq!(log.take(), ["EIO,transport true false"; 2]);
}

/// CVE-2026-59725: each refusal ends its exchange, and is told of once.
async fn each_refusal_is_told_of_once() {
    let log = Log::default();
    let io = logging(builder().max_http_buffer_size(10), &log).build();
    let session = Polling::connect(&io).await;
    let target = format!("{POLLING}&sid={}", session.sid);
    let cases = [
        ("GET", "/socket.io/?EIO=4&transport=x".to_owned(), "", "Some(0) Transport unknown -"),
        ("GET", format!("{POLLING}&sid=x"), "", "Some(1) Session ID unknown -"),
        ("PUT", POLLING.to_owned(), "", "Some(2) Bad handshake method -"),
        ("GET", WEBSOCKET.to_owned(), "", "Some(3) Bad request TRANSPORT_HANDSHAKE_ERROR"),
        ("GET", target.replace("EIO=4", "EIO=3"), "", "Some(3) Bad request PROTOCOL_MISMATCH"),
        ("GET", target.replace("polling", "websocket"), "", "Some(3) Bad request TRANSPORT_MISMATCH"),
        ("GET", POLLING.replace("EIO=4", ""), "", "Some(5) Unsupported protocol version -"),
        ("PUT", target.clone(), "", "None method not allowed in a session -"),
        ("POST", target.clone(), "Content-Length: 11\r\n", "None body exceeds 10 bytes -"),
        (
            "POST",
            target.clone(),
            "Content-Type: application/octet-stream\r\nContent-Length: 5\r\n",
            "None request out of turn -",
        ),
    ];
    for (method, target, headers, expected) in cases {
        let mut stream = connection(&io, 4096);
        let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let end = timeout(Duration::from_secs(20), stream.read_to_string(&mut answer));
        end.await.expect("the exchange ends").unwrap();
        assert!(answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 500"), "{answer}");
        assert_eq!(log.take(), [format!("{method} /socket.io/ {expected}")]);
    }
    io.close().await;
    assert_eq!(send(&io, Request::get(POLLING)).await.status, 503);
    assert_eq!(log.take(), ["GET /socket.io/ None server is shutting down -"]);
}

/// Between the answer to a handshake and the WebSocket there is time for a session to end.
async fn so_is_that_of_a_websocket_after_its_handshake() {
    let log = Log::default();
    let seen = log.clone();
    // What happens once a request is answered, but for its headers.
    type Act = Box<dyn FnOnce() + Send>;
    let meanwhile: Arc<Mutex<Option<Act>>> = Arc::default();
    let act = meanwhile.clone();
    let io = logging(builder(), &log)
        .on_connection_error(move |refused| seen.push(format!("after: {}", refused.after_handshake())))
        .on_headers(move |_, _| {
            let act = act.lock().unwrap().take();
            act.into_iter().for_each(|act| act());
        })
        .build();
    let ends_at_once = async |query: &str| {
        let mut ws = crate::api::common::websocket(connection(&io, 4096), query).await;
        let close = timeout(Duration::from_secs(10), ws.next()).await.expect("in time");
        assert!(matches!(close, Some(Ok(Message::Close(_)))), "{close:?}");
    };
    let session = Polling::connect(&io).await;
    let query = format!("&sid={}", session.sid);
    let first = crate::api::common::websocket(connection(&io, 4096), &query).await;
    // It is answered, and then the session gets to know it.
    settle().await;
    ends_at_once(&query).await;
    assert_eq!(log.take(), ["GET /socket.io/ None request out of turn -", "after: true"]);
    assert_eq!(io.connections(), 1, "the session goes on");
    drop(first);
    settle().await;

    let ending = io.clone();
    *meanwhile.lock().unwrap() = Some(Box::new(move || ending.everyone().disconnect_sockets(true)));
    ends_at_once(&query).await;
    assert_eq!(log.take(), ["GET /socket.io/ Some(1) Session ID unknown -", "after: true"]);
    assert_eq!((session.get().await.as_str(), session.get().await.as_str()), ("41", "1"));
    let refused = send(&io, websocket(&format!("{WEBSOCKET}{query}"))).await;
    assert_eq!(refused.status, 400);
    assert_eq!(log.take(), ["GET /socket.io/ Some(1) Session ID unknown -", "after: false"]);

    let closing = io.clone();
    *meanwhile.lock().unwrap() = Some(Box::new(move || assert_eq!(closing.close().now_or_never(), Some(()))));
    ends_at_once("").await;
    assert_eq!(log.take(), ["GET /socket.io/ None server is shutting down -", "after: true"]);
    assert_eq!(io.stats().refused_by_code, [0, 2, 0, 0, 0, 0, 2]);
}

async fn connections_have_a_limit() {
    let log = Log::default();
    let io = logging(builder().max_connections(2), &log).build();
    let mut ws = Ws::connect(&io).await;
    let session = Polling::connect(&io).await;
    for request in [polling(), websocket(WEBSOCKET)] {
        let refused = send(&io, request).await;
        assert_eq!((refused.status, refused.header("connection")), (503, vec!["close"]));
    }
    assert_eq!(log.take(), ["GET /socket.io/ None too many connections -"; 2]);
    // An upgrade is no further connection.
    let upgrade = websocket(&format!("{WEBSOCKET}&sid={}", session.sid));
    assert_eq!(send(&io, upgrade).await.status, 101);
    ws.socket.close(None).await.unwrap();
    ws.expect_end().await;
    until(|| io.connections() == 1).await;
    let mut next = Ws::connect(&io).await;
    assert_eq!(send(&io, polling()).await.status, 503);
    session.post("1").await;
    until(|| io.connections() == 1).await;
    assert_eq!(send(&io, polling()).await.status, 200);
    next.send("40").await;
}

async fn so_do_those_of_one_address() {
    let io = builder().max_connections_per_address(1).build();
    let first = send(&io, polling()).await;
    assert_eq!(first.status, 200);
    assert_eq!(send(&io, polling()).await.status, 503);
    let ask = async |address: &str| {
        let request = polling().body(Full::<Bytes>::default()).unwrap();
        io.handle(request, Some(address.parse().unwrap())).await.status().as_u16()
    };
    assert_eq!(ask("192.0.2.8:1").await, 200);
    assert_eq!(ask("[::ffff:192.0.2.7]:1").await, 503);
    Polling { io: io.clone(), sid: crate::api::common::sid_of(first.text()) }.post("1").await;
    settle().await;
    assert_eq!(send(&io, polling()).await.status, 200);
}

/// Nothing else has to happen in the shard.
async fn a_place_is_free_at_once() {
    let io = builder().shards(1).max_connections(1).build();
    for _ in 0..2 {
        let session = Polling::open(&io).await;
        session.post("1").await;
        settle().await;
        let ws = Ws::open(&io).await;
        drop(ws);
        settle().await;
    }
}

/// Of those who wait for a decision at most as many as could be let in.
async fn decisions_that_are_waited_for_count() {
    let waiting = Arc::new(AtomicUsize::new(0));
    let seen = waiting.clone();
    let io = builder()
        .max_connections(3)
        .allow_request(move |_| {
            seen.fetch_add(1, Ordering::SeqCst);
            pending()
        })
        .build();
    let streams: Vec<_> = (0..5).map(|_| connection(&io, 4096)).collect();
    let mut answers = Vec::new();
    for mut stream in streams {
        let head = format!("GET {POLLING} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        settle().await;
        answers.push(stream);
    }
    assert_eq!(waiting.load(Ordering::SeqCst), 3);
    let mut status = [0; 12];
    answers.last_mut().unwrap().read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 503");
}

async fn slow_heads_end_when_it_was_said() {
    let io = builder().header_read_timeout(Duration::from_secs(3)).build();
    let mut stream = connection(&io, 4096);
    stream.write_all(b"GET /socket.io/?EI").await.unwrap();
    let begun = Instant::now();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
}
