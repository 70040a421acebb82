//! What a server knows of its sockets, and decides for each: data, middlewares of events, watching what is sent.

use std::collections::HashMap;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use serde_json::json;
use sio_driver::{
    Ack, Auth, Context, Data, DisconnectReason, Error, Event, FromContext, Payload, Rejection, Socket,
    SocketData, Transport,
};

use crate::api::common::{Log, Polling, Ws, builder, server};
use crate::api::{Case, list};
use crate::world::{settle, until, yield_now};

pub(super) const CASES: &[Case] = list![
    data_that_a_middleware_puts_there,
    data_is_changed_and_kept_to_the_end,
    middlewares_of_events,
    those_that_see_every_event_may_answer,
    a_stopped_event_does_not_use_up_once,
    failures_as_acknowledgements,
    watching_what_is_sent,
    sent_away_with_words,
    what_it_knows_of_the_connection,
    a_client_of_socket_io_2,
    an_attachment_of_socket_io_2,
    lists_of_rooms,
];

#[derive(Clone, Debug, PartialEq)]
struct User {
    name: String,
    seen: u32,
}

async fn data_that_a_middleware_puts_there() {
    let io = server();
    io.of("/")
        .use_(async |socket: Socket, Auth(auth): Auth<HashMap<String, String>>| {
            socket.set_data(User { name: auth["name"].clone(), seen: 0 });
            Ok(())
        })
        .on("name", async |user: SocketData<User>| user.name.clone());
    let mut ws = Ws::open(&io).await;
    ws.send(r#"40{"name":"Ann"}"#).await;
    assert!(ws.recv().await.starts_with("40{"));
    assert_eq!(ws.ask(r#"["name"]"#).await, r#"["Ann"]"#);
}

async fn data_is_changed_and_kept_to_the_end() {
    let io = server();
    let log = Log::default();
    let (errors, ends) = (log.clone(), log.clone());
    io.of("/")
        .on_error(move |_, error| errors.push(error.to_string()))
        .on_connect(async |socket: Socket| socket.set_data(User { name: "Ann".into(), seen: 0 }))
        .on("count", async |socket: Socket| {
            let held = socket.data::<User>().expect("it is there");
            let seen = socket.update_data(|user: &mut User| {
                user.seen += 1;
                user.seen
            });
            assert_eq!(held.seen + 1, seen.expect("it is there"), "who holds the old value keeps it");
            seen
        })
        .on("other type", async |number: SocketData<u32>| *number)
        .on("replace", async |socket: Socket| {
            socket.set_data(6_u32);
            socket.set_data(7_u32);
            assert_eq!(socket.data::<User>().expect("one of each type").seen, 2);
            assert_eq!(socket.remove_data::<User>().expect("it was there").seen, 2);
            assert_eq!((socket.data::<User>(), socket.remove_data::<User>()), (None, None));
            assert_eq!(socket.update_data(|user: &mut User| user.seen), None);
            true
        })
        .on_disconnect(move |data: SocketData<u32>| {
            ends.push(format!("left with {}", *data));
            std::future::ready(())
        });
    let mut ws = Ws::connect(&io).await;
    assert_eq!(ws.ask(r#"["count"]"#).await, "[1]");
    assert_eq!(ws.ask(r#"["count"]"#).await, "[2]");
    ws.send(r#"421["other type"]"#).await;
    assert_eq!(ws.ask(r#"["replace"]"#).await, "[true]");
    assert_eq!(log.take(), ["no data of type u32 was put with the socket"]);
    assert_eq!(ws.ask(r#"["other type"]"#).await, "[7]");
    ws.send("41").await;
    until(|| log.len() > 0).await;
    assert_eq!(log.take(), ["left with 7"]);
}

async fn middlewares_of_events() {
    let io = server();
    let log = Log::default();
    let (errors, seen, handled) = (log.clone(), log.clone(), log.clone());
    io.of("/")
        .on_error(move |_, error| errors.push(format!("error {error}")))
        .use_event(move |event: Event, payload: Payload| {
            seen.push(format!("{event} {}", payload.args_text()));
            std::future::ready(match &*event {
                "secret" => Err(Error::new("not allowed")),
                "bomb" => panic!("bomb"),
                _ => Ok(()),
            })
        })
        .on_connect(async |socket: Socket| {
            socket.use_(async |Data(n): Data<u32>| {
                yield_now().await;
                if n > 2 { Err(Error::new("too much")) } else { Ok(()) }
            });
        })
        .on_any(move |event: Event| {
            handled.push(format!("any {event}"));
            std::future::ready(())
        })
        .on("n", async |Data(n): Data<u32>| n * 10)
        .on("secret", async || "told");
    let mut ws = Ws::connect(&io).await;
    assert_eq!(ws.ask(r#"["n",2]"#).await, "[20]");
    assert_eq!(log.take(), ["n 2", "any n"]);
    for (event, entries) in [
        (r#"["n",3]"#, &["n 3", "error too much"][..]),
        (r#"["secret",1]"#, &["secret 1", "error not allowed"]),
        (r#"["bomb",1]"#, &["bomb 1", "error handler panicked: bomb"]),
        (r#"["unknown",1]"#, &["unknown 1", "any unknown"]),
    ] {
        ws.send(format!("421{event}")).await;
        until(|| log.len() >= entries.len()).await;
        settle().await;
        assert_eq!(log.take(), entries);
    }
    ws.expect_silence().await;
}

async fn those_that_see_every_event_may_answer() {
    let io = server();
    io.of("/")
        .ack_errors(|error| error.to_string())
        .use_event(async |event: Event, ack: Ack| {
            match &*event {
                "answered" => ack.send("by a middleware")?,
                "refused" => return Err(Error::new("no")),
                // One that does not answer leaves nobody waiting: it was not its to take.
                _ => drop(ack),
            }
            Ok(())
        })
        .on("answered", async || "too late");
    io.of("/any")
        .ack_errors(|error| error.to_string())
        .on_any(
            async |event: Event| {
                if &*event == "failed" { Err(Error::new("not an answer")) } else { Ok("nor this") }
            },
        )
        .on_any(move |event: Event, context: Answering| async move {
            if let Some(ack) = context.0 {
                assert_eq!(&*event, "unknown");
                ack.send(&("by a catch-all", 1))?;
            }
            Ok::<(), Error>(())
        })
        .on("known", async || "by its handler")
        .on("failed", async || "by its handler too");
    let mut ws = Ws::connect(&io).await;
    assert_eq!(ws.ask(r#"["answered"]"#).await, r#"["by a middleware"]"#);
    ws.send(r#"421["refused"]"#).await;
    ws.expect_silence().await;
    ws.send("40/any,").await;
    assert!(ws.recv().await.starts_with("40/any,"));
    for (event, answer) in [
        ("known", r#"["by its handler"]"#),
        ("failed", r#"["by its handler too"]"#),
        ("unknown", r#"["by a catch-all",1]"#),
    ] {
        ws.send(format!(r#"42/any,1["{event}"]"#)).await;
        assert_eq!(ws.recv().await, format!("43/any,1{answer}"));
    }
}

/// The right to answer unknown events.
struct Answering(Option<Ack>);

impl FromContext for Answering {
    fn from_context(context: &mut Context) -> Result<Self, Rejection> {
        let unknown = &*Event::from_context(context)? == "unknown";
        Ok(Self(if unknown { Some(Ack::from_context(context)?) } else { None }))
    }
}

/// A handler that is called once is still there after an event that a middleware has stopped.
async fn a_stopped_event_does_not_use_up_once() {
    let io = server();
    io.of("/").on_connect(async |socket: Socket| {
        socket.use_(async |Data(n): Data<u32>| if n == 0 { Err(Error::new("zero")) } else { Ok(()) });
        socket.once("n", async |Data(n): Data<u32>| n);
    });
    let mut ws = Ws::connect(&io).await;
    ws.send(r#"421["n",0]"#).await;
    assert_eq!(ws.ask(r#"["n",1]"#).await, "[1]");
}

async fn failures_as_acknowledgements() {
    let io = server();
    io.of("/")
        .ack_errors(|error| (json!({ "error": error.to_string() }), error.is_panic()))
        .use_event(
            async |event: Event| {
                if event == Event("stop".into()) { Err(Error::new("stopped")) } else { Ok(()) }
            },
        )
        .on("data", async |Data(n): Data<u32>| n)
        .on("error", async || Err::<(), _>(Error::new("failed")))
        .on("panic", async || {
            if true {
                panic!("bang");
            }
        })
        .on("fine", async || "fine")
        .on("both", async || Err::<(), _>(Error::new("the first one failed")))
        .on("both", async || "the second");
    let mut ws = Ws::connect(&io).await;
    let answer = ws.ask(r#"["data","text"]"#).await;
    assert!(answer.starts_with(r#"[{"error":"arguments of \"data\": "#), "{answer}");
    assert_eq!(ws.ask(r#"["error"]"#).await, r#"[{"error":"failed"},false]"#);
    assert_eq!(ws.ask(r#"["panic"]"#).await, r#"[{"error":"handler panicked: bang"},true]"#);
    assert_eq!(ws.ask(r#"["stop"]"#).await, r#"[{"error":"stopped"},false]"#);
    assert_eq!(ws.ask(r#"["fine"]"#).await, r#"["fine"]"#);
    // Nobody waits for an answer.
    ws.send(r#"42["error"]"#).await;
    assert_eq!(ws.ask(r#"["both"]"#).await, r#"[{"error":"the first one failed"},false]"#);
    ws.expect_silence().await;
}

async fn watching_what_is_sent() {
    let io = builder().shards(2).build();
    let log = Log::default();
    let watched = log.clone();
    io.of("/").on_connect(
        move |socket: Socket, Auth(name): Auth<serde_json::Map<String, serde_json::Value>>| {
            let name = name["name"].as_str().expect("a name").to_owned();
            socket.join(["all", &name]);
            if name != "c" {
                let watched = watched.clone();
                socket.on_any_outgoing(move |_, payload| {
                    let event = payload.name().expect("a name");
                    watched.push(format!("{name} {event} {}", payload.args_text()));
                });
            }
            std::future::ready(())
        },
    );
    let mut all = Vec::new();
    for name in ["a", "b", "c"] {
        let mut ws = Ws::open(&io).await;
        ws.send(format!(r#"40{{"name":"{name}"}}"#)).await;
        assert!(ws.recv().await.starts_with("40"));
        all.push(ws);
    }
    settle().await;
    let take = || {
        let mut entries = log.take();
        entries.sort();
        entries
    };
    io.emit("e", &1).unwrap();
    assert_eq!(take(), ["a e 1", "b e 1"]);
    io.to("b").to("c").emit("e", &(1, 2)).unwrap();
    assert_eq!(take(), ["b e 1,2"]);
    io.except("b").emit("e", &()).unwrap();
    assert_eq!(take(), ["a e "]);
    let sockets = io.of("/").sockets();
    let a = sockets.iter().find(|socket| socket.rooms().iter().any(|room| &**room == "a")).expect("a");
    a.emit("own", &"x").unwrap();
    let asked = a.emit_with_ack::<(), _>("own", &"y").send();
    assert_eq!(take(), [r#"a own "x""#, r#"a own "y""#]);
    drop(asked);
    a.off_any_outgoing();
    io.emit("e", &3).unwrap();
    assert_eq!(take(), ["b e 3"]);

    let all_of_them = log.clone();
    let mut watched = Ws::open(&io).await;
    io.of("/later").on_any_outgoing(move |socket, payload| {
        all_of_them.push(format!("{} {}", socket.namespace().name(), payload.name().expect("a name")));
        panic!("only here");
    });
    watched.join("/later").await;
    io.of("/later").emit("e", &()).unwrap();
    watched.expect(r#"42/later,["e"]"#).await;
    assert_eq!(take(), ["/later e"]);
}

async fn sent_away_with_words() {
    let io = server();
    let log = Log::default();
    let ends = log.clone();
    io.of("/")
        .on("spam", async |socket: Socket| {
            socket.disconnect_with("kicked for spam");
            socket.disconnect_with("too late");
        })
        .on_disconnect(move |socket: Socket, reason: DisconnectReason| {
            ends.push(format!("{reason}: {:?}", socket.disconnect_description()));
            std::future::ready(())
        });
    let mut ws = Ws::connect(&io).await;
    ws.send(r#"42["spam"]"#).await;
    ws.expect("41").await;
    let mut other = Ws::connect(&io).await;
    other.send("41").await;
    until(|| log.len() == 2).await;
    assert_eq!(
        log.take(),
        [r#"server namespace disconnect: Some("kicked for spam")"#, "client namespace disconnect: None"]
    );
}

async fn what_it_knows_of_the_connection() {
    let io = server();
    let polling = Polling::connect(&io).await;
    let socket = io.of("/").sockets().pop().expect("it is there");
    assert_eq!(socket.transport(), Some(Transport::Polling));
    assert_eq!(socket.server().connections(), 1);
    assert!(socket.auth::<HashMap<String, u8>>().expect("an object").is_empty());
    assert!(socket.auth::<u8>().is_err());
    polling.post("1").await;
    settle().await;
    assert_eq!((socket.transport(), socket.protocol()), (None, None));
    let _ws = Ws::connect(&io).await;
    let socket = io.of("/").sockets().pop().expect("it is there");
    assert_eq!((socket.transport(), socket.protocol()), (Some(Transport::WebSocket), Some(4)));
}

async fn a_client_of_socket_io_2() {
    let io = builder().allow_eio3(true).build();
    let request = http::Request::get("/socket.io/?EIO=3&transport=polling");
    let answer = io.handle(request.body(Full::<Bytes>::default()).expect("a request"), None).await;
    assert_eq!(answer.status(), 200);
    until(|| io.of("/").len() == 1).await;
    let socket = io.of("/").sockets().pop().expect("it is there");
    assert_eq!((socket.transport(), socket.protocol()), (Some(Transport::Polling), Some(3)));
}

/// Attachments of Socket.IO 2 may contain what separates the packets of later revisions.
async fn an_attachment_of_socket_io_2() {
    let io = builder().allow_eio3(true).build();
    let log = Log::default();
    let seen = log.clone();
    io.of("/").on("data", move |Data(data): Data<Bytes>| {
        seen.push(data.len().to_string());
        std::future::ready(())
    });
    let ask = async |method: &str, sid: &str, body: Vec<u8>| {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("/socket.io/?EIO=3&transport=polling{sid}"))
            .header("content-type", "application/octet-stream");
        let answer = io.handle(request.body(Full::<Bytes>::from(body)).expect("a request"), None).await;
        (answer.status(), answer.into_body().collect().await.expect("a body").to_bytes())
    };
    let (_, open) = ask("GET", "", Vec::new()).await;
    let open = String::from_utf8_lossy(&open).into_owned();
    let (_, sid) = open.split_once("\"sid\":\"").expect("an id");
    let sid = format!("&sid={}", &sid[..sid.find('"').expect("its end")]);
    let packet = |kind: u8, content: &[u8]| {
        let mut bytes = vec![kind];
        bytes.extend(content.len().to_string().bytes().map(|digit| digit - b'0'));
        bytes.push(0xff);
        bytes.extend(content);
        bytes
    };
    let mut body = packet(0, br#"451-["data",{"_placeholder":true,"num":0}]"#);
    body.extend(packet(1, &[&[4][..], &[0x1e; 1000]].concat()));
    assert_eq!(ask("POST", &sid, body).await.0, 200);
    until(|| log.len() == 1).await;
    assert_eq!(log.take(), ["1000"]);
}

async fn lists_of_rooms() {
    let io = server();
    let mut ws = Ws::connect(&io).await;
    let socket = io.of("/").sockets().pop().expect("it is there");
    let rooms = || socket.rooms()[1..].iter().map(ToString::to_string).collect::<Vec<_>>();
    socket.join(["a", "b"]);
    socket.join(vec!["b".to_owned(), "c".to_owned()]);
    assert_eq!(rooms(), ["a", "b", "c"]);
    socket.leave(["a", "nowhere"]);
    io.to(["nowhere", "b"]).sockets_join(["d", "e"]);
    io.to(socket.id()).sockets_leave(["b", "e"]);
    assert_eq!(rooms(), ["c", "d"]);
    assert_eq!(io.to(["c", "d"]).emit("once", &()).unwrap().sockets, 1);
    assert_eq!(io.except(["x", "d"]).emit("none", &()).unwrap().sockets, 0);
    ws.expect(r#"42["once"]"#).await;
}
