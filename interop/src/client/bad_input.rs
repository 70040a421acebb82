//! Servers that do what no server should: an error that says so, and no harm.

use core::time::Duration;

use crate::odd::{Accept, Odd, Play, Reply, Request, frame, open, open_packet, session};
use serde_json::{Value, json};
use sio_driver::{Client, ClientBuilder, ConnectionError, Transport, TransportError};
use tokio::time::Instant;

use super::common::{Watch, Way, collect, until, within};

const LARGEST: usize = 10_000;

/// What an error has to be.
type Wanted = fn(&ConnectionError) -> bool;

fn is_transport(error: &ConnectionError) -> bool {
    matches!(error, ConnectionError::Transport(_))
}

fn is_io(error: &ConnectionError) -> bool {
    matches!(error, ConnectionError::Transport(TransportError::Io(_)))
}

/// The server ended it, politely or not.
fn is_end(error: &ConnectionError) -> bool {
    matches!(error, ConnectionError::Transport(TransportError::Io(_) | TransportError::Closed))
}

/// What came is not Engine.IO.
fn is_parse(error: &ConnectionError) -> bool {
    matches!(error, ConnectionError::Transport(TransportError::Handshake(_) | TransportError::Packet(_)))
}

fn is_too_large(error: &ConnectionError) -> bool {
    *error == ConnectionError::Transport(TransportError::TooLarge { limit: LARGEST })
}

/// What came is not Socket.IO.
fn is_packet(error: &ConnectionError) -> bool {
    matches!(error, ConnectionError::Packet(_))
}

fn is_old(error: &ConnectionError) -> bool {
    *error == ConnectionError::UnsupportedServer
}

fn status(error: &ConnectionError) -> Option<(u16, Option<u8>, Option<&str>)> {
    match error {
        ConnectionError::Transport(TransportError::Status { status, code, message }) => {
            Some((*status, *code, message.as_deref()))
        }
        _ => None,
    }
}

fn builder(way: Way, odd: &Odd) -> ClientBuilder<Client> {
    way.builder(odd.url()).max_message_size(LARGEST).timeout(Duration::from_secs(5))
}

/// The first failure, and no attempt after it.
async fn failure(way: Way, odd: &Odd) -> ConnectionError {
    within("the failure", builder(way, odd).reconnection(false).connect()).await.expect_err("no connection")
}

async fn fails(what: &str, way: Way, odd: Odd, wanted: Wanted) {
    let error = failure(way, &odd).await;
    assert!(wanted(&error), "{what}, {way:?}: {error:?}");
}

async fn polls(replies: Vec<Reply>) -> Odd {
    Odd::start(session(replies, [], None)).await
}

/// A session on polling, and then this answer to the next poll.
async fn then(reply: Reply) -> Odd {
    polls(vec![Reply::ok(open_packet(&[])), reply]).await
}

async fn plays(play: Vec<Play>) -> Odd {
    Odd::start(move |_: &Request| Reply::WebSocket(play.clone())).await
}

// --- Before there is a session ---------------------------------------------------------------------------------------

pub(crate) async fn no_http() {
    for way in super::common::WAYS {
        fails("closed", way, Odd::treating(Accept::Close).await, is_io).await;
        fails("reset", way, Odd::treating(Accept::Reset).await, is_io).await;
        let garbage: [&[u8]; 5] = [
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"\x15\x03\x03\x00\x02\x02\x28",
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
            b"HTTP/1.1 999999 ?\r\n\r\n",
            &[0xff; 70_000],
        ];
        for bytes in garbage {
            let what = String::from_utf8_lossy(&bytes[..5]).into_owned();
            fails(&what, way, Odd::treating(Accept::Raw(bytes.to_vec())).await, is_transport).await;
        }
    }
}

