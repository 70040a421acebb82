//! What handlers are given, and what becomes of their results.

use std::collections::BTreeMap;
use std::future::Ready;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sio_driver::{
    Ack, Auth, ConnectError, Data, DisconnectReason, Error, Event, Namespace, Payload, Server, Socket, State,
    Str,
};

use crate::api::common::{Log, Polling, Ws, builder, server};
use crate::api::{Case, list};
use crate::world::{settle, until, yield_now};

pub(super) const CASES: &[Case] = list![
    extractors_in_any_order,
    a_disconnect_handler_knows_why_and_where,
    forms_of_arguments,
    results,
    a_value_is_not_sent_to_who_did_not_ask,
    several_handlers,
    handlers_of_one_socket_come_and_go,
    once_is_once_also_for_a_burst,
    removed_handlers_may_use_the_socket,
    handlers_of_one_socket_may_hold_it,
    an_emit_from_inside_a_serializer,
    refused_clients_reach_no_handler,
    a_report_names_the_event,
];

#[derive(Debug, Serialize, Deserialize)]
struct Image {
    name: String,
    data: Bytes,
}

async fn extractors_in_any_order() {
    #[derive(Deserialize)]
    struct Login {
        name: String,
    }
    let io = builder().state(7_u32).state("text").build();
    io.of("/chat")
        .on_connect(async |Auth(login): Auth<Login>, socket: Socket, namespace: Namespace| {
            socket.join(login.name);
            socket.join(namespace.name());
        })
        .on(
            "all",
            async |State(number): State<u32>,
                   ack: Ack,
                   Data(argument): Data<String>,
                   Event(event): Event,
                   socket: Socket,
                   server: Server,
                   State(text): State<&'static str>,
                   payload: Payload| {
                let rooms = socket.rooms().len();
                let wanted = ack.is_wanted();
                let found = server.of("/chat").len();
                let count = payload.deserialize::<Vec<String>>().is_ok();
                ack.send(&(number, text, argument, event.as_str(), rooms, wanted, found, count))
                    .map_err(Error::from)
            },
        );
    let mut ws = Ws::open(&io).await;
    ws.send(r#"40/chat,{"name":"me"}"#).await;
    let _ = ws.recv().await;
    ws.send(r#"42/chat,5["all","x"]"#).await;
    ws.expect(r#"43/chat,5[7,"text","x","all",3,true,1,false]"#).await;
}

async fn a_disconnect_handler_knows_why_and_where() {
    let io = server();
    let log = Log::default();
    let left = log.clone();
    io.of("/").on_connect(async |socket: Socket| socket.join("room")).on_disconnect(
        move |socket: Socket, reason: DisconnectReason| {
            let rooms = socket.rooms();
            let named_by_id = rooms[0] == socket.id().as_str();
            let connected = socket.is_connected();
            left.push(format!("{reason} {named_by_id} {} {connected} {:?}", rooms[1], socket.emit("x", &())));
            async {}
        },
    );
    for end in ["41", "close", "1"] {
        let mut ws = Ws::connect(&io).await;
        match end {
            "close" => ws.socket.close(None).await.unwrap(),
            packet => ws.send(packet).await,
        }
        until(|| log.len() > 0).await;
        let reason = if end == "41" { "client namespace disconnect" } else { "transport close" };
        assert_eq!(log.take(), [format!("{reason} true room false Err(Disconnected)")], "{end}");
    }
}

async fn forms_of_arguments() {
    let io = server();
    io.of("/")
        .on("none", async |Data(()): Data<()>| "none")
        .on("one", async |Data(one): Data<u8>| one)
        .on("two", async |Data((one, two)): Data<(u8, String)>| format!("{one}{two}"))
        .on("optional", async |Data((one, two)): Data<(u8, Option<u8>)>| (one, two))
        .on("list", async |Data(list): Data<Vec<u8>>| list.len())
        .on("map", async |Data(map): Data<BTreeMap<String, u8>>| map)
        .on("image", async |Data(image): Data<Image>| format!("{} {}", image.name, image.data.len()));
    let mut ws = Ws::connect(&io).await;
    for (sent, answer) in [
        (r#"["none"]"#, r#"["none"]"#),
        (r#"["one",1]"#, "[1]"),
        (r#"["two",1,"b"]"#, r#"["1b"]"#),
        (r#"["optional",1,2]"#, "[1,2]"),
        (r#"["optional",1]"#, "[1,null]"),
        (r#"["list",[1,2,3]]"#, "[3]"),
        (r#"["map",{"a":1}]"#, r#"[{"a":1}]"#),
    ] {
        assert_eq!(ws.ask(sent).await, answer, "{sent}");
    }
    ws.send(r#"451-7["image",{"name":"cat","data":{"_placeholder":true,"num":0}}]"#).await;
    futures_util::SinkExt::send(&mut ws.socket, tungstenite::Message::binary(vec![1, 2, 3])).await.unwrap();
    ws.expect(r#"437["cat 3"]"#).await;
}

async fn results() {
    let io = server();
    io.of("/")
        .on("nothing", async || ())
        .on("value", async || 1)
        .on("tuple", async || (1, "b", None::<u8>))
        .on("text", async || String::from("text"))
        .on("str", async || Str::from("str"))
        .on("data", async || Data(BTreeMap::from([("key", 1)])))
        .on("payload", async |payload: Payload| payload)
        .on("ok", async || Ok("fine"))
        .on("question mark", async |Data(text): Data<String>| {
            let number: i32 = text.parse()?;
            Ok(number + 1)
        })
        .on("custom", async || {
            if true {
                return Err(Error::new("custom"));
            }
            Ok(())
        })
        .on("bytes", async || Bytes::from_static(b"abc"))
        .on("after", async || "after");
    let errors = Log::default();
    let reported = errors.clone();
    io.of("/").on_error(move |_, error| reported.push(error.to_string()));
    let mut ws = Ws::connect(&io).await;
    for (sent, answer) in [
        (r#"["value"]"#, "[1]"),
        (r#"["tuple"]"#, r#"[1,"b",null]"#),
        (r#"["text"]"#, r#"["text"]"#),
        (r#"["str"]"#, r#"["str"]"#),
        (r#"["data"]"#, r#"[{"key":1}]"#),
        (r#"["payload",1,{"a":[2]}]"#, r#"[1,{"a":[2]}]"#),
        (r#"["ok"]"#, r#"["fine"]"#),
        (r#"["question mark","41"]"#, "[42]"),
    ] {
        assert_eq!(ws.ask(sent).await, answer, "{sent}");
    }
    assert_eq!(errors.take(), [""; 0]);
    for (sent, error) in [
        (r#"["nothing"]"#, None),
        (r#"["question mark","x"]"#, Some("invalid digit found in string")),
        (r#"["custom"]"#, Some("custom")),
        (r#"["question mark",1]"#, Some("arguments of \"question mark\"")),
    ] {
        ws.send(format!("428{sent}")).await;
        assert_eq!(ws.ask(r#"["after"]"#).await, r#"["after"]"#, "and no other answer to {sent}");
        let reported = errors.take();
        assert_eq!(reported.len(), usize::from(error.is_some()), "{reported:?}");
        assert!(reported.iter().all(|text| text.starts_with(error.unwrap_or_default())), "{reported:?}");
    }
    ws.send(r#"427["bytes"]"#).await;
    ws.expect(r#"461-7[{"_placeholder":true,"num":0}]"#).await;
    assert_eq!(ws.next().await, Some(tungstenite::Message::binary(b"abc".to_vec())));
}

async fn a_value_is_not_sent_to_who_did_not_ask() {
    let io = server();
    io.of("/").on("value", async || 1).on("after", async || 2);
    let mut ws = Ws::connect(&io).await;
    ws.send(r#"42["value"]"#).await;
    assert_eq!(ws.ask(r#"["after"]"#).await, "[2]");
}

async fn several_handlers() {
    let io = server();
    let log = Log::default();
    let (any, first, second, own) = (log.clone(), log.clone(), log.clone(), log.clone());
    let listen = move |socket: Socket| {
        let own = own.clone();
        socket.on("event", move |Event(name): Event| {
            own.push(format!("own {name}"));
            async { "own" }
        });
        async {}
    };
    io.of("/")
        .on_connect(listen)
        .on("event", move || {
            let first = first.clone();
            async move {
                yield_now().await;
                first.push("first");
            }
        })
        .on("event", move || {
            second.push("second");
            async { "second" }
        })
        .on_any(move |Event(name): Event| {
            any.push(format!("any {name}"));
            async {}
        });
    let mut ws = Ws::connect(&io).await;
    assert_eq!(ws.ask(r#"["event"]"#).await, r#"["second"]"#, "the first value is the answer");
    assert_eq!(log.take(), ["any event", "first", "second", "own event"]);
    assert_eq!(ws.ask(r#"["event",2]"#).await, r#"["second"]"#, "and the only one");
    assert_eq!(log.take().len(), 4);
    ws.send(r#"42["unknown"]"#).await;
    until(|| log.len() > 0).await;
    assert_eq!(log.take(), ["any unknown"]);
}

async fn handlers_of_one_socket_come_and_go() {
    let io = server();
    let log = Log::default();
    let (any, first, second) = (log.clone(), log.clone(), log.clone());
    io.of("/")
        .on("set up", move |socket: Socket| {
            let (any, first, second) = (any.clone(), first.clone(), second.clone());
            socket
                .once("event", move |Event(name): Event| {
                    first.push(format!("once {name}"));
                    async { "once" }
                })
                .on("event", move || {
                    second.push("own");
                    async { "own" }
                })
                .on_any(move |Event(name): Event| {
                    any.push(format!("any {name}"));
                    async {}
                })
                .once("number", async |Data(number): Data<u8>| number);
            async { "ready" }
        })
        .on("tear down", async |socket: Socket| {
            socket.off("event").off("nothing");
            "done"
        });
    let mut other = Ws::connect(&io).await;
    let mut ws = Ws::connect(&io).await;
    assert_eq!(ws.ask(r#"["set up"]"#).await, r#"["ready"]"#);
    assert_eq!(log.take(), [""; 0]);
    assert_eq!(ws.ask(r#"["event"]"#).await, r#"["once"]"#);
    assert_eq!(log.take(), ["any event", "once event", "own"]);
    assert_eq!(ws.ask(r#"["event"]"#).await, r#"["own"]"#);
    assert_eq!(log.take(), ["any event", "own"], "once is once");
    ws.send(r#"428["number","x"]"#).await;
    ws.send(r#"428["number",1]"#).await;
    assert_eq!(ws.ask(r#"["tear down"]"#).await, r#"["done"]"#, "arguments that do not parse use it up");
    assert_eq!(log.take(), ["any number", "any number", "any tear down"]);
    ws.send(r#"428["event"]"#).await;
    assert_eq!(ws.ask(r#"["set up"]"#).await, r#"["ready"]"#, "an event that has no handler now");
    assert_eq!(log.take(), ["any event", "any set up"]);
    other.send(r#"428["event"]"#).await;
    settle().await;
    assert_eq!(log.take(), [""; 0], "handlers of one client are for that one");
}

/// Two events that are read together, and handlers that may run at once.
async fn once_is_once_also_for_a_burst() {
    let io = server();
    let log = Log::default();
    let seen = log.clone();
    io.of("/").concurrent(10).on_connect(move |socket: Socket| {
        let seen = seen.clone();
        socket.once("event", move |Data(number): Data<u8>| {
            let seen = seen.clone();
            async move {
                yield_now().await;
                seen.push(number.to_string());
            }
        });
        async {}
    });
    let mut ws = Ws::connect(&io).await;
    ws.send_all((0..5).map(|number| format!(r#"42["event",{number}]"#))).await;
    until(|| log.len() > 0).await;
    settle().await;
    assert_eq!(log.take(), ["0"]);
}

/// What a removed handler captured may use the socket when it is dropped.
async fn removed_handlers_may_use_the_socket() {
    struct Last(Socket);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.on("last", async || "words");
        }
    }
    let io = server();
    io.of("/").on("go", async |socket: Socket, Data(once): Data<bool>| {
        let last = Last(socket.clone());
        let handler = move || {
            let _ = &last;
            async { "event" }
        };
        if once {
            socket.once("event", handler)
        } else {
            socket.on("event", handler)
        };
        if !once {
            socket.off("event");
        }
    });
    for once in [false, true] {
        let mut ws = Ws::connect(&io).await;
        ws.send(format!(r#"42["go",{once}]"#)).await;
        if once {
            assert_eq!(ws.ask(r#"["event"]"#).await, r#"["event"]"#);
        }
        assert_eq!(ws.ask(r#"["last"]"#).await, r#"["words"]"#);
    }
}

/// Holding the socket in one of its own handlers is natural; it must not live for ever.
async fn handlers_of_one_socket_may_hold_it() {
    struct Guard(Log);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.push("dropped");
        }
    }
    for refuse in [false, true] {
        let io = server();
        let log = Log::default();
        let dropped = log.clone();
        let listen = move |socket: Socket| {
            let (held, guard) = (socket.clone(), Guard(dropped.clone()));
            socket.on("who", move || {
                let _ = &guard;
                let id = held.id().to_string();
                async move { id }
            });
            async move { if refuse { Err(ConnectError::new("no")) } else { Ok(()) } }
        };
        io.of("/").use_(listen);
        let mut ws = Ws::open(&io).await;
        ws.send("40").await;
        if refuse {
            ws.expect(r#"44{"message":"no"}"#).await;
        } else {
            let id = crate::api::common::sid_of(&ws.recv().await);
            assert_eq!(ws.ask(r#"["who"]"#).await, format!("[\"{id}\"]"));
            assert_eq!(log.len(), 0);
        }
        drop(ws);
        until(|| log.len() == 1).await;
    }
}

async fn an_emit_from_inside_a_serializer() {
    struct Chatty(Socket);
    impl Serialize for Chatty {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.emit("inner", &1).map_err(serde::ser::Error::custom)?;
            self.0.namespace().emit("everyone", &2).map_err(serde::ser::Error::custom)?;
            serializer.serialize_str("outer")
        }
    }
    let io = server();
    io.of("/")
        .on("go", async |socket: Socket| socket.emit("outer", &Chatty(socket.clone())).map_err(Error::from));
    let mut ws = Ws::connect(&io).await;
    ws.send(r#"42["go"]"#).await;
    ws.expect(r#"42["inner",1]"#).await;
    ws.expect(r#"42["everyone",2]"#).await;
    ws.expect(r#"42["outer","outer"]"#).await;
}

async fn refused_clients_reach_no_handler() {
    for waits in [false, true] {
        let io = server();
        let log = Log::default();
        let (event, any, own) = (log.clone(), log.clone(), log.clone());
        io.of("/")
            .use_(move |socket: Socket| {
                let own = own.clone();
                socket.on("own", move || {
                    own.push("own");
                    async {}
                });
                async move {
                    if waits {
                        yield_now().await;
                    }
                    Err(ConnectError::new("no"))
                }
            })
            .on("event", move || {
                event.push("event");
                async {}
            })
            .on_any(move || {
                any.push("any");
                async {}
            });
        let mut ws = Ws::open(&io).await;
        ws.send_all(["40".to_owned(), r#"42["event"]"#.to_owned(), r#"42["own"]"#.to_owned()]).await;
        ws.expect(r#"44{"message":"no"}"#).await;
        let polling = Polling::open(&io).await;
        polling.post(r#"40 42["event"] 42["own"]"#).await;
        assert_eq!(polling.get().await, r#"44{"message":"no"}"#);
        settle().await;
        assert_eq!(log.take(), [""; 0], "waits: {waits}");
    }
}

async fn a_report_names_the_event() {
    sio_driver::events! {
        Order = "order"(u8);
    }

    async fn fails() -> Result<(), Error> {
        yield_now().await;
        Err(Error::new("it failed"))
    }

    let io = server();
    let log = Log::default();
    let seen = log.clone();
    io.of("/")
        .on_error(move |_, error| seen.push(format!("{}: {error}", error.event().unwrap_or("?"))))
        .use_event(async |Event(name): Event| match &*name {
            "refused" => Err(Error::new("not this one")),
            _ => Ok(()),
        })
        .on_connect(fails)
        .on_connect(async |socket: Socket| {
            socket.once("once", fails);
            Ok(())
        })
        .on("returned", fails)
        .on("number", async |Data(_): Data<u8>| {})
        .on("panic", || -> Ready<()> { panic!("no future") })
        .on("two", fails)
        .on("two", fails)
        .on(Order, async |_: u8| Err(Error::new("sold out")))
        .on("fine", async || "fine")
        .on_disconnect(fails);
    io.of("/any").on_error({
        let seen = log.clone();
        move |_, error| seen.push(format!("{} in any", error.event().unwrap_or("?")))
    });
    io.of("/any").on_any(fails).use_(async || if true { panic!("in a middleware") } else { Ok(()) });
    let mut ws = Ws::connect(&io).await;
    settle().await;
    assert_eq!(log.take(), ["connect: it failed"]);
    for (sent, reports) in [
        (r#"["returned"]"#, &["returned: it failed"][..]),
        (r#"["\u0070anic"]"#, &["panic: handler panicked: no future"]),
        (r#"["two"]"#, &["two: it failed"; 2]),
        (r#"["once"]"#, &["once: it failed"]),
        (r#"["refused"]"#, &["refused: not this one"]),
        (r#"["order",1]"#, &["order: sold out"]),
    ] {
        ws.send(format!("42{sent}")).await;
        assert_eq!(ws.ask(r#"["fine"]"#).await, r#"["fine"]"#);
        assert_eq!(log.take(), reports, "{sent}");
    }
    for name in ["number", "order"] {
        ws.send(format!(r#"42["{name}","x"]"#)).await;
        assert_eq!(ws.ask(r#"["fine"]"#).await, r#"["fine"]"#);
        let reports = log.take();
        let expected = format!("{name}: arguments of {name:?}");
        assert!(reports.len() == 1 && reports[0].starts_with(&expected), "{reports:?}");
    }
    ws.send("41").await;
    settle().await;
    assert_eq!(log.take(), ["disconnect: it failed"]);

    ws.send("40/any,").await;
    ws.expect(r#"44/any,{"message":"Internal server error"}"#).await;
    assert_eq!(log.take(), ["connect in any"]);
    io.of("/later").on_any(fails).on_error({
        let seen = log.clone();
        move |_, error| seen.push(error.event().unwrap_or("?"))
    });
    ws.join("/later").await;
    ws.send(r#"42/later,["whatever"]"#).await;
    settle().await;
    assert_eq!(log.take(), ["whatever"]);
}
