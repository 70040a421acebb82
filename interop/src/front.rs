//! The HTTP front with its options set, ours beside the reference's: the same requests, and the same answers but for what is listed.

use core::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use std::{
    net::TcpListener,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use crate::{
    adapter::{Adapter, block_on},
    node,
    raw::{
        http::{Http, Response, fetch},
        peer::{HANDSHAKE, Polling, Ws, open_packet},
    },
    target::{KillOnDrop, expect_line},
};
use serde_json::{Map, Value, json};
use sio_driver::{Cookie, Cors, Data, RequestHead, Server, Socket, State};

type Errors = Arc<Mutex<Vec<Value>>>;

/// `js/http/server.js`, with ours.
fn server() -> Server {
    let errors = Errors::default();
    let seen = errors.clone();
    let is_friend = |origin: &str| origin == "http://friend.example" || origin.ends_with(".pal.example");
    let io = Adapter::here()
        .server()
        .cookie(Cookie::default())
        .serve_client(node::js_dir().join("node_modules/socket.io/client-dist"))
        .expect("the package has the client")
        .cors(
            Cors::new()
                .origin_fn(is_friend)
                .credentials(true)
                .exposed_headers("x-a,x-b")
                .max_age(Duration::from_secs(600)),
        )
        .allow_request(async |request: Arc<RequestHead>| {
            match (request.query_param("forbidden"), request.query_param("silent")) {
                (Some(_), _) => Err("not you".to_owned()),
                (_, Some(_)) => Err(String::new()),
                _ => Ok(()),
            }
        })
        .generate_id(async |request: Arc<RequestHead>| {
            if request.query_param("noid").is_some() {
                return Err("no id".into());
            }
            Ok(request.query_param("node").unwrap_or_default().into_owned())
        })
        .on_initial_headers(|headers, _| {
            headers.insert("x-initial", http::HeaderValue::from_static("1"));
        })
        .on_headers(|headers, _| {
            headers.insert("x-all", http::HeaderValue::from_static("1"));
        })
        .on_connection_error(move |refused| {
            let method = refused.request.method.as_str();
            let error = json!([method, refused.code(), refused.message(), refused.context()]);
            seen.lock().expect("one thread").push(error);
        })
        .state(errors)
        .build();
    io.of("/")
        .on("errors", async |State(errors): State<Errors>| {
            Value::Array(core::mem::take(&mut *errors.lock().expect("one thread")))
        })
        .on("big", async |Data(length): Data<usize>| "x".repeat(length))
        .on("handshake", async |socket: Socket| {
            let handshake = socket.handshake();
            let query: Map<_, _> =
                handshake.query_params().map(|(name, value)| (name.into_owned(), json!(value))).collect();
            let age = handshake.issued.elapsed().unwrap_or_default();
            json!({
                "header": handshake.headers.get("x-own").and_then(|value| value.to_str().ok()),
                "address": handshake.remote_addr.map(|address| address.ip()),
                "xdomain": handshake.is_cross_domain(),
                "secure": handshake.secure,
                "recent": age < Duration::from_secs(60),
                "url": handshake.uri.to_string(),
                "query": query,
            })
        });
    io
}

/// Both servers, while `test` runs.
fn with_both(test: impl FnOnce(SocketAddr, SocketAddr)) {
    node::install();
    let adapter = Adapter::here();
    let io = server();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let ours = listener.local_addr().expect("an address");
    adapter.spawn({
        let io = io.clone();
        async move {
            if let Err(error) = adapter.serve(io, listener).await {
                eprintln!("serve: {error}");
            }
        }
    });
    let child = Command::new(node::node())
        .arg("http/server.js")
        .current_dir(node::js_dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the reference starts");
    let mut child = KillOnDrop(child);
    let lines = child.lines();
    test(ours, expect_line(&lines, "listening on http://"));
    drop(child);
    block_on(async { tokio::time::timeout(Duration::from_secs(5), io.close()).await.expect("it ends") });
}

/// The parts of an answer that are compared. Lists in headers are sorted; the session's id is masked.
fn shown(response: &Response) -> Value {
    const NAMES: [&str; 12] = [
        "content-type",
        "content-encoding",
        "cache-control",
        "set-cookie",
        "x-initial",
        "x-all",
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "access-control-allow-methods",
        "access-control-allow-headers",
        "access-control-expose-headers",
        "access-control-max-age",
    ];
    let body = String::from_utf8_lossy(&response.body).into_owned();
    let sid =
        if body.starts_with("0{") { open_packet(&body)["sid"].as_str().map(str::to_owned) } else { None };
    let mask = |text: &str| sid.as_ref().map_or_else(|| text.to_owned(), |sid| text.replace(sid, "SID"));
    let mut headers = Map::new();
    for name in NAMES {
        let values: Vec<_> =
            response.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| mask(value)).collect();
        if !values.is_empty() {
            headers.insert(name.to_owned(), json!(values));
        }
    }
    let mut vary: Vec<String> = response
        .headers
        .iter()
        .filter(|(name, _)| name == "vary")
        .flat_map(|(_, value)| {
            value.split(',').map(|item| item.trim().to_ascii_lowercase()).collect::<Vec<_>>()
        })
        .collect();
    vary.sort();
    json!({ "status": response.status, "headers": headers, "vary": vary, "body": mask(&body) })
}

/// The same answers, but for what is listed.
///
/// # Panics
/// If it is not so.
pub fn the_same_answers() {
    let friend = "Origin: http://friend.example\r\n";
    let preflight = "Origin: https://a.pal.example\r\nAccess-Control-Request-Method: POST\r\n\
                     Access-Control-Request-Headers: x-tenant, x-b\r\n";
    let cases = [
        ("GET", HANDSHAKE.to_owned(), ""),
        ("GET", HANDSHAKE.to_owned(), friend),
        ("GET", HANDSHAKE.to_owned(), "Origin: https://b.pal.example\r\n"),
        ("OPTIONS", HANDSHAKE.to_owned(), preflight),
        ("OPTIONS", HANDSHAKE.to_owned(), friend),
        ("OPTIONS", HANDSHAKE.to_owned(), "Origin: http://stranger.example\r\n"),
        ("OPTIONS", HANDSHAKE.to_owned(), ""),
        ("GET", format!("{HANDSHAKE}&forbidden=1"), friend),
        ("GET", format!("{HANDSHAKE}&silent"), ""),
        ("GET", format!("{HANDSHAKE}&forbidden=1").replace("EIO=4", "EIO=3"), ""),
        ("GET", HANDSHAKE.replace("EIO=4", "EIO=3"), friend),
        ("GET", format!("{HANDSHAKE}&noid=1"), ""),
        ("POST", format!("{HANDSHAKE}&forbidden=1"), ""),
        ("GET", format!("{HANDSHAKE}&forbidden=1&sid=x"), ""),
        ("GET", "/socket.io/?EIO=4&transport=x&forbidden=1".to_owned(), ""),
    ];
    with_both(|ours, reference| {
        for (method, target, headers) in &cases {
            let [ours, reference] = [ours, reference].map(|addr| {
                let mut shown = shown(&fetch(addr, method, target, headers, b""));
                if shown["status"] != 200 {
                    // Ours shows every answer to the hook.
                    let _ = shown["headers"].as_object_mut().expect("headers").remove("x-all");
                }
                shown
            });
            assert_eq!(ours, reference, "{method} {target} {headers}");
        }
        let errors = [ours, reference].map(|addr| Ws::joined(addr, "/").0.ask("errors", ""));
        assert_eq!(errors[0], errors[1]);
        assert_eq!(errors[0].as_array().map(Vec::len), Some(8), "{errors:?}");

        // Later answers.
        for addr in [ours, reference] {
            let (session, _) = Polling::joined(addr, "/");
            let posted = session.post(r#"421["big",3000]"#);
            assert_eq!((posted.header("x-all"), posted.header("x-initial")), (Some("1"), None));
            let polled = session.fetch("GET", "Accept-Encoding: gzip;q=0.1, deflate\r\n", b"");
            assert_eq!(polled.header("content-encoding"), Some("deflate"));
            assert_eq!((polled.header("set-cookie"), polled.header("x-initial")), (None, None));
            session.post_ok(r#"422["big",100]"#);
            let polled = session.fetch("GET", "Accept-Encoding: gzip\r\n", b"");
            assert_eq!((polled.header("content-encoding"), polled.body.len()), (None, 107));
            let mut http = Http::connect(addr);
            let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
            http.request("GET", "/socket.io/?EIO=4&transport=websocket", upgrade, b"");
            let switched = http.response();
            assert_eq!(
                (switched.status, switched.header("x-initial"), switched.header("x-all")),
                (101, Some("1"), Some("1"))
            );
            assert_eq!(switched.header("set-cookie"), None, "B19");
        }
    });
}

/// The client's files from `socket.io/client-dist`.
///
/// # Panics
/// If it is not so.
pub fn the_client_files() {
    with_both(|ours, reference| {
        let dist = node::js_dir().join("node_modules/socket.io/client-dist");
        let mut count = 0;
        for file in std::fs::read_dir(dist).expect("the package has the client") {
            let file = file.expect("a file");
            let name = file.file_name().into_string().expect("a name");
            let target = format!("/socket.io/{name}");
            let content = std::fs::read(file.path()).expect("a file");
            for addr in [ours, reference] {
                let plain = fetch(addr, "GET", &target, "Origin: http://friend.example\r\n", b"");
                assert!(plain.status == 200 && plain.body == content, "{name}");
                let expected =
                    if name.ends_with(".map") { "application/json" } else { "application/javascript" };
                assert_eq!(plain.header("content-type"), Some(&*format!("{expected}; charset=utf-8")));
                assert_eq!(plain.header("cache-control"), Some("public, max-age=0"));
                assert_eq!(plain.header("access-control-allow-origin"), Some("http://friend.example"));
                let tag = plain.header("etag").expect("a tag");
                for tag in [tag.to_owned(), format!("W/{tag}")] {
                    let known = fetch(addr, "GET", &target, &format!("If-None-Match: {tag}\r\n"), b"");
                    assert_eq!((known.status, known.body.len()), (304, 0), "{tag}");
                }
                let packed = fetch(addr, "GET", &target, "Accept-Encoding: gzip\r\n", b"");
                assert_eq!(packed.header("content-encoding"), Some("gzip"));
                assert!(packed.body.len() < content.len() / 2);
                let head = fetch(addr, "HEAD", &target, "", b"");
                assert_eq!((head.status, head.header("etag")), (200, Some(tag)));
            }
            count += 1;
        }
        assert_eq!(count, 8);
        for addr in [ours, reference] {
            for target in
                ["/socket.io/package.json", "/socket.io/../socket.io.js", "/socket.io/..%2fpackage.json"]
            {
                let answer = fetch(addr, "GET", target, "", b"");
                assert!([400, 404].contains(&answer.status), "{target}");
            }
        }
    });
}

/// `js/http/client.test.js` against both.
///
/// # Panics
/// If it is not so.
pub fn the_official_client() {
    with_both(|ours, reference| {
        thread::scope(|scope| {
            for (addr, is_ours) in [(ours, "1"), (reference, "0")] {
                scope.spawn(move || {
                    let env = [("SIO_URL", format!("http://{addr}")), ("SIO_OURS", is_ours.to_owned())];
                    let args = ["--test-reporter=tap", "http/client.test.js"];
                    let output = node::run(&args, &env, Duration::from_secs(120));
                    println!("{output}");
                    assert!(output.contains("# pass 18"), "{output}");
                });
            }
        });
    });
}

/// The tests of this module, on one runtime: `interop::front_tests!(Smol);`
#[macro_export]
macro_rules! front_tests {
    ($adapter:ident) => {
        $crate::front_tests! { $adapter: the_same_answers the_client_files the_official_client }
    };
    ($adapter:ident: $($name:ident)*) => {$(
        #[test]
        fn $name() {
            $crate::adapter::Adapter::$adapter.run_here();
            $crate::front::$name();
        }
    )*};
}