pub(crate) async fn no_answer() {
    let short = Duration::from_millis(200);
    for way in super::common::WAYS {
        for odd in [Odd::treating(Accept::Hang).await, Odd::start(|_| Reply::Hang).await] {
            let error = within("timeout", builder(way, &odd).timeout(short).connect()).await.err();
            assert_eq!(error, Some(ConnectionError::Timeout), "{way:?}");
        }
    }
    let odd = Odd::start(|_| Reply::Hang).await;
    let builder = builder(Way::Polling, &odd).request_timeout(short).no_timeout();
    let error = within("timeout", builder.connect()).await.err();
    assert_eq!(error, Some(ConnectionError::Transport(TransportError::RequestTimeout)));
    // A session without a namespace: the time is up too.
    let odd = then(Reply::Hang).await;
    let builder = Way::Polling.builder(odd.url()).connect_timeout(short);
    assert_eq!(within("timeout", builder.connect()).await.err(), Some(ConnectionError::Timeout));
}

pub(crate) async fn http_errors() {
    for way in super::common::WAYS {
        let odd =
            Odd::start(|_| Reply::status(400, r#"{"code":5,"message":"Unsupported protocol version"}"#))
                .await;
        let error = failure(way, &odd).await;
        assert_eq!(status(&error), Some((400, Some(5), Some("Unsupported protocol version"))), "{error:?}");
        for body in ["", "<html>", "{", r#"{"code":"x","message":7}"#, "[1]"] {
            let odd = Odd::start(move |_| Reply::status(503, body)).await;
            let error = failure(way, &odd).await;
            assert_eq!(status(&error), Some((503, None, None)), "{body}: {error:?}");
        }
        let odd = Odd::start(|_| Reply::redirect(302, "http://127.0.0.1:1/elsewhere")).await;
        let location = Some("http://127.0.0.1:1/elsewhere".to_owned());
        let wanted = ConnectionError::Transport(TransportError::Redirect { status: 302, location });
        assert_eq!(failure(way, &odd).await, wanted);
        assert_eq!(odd.seen().requests.len(), 1, "not followed");
    }
}

fn bad_handshakes() -> Vec<String> {
    let good = json!({ "sid": "odd", "upgrades": [], "pingInterval": 1000, "pingTimeout": 1000, "maxPayload": 1000 });
    let mut bad: Vec<String> = ["garbage", "4hello", "40", "3", "0", "0{", "0[]", "0null", "0\"x\"", "0{}"]
        .map(str::to_owned)
        .into();
    let fields = [
        ("sid", vec![Value::Null, json!(7), json!(""), json!("x".repeat(5000))]),
        ("upgrades", vec![Value::Null, json!("websocket")]),
        (
            "pingInterval",
            vec![Value::Null, json!(-1), json!(0), json!("1000"), json!(1e300), json!(u64::MAX)],
        ),
        ("pingTimeout", vec![Value::Null, json!(-1), json!("1000"), json!(1e300)]),
        ("maxPayload", vec![json!(-1), json!("1000")]),
    ];
    for (name, values) in fields {
        for value in values {
            let mut open = good.clone();
            open[name] = value;
            bad.push(format!("0{open}"));
        }
    }
    bad
}

pub(crate) async fn handshakes() {
    for bad in bad_handshakes() {
        fails(&bad, Way::Polling, polls(vec![Reply::ok(bad.clone())]).await, is_parse).await;
        fails(&bad, Way::WebSocket, plays(vec![Play::Text(bad.clone())]).await, is_parse).await;
    }
    fails("empty", Way::Polling, polls(vec![Reply::ok("")]).await, is_parse).await;
    fails("empty", Way::WebSocket, plays(vec![Play::Text(String::new())]).await, is_parse).await;
    fails("binary", Way::WebSocket, plays(vec![Play::Binary(b"0{}".to_vec())]).await, is_parse).await;
    let not_utf8 = |error: &ConnectionError| *error == ConnectionError::Transport(TransportError::NotUtf8);
    fails("not UTF-8", Way::Polling, polls(vec![Reply::ok(b"0{\xff}".to_vec())]).await, not_utf8).await;
    let large = "x".repeat(LARGEST + 1);
    fails("large", Way::Polling, polls(vec![Reply::ok(large.clone())]).await, is_too_large).await;
    fails("large", Way::WebSocket, plays(vec![Play::Text(large)]).await, is_too_large).await;
}

// --- Before the namespace is joined ----------------------------------------------------------------------------------

/// What may come instead of the answer to CONNECT.
fn answers() -> Vec<(String, Wanted)> {
    fn refused(error: &ConnectionError) -> bool {
        matches!(error, ConnectionError::Refused(_))
    }
    let cases: [(&str, Wanted); 16] = [
        ("40", is_old),
        ("40{}", is_old),
        ("44", refused),
        (r#"44"no""#, refused),
        (r#"44{"message":"no"}"#, refused),
        ("44{}", refused),
        ("4", is_packet),
        ("4x", is_packet),
        ("47", is_packet),
        ("40[]", is_packet),
        (r#"42["x""#, is_packet),
        ("42[]", is_packet),
        ("450-[]", is_packet),
        ("45999999999-[]", is_packet),
        ("44[1]", is_packet),
        ("nonsense", is_parse),
    ];
    let mut cases: Vec<_> = cases.map(|(text, wanted)| (text.to_owned(), wanted)).into();
    cases.push((format!("42[\"{}\"]", "x".repeat(LARGEST)), is_too_large));
    cases
}

pub(crate) async fn answers_to_connect() {
    for (text, wanted) in answers() {
        let what = &text[..text.len().min(40)];
        fails(what, Way::Polling, then(Reply::ok(text.clone())).await, wanted).await;
        let play = vec![open(), Play::Receive, Play::Text(text.clone())];
        fails(what, Way::WebSocket, plays(play).await, wanted).await;
    }
    for way in [Way::Polling, Way::WebSocket] {
        for (text, message, data) in [
            (r#"44{"message":"m","data":{"a":[1]}}"#, "m", Some(json!({ "a": [1] }))),
            (r#"44"text""#, "text", None),
        ] {
            let odd = match way {
                Way::Polling => then(Reply::ok(text)).await,
                _ => plays(vec![open(), Play::Receive, Play::Text(text.to_owned())]).await,
            };
            let error = failure(way, &odd).await;
            let ConnectionError::Refused(refusal) = error else { panic!("{text}: {error:?}") };
            assert_eq!((refusal.message(), refusal.parse_data::<Value>()), (message, data));
        }
    }
}

pub(crate) async fn polls_and_posts() {
    fails("empty", Way::Polling, then(Reply::ok("")).await, is_parse).await;
    fails("close", Way::Polling, then(Reply::ok("1")).await, is_end).await;
    fails("close", Way::Polling, then(Reply::ok("1\u{1e}40{\"sid\":\"late\"}")).await, is_end).await;
    fails("closed", Way::Polling, then(Reply::Close).await, is_io).await;
    fails("reset", Way::Polling, then(Reply::Reset).await, is_io).await;
    fails(
        "short",
        Way::Polling,
        then(Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n40".to_vec())).await,
        is_io,
    )
    .await;
    let endless = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", u64::MAX);
    fails("endless", Way::Polling, then(Reply::Raw(endless.into_bytes())).await, is_transport).await;
    let unknown = then(Reply::status(400, r#"{"code":1,"message":"Session ID unknown"}"#)).await;
    assert_eq!(
        status(&failure(Way::Polling, &unknown).await),
        Some((400, Some(1), Some("Session ID unknown")))
    );
    let posts = async |reply: Reply| Odd::start(session([Reply::ok(open_packet(&[]))], [reply], None)).await;
    assert_eq!(
        status(&failure(Way::Polling, &posts(Reply::status(413, "")).await).await),
        Some((413, None, None))
    );
    fails("POST closed", Way::Polling, posts(Reply::Close).await, is_io).await;
    fails("text for bytes", Way::Polling, then(Reply::ok("451-[]\u{1e}42[\"x\"]")).await, is_packet).await;
    fails("bytes for text", Way::Polling, then(Reply::ok("bAAAA")).await, is_packet).await;
    fails("not base64", Way::Polling, then(Reply::ok("b????")).await, is_parse).await;
}

pub(crate) async fn websockets() {
    fails("wrong key", Way::WebSocket, Odd::start(|_| Reply::WrongKey("nonsense".to_owned())).await, is_io)
        .await;
    let plain = Odd::start(|_| Reply::ok(open_packet(&[]))).await;
    assert_eq!(status(&failure(Way::WebSocket, &plain).await), Some((200, None, None)));
    fails("dropped", Way::WebSocket, plays(vec![Play::Drop]).await, is_end).await;
    fails("reset", Way::WebSocket, plays(vec![open(), Play::Reset]).await, is_end).await;
    fails("close frame", Way::WebSocket, plays(vec![Play::Close(1001)]).await, is_end).await;
    fails("close frame", Way::WebSocket, plays(vec![open(), Play::Close(0)]).await, is_end).await;
    let text = |text: &str| Play::Text(text.to_owned());
    let play = vec![open(), Play::Receive, text("451-[]"), text("42[\"x\"]")];
    fails("text for bytes", Way::WebSocket, plays(play).await, is_packet).await;
    let play = vec![open(), Play::Receive, Play::Binary(vec![0; 3])];
    fails("bytes for text", Way::WebSocket, plays(play).await, is_packet).await;
    let raw: [(&str, Vec<u8>, Wanted); 6] = [
        ("not UTF-8", frame(0x81, b"\xff\xfe"), is_transport),
        ("reserved bits", frame(0xf1, b"40"), is_transport),
        ("unknown opcode", frame(0x83, b"40"), is_transport),
        ("continuation of nothing", frame(0x80, b"40"), is_transport),
        ("long control frame", frame(0x89, &[0; 200]), is_transport),
        // Its length alone must not make room for it.
        ("huge", [&[0x82, 127][..], &(1_u64 << 40).to_be_bytes()].concat(), is_too_large),
    ];
    for (what, bytes, wanted) in raw {
        fails(what, Way::WebSocket, plays(vec![open(), Play::Receive, Play::Raw(bytes)]).await, wanted).await;
    }
}

/// `1` over a WebSocket means nothing (B10), nor do other packets that make no sense there.
pub(crate) async fn senseless_packets_are_ignored() {
    let mut play = vec![open(), Play::Receive];
    play.extend(
        ["1", "5", "6", "3", open_packet(&[]).as_str(), r#"439["?"]"#]
            .map(|text| Play::Text(text.to_owned())),
    );
    play.extend([r#"40{"sid":"id"}"#, r#"42["hi",1]"#].map(|text| Play::Text(text.to_owned())));
    let odd = plays(play).await;
    let (handler, mut heard) = collect::<u32>();
    let client = Way::WebSocket.connect(builder(Way::WebSocket, &odd).on("hi", handler)).await;
    assert_eq!(client.id().map(|id| id.to_string()).as_deref(), Some("id"));
    assert_eq!(heard.next().await, 1);
    client.close().await;
}

// --- The upgrade -----------------------------------------------------------------------------------------------------

/// A probe that fails leaves the polling session as it is (B69).
pub(crate) async fn probes_fail() {
    let probes = [
        Reply::Close,
        Reply::status(400, ""),
        Reply::WrongKey("nonsense".to_owned()),
        Reply::WebSocket(vec![Play::Drop]),
        Reply::WebSocket(vec![Play::Receive, Play::Drop]),
        Reply::WebSocket(vec![Play::Receive, Play::Text("3".to_owned())]),
        Reply::WebSocket(vec![Play::Receive, Play::Text("3nonsense".to_owned())]),
        Reply::WebSocket(vec![Play::Receive, Play::Text("4early".to_owned())]),
        Reply::WebSocket(vec![Play::Receive, Play::Close(1000)]),
    ];
    for probe in probes {
        let replies = [
            Reply::ok(open_packet(&["websocket", "nonsense"])),
            Reply::ok(r#"40{"sid":"id"}"#),
            Reply::Later(Duration::from_millis(200), Box::new(Reply::ok(r#"42["hi",1]"#))),
            Reply::ok(r#"42["hi",2]"#),
        ];
        let odd = Odd::start(session(replies, [], Some(probe.clone()))).await;
        let (handler, mut heard) = collect::<u32>();
        let builder = builder(Way::Upgrade, &odd).on("hi", handler);
        let client = within("connect", builder.connect()).await.expect("the client connects");
        assert_eq!(heard.take(2).await, [1, 2], "{probe:?}");
        assert_eq!(client.transport(), Some(Transport::Polling), "{probe:?}");
        let tried = |request: &&Request| request.parameter("transport") == Some("websocket");
        assert_eq!(odd.seen().requests.iter().filter(tried).count(), 1, "{probe:?}: once");
        drop(client);
    }
}

/// The connection ends once the client has given up polling: a new session.
pub(crate) async fn upgrades_break() {
    for end in [Play::Drop, Play::Reset, Play::Close(1001)] {
        let websocket = vec![Play::Receive, Play::Text("3probe".to_owned()), Play::Receive, end];
        let replies = [
            Reply::ok(open_packet(&["websocket"])),
            Reply::ok(r#"40{"sid":"id"}"#),
            Reply::Later(Duration::from_millis(100), Box::new(Reply::ok("6"))),
        ];
        let odd = Odd::start(session(replies, [], Some(Reply::WebSocket(websocket)))).await;
        let (builder, mut watch) = Watch::new(builder(Way::Upgrade, &odd));
        let client = within("connect", builder.connect()).await.expect("the client connects");
        for _ in 0..2 {
            let reason = watch.disconnected().await;
            assert!(super::common::is_lost(&reason), "{reason}");
        }
        let seen = odd.seen();
        assert_eq!(seen.messages[..2], ["2probe", "5"]);
        drop(client);
    }
}

// --- Patience --------------------------------------------------------------------------------------------------------

/// A server that accepts and then drops.
struct Dropping {
    step: &'static str,
    way: Way,
    accept: Accept,
    polls: Vec<Reply>,
    posts: Vec<Reply>,
    websocket: Option<Reply>,
    /// Whether the client has been in its namespace.
    joined: bool,
}

impl Dropping {
    fn at(step: &'static str, way: Way) -> Self {
        Self {
            step,
            way,
            accept: Accept::Serve,
            polls: Vec::new(),
            posts: Vec::new(),
            websocket: None,
            joined: false,
        }
    }

    fn polling(step: &'static str, polls: Vec<Reply>) -> Self {
        Self { polls, ..Self::at(step, Way::Polling) }
    }

    fn websocket(step: &'static str, play: Vec<Play>) -> Self {
        Self { websocket: Some(Reply::WebSocket(play)), ..Self::at(step, Way::WebSocket) }
    }
}

/// One for each step.
fn dropping() -> Vec<Dropping> {
    const JOINED: &str = r#"40{"sid":"id"}"#;
    let opened = || Reply::ok(open_packet(&[]));
    let text = |text: &str| Play::Text(text.to_owned());
    vec![
        Dropping { accept: Accept::Close, ..Dropping::at("accept", Way::Polling) },
        Dropping::polling("open", vec![Reply::Close]),
        Dropping { posts: vec![Reply::Close], ..Dropping::polling("post", vec![opened()]) },
        Dropping::polling("poll", vec![opened(), Reply::Close]),
        Dropping::polling("close", vec![opened(), Reply::ok("1")]),
        Dropping {
            joined: true,
            ..Dropping::polling("joined", vec![opened(), Reply::ok(JOINED), Reply::Close])
        },
        Dropping { accept: Accept::Close, ..Dropping::at("accept", Way::WebSocket) },
        Dropping::websocket("handshake", vec![Play::Drop]),
        Dropping::websocket("open", vec![open(), Play::Drop]),
        Dropping::websocket("connect", vec![open(), Play::Receive, Play::Drop]),
        Dropping::websocket("garbage", vec![open(), text("4x")]),
        Dropping {
            joined: true,
            ..Dropping::websocket("joined", vec![open(), Play::Receive, text(JOINED), Play::Drop])
        },
    ]
}

/// The client waits longer and longer, until a namespace lets it in (not as B136).
pub(crate) async fn no_hammering() {
    let mut running = tokio::task::JoinSet::new();
    for Dropping { step, way, accept, polls, posts, websocket, joined } in dropping() {
        running.spawn(async move {
            let odd = match accept {
                Accept::Serve => Odd::start(session(polls, posts, websocket)).await,
                accept => Odd::treating(accept).await,
            };
            let client = way
                .builder(odd.url())
                .reconnection_delay(Duration::from_millis(100))
                .reconnection_delay_max(Duration::from_millis(400))
                .randomization_factor(0.0)
                .build()
                .expect("a client");
            // A session begins with a request that names none; where nothing is read, with a connection.
            let begins = |seen: &crate::odd::Seen| -> Vec<Instant> {
                match seen.requests.is_empty() {
                    true => seen.connections.clone(),
                    false => {
                        let new = seen.requests.iter().filter(|request| request.parameter("sid").is_none());
                        new.map(|request| request.at).collect()
                    }
                }
            };
            let seen = odd.until(|seen| begins(seen).len() >= 5).await;
            drop(client.close());
            let gaps: Vec<_> = begins(&seen).windows(2).map(|pair| pair[1] - pair[0]).collect();
            let delays = if joined { [100, 100, 100, 100] } else { [100, 200, 400, 400] };
            for (gap, delay) in gaps.iter().zip(delays) {
                // The server may notice one later than it came.
                assert!(*gap >= Duration::from_millis(delay * 7 / 10), "{step}, {way:?}: {gaps:?}");
            }
            // And nothing goes on behind the scenes.
            assert!(
                seen.requests.len() <= 6 * begins(&seen).len(),
                "{step}, {way:?}: {} requests",
                seen.requests.len()
            );
        });
    }
    within("all of them", running.join_all()).await;
}

/// What has failed can succeed later, by itself.
pub(crate) async fn bad_servers_get_better() {
    for way in [Way::Polling, Way::WebSocket] {
        let mut count = 0;
        let good = [Reply::ok(open_packet(&[])), Reply::ok(r#"40{"sid":"id"}"#)];
        let play = vec![open(), Play::Receive, Play::Text(r#"40{"sid":"id"}"#.to_owned())];
        let mut good = session(good, [], Some(Reply::WebSocket(play)));
        let odd = Odd::start(move |request| {
            count += 1;
            match count {
                1 => Reply::status(502, ""),
                2 => Reply::redirect(307, "/"),
                3 => Reply::Raw(b"nonsense\r\n\r\n".to_vec()),
                4 => Reply::Reset,
                _ => good(request),
            }
        })
        .await;
        let (builder, mut watch) = Watch::new(builder(way, &odd));
        let client = builder.build().expect("a client");
        client.emit("kept", &1).expect("emit");
        assert_eq!(watch.connected().await.0, "id");
        until("connected", || client.is_connected()).await;
        let kept = odd.until(|seen| {
            let posted =
                seen.requests.iter().map(|request| String::from_utf8_lossy(&request.body).into_owned());
            posted.chain(seen.messages.iter().cloned()).any(|text| text.contains(r#"42["kept",1]"#))
        });
        kept.await;
        drop(client);
    }
}
