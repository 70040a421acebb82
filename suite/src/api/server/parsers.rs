//! Packets in other forms than JSON: a parser of one's own, and MessagePack.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sio_driver::parser::{
    Decode, Encoded, Limits, Message, Msgpack, Packet, PacketError, Parser, ParserError,
};
use sio_driver::{
    Auth, ConnectError, ConnectionError, ConnectionStateRecovery, Data, EmitError, EncodeError, Payload,
    Socket, Transport,
};
use tungstenite::Message as WsMessage;

use crate::api::common::{Log, Ws, builder, connection, server, websocket};
use crate::api::net::Net;
use crate::api::{Case, list};
use crate::world::{settle, until};

pub(super) const CASES: &[Case] = list![
    a_parser_of_ones_own,
    msgpack,
    what_a_parser_cannot_write_is_told,
    what_it_cannot_read_ends_the_connection,
    a_peer_with_another_parser,
    watchers_and_limits_do_not_change,
];

const SECOND: Duration = Duration::from_secs(1);

/// One packed binary message for each packet: a line with type, namespace and id, the data, and the attachments.
#[derive(Debug, Clone, Copy)]
struct Packed;

impl Parser for Packed {
    fn encode(&self, packet: &Packet) -> Result<Encoded, ParserError> {
        let (data, id) = (packet.data().unwrap_or_default(), packet.id());
        if data.contains("unspeakable") {
            return Err(ParserError::new("not that word"));
        }
        let attachments = packet.attachments().map(|list| list.as_slice()).unwrap_or_default();
        let lens: Vec<usize> = attachments.iter().map(Bytes::len).collect();
        let head = json!([packet.kind(), packet.namespace().as_str(), id, data, lens]);
        let mut out = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        let written = writeln!(out, "{head}")
            .and_then(|()| attachments.iter().try_for_each(|bytes| out.write_all(bytes)));
        let packed = written.and_then(|()| out.finish()).map_err(ParserError::new)?;
        Ok(Encoded::message(&Message::Binary(packed.into())))
    }

    fn decoder(&self, limits: Limits) -> Box<dyn Decode> {
        Box::new(Unpack(limits))
    }
}

#[derive(Debug)]
struct Unpack(Limits);

impl Decode for Unpack {
    fn decode(&mut self, message: Message) -> Result<Option<Packet>, PacketError> {
        let wrong = |what: &str| PacketError::Parser(ParserError::new(what));
        let Message::Binary(packed) = message else { return Err(wrong("text")) };
        let limit = self.0.max_packet_bytes;
        let mut all = Vec::new();
        let unpacked =
            flate2::read::DeflateDecoder::new(&packed[..]).take(limit as u64 + 1).read_to_end(&mut all);
        if unpacked.map_err(|_| wrong("not packed"))? > limit {
            return Err(PacketError::TooLarge { limit });
        }
        let end = all.iter().position(|byte| *byte == b'\n').ok_or_else(|| wrong("no line"))?;
        let mut rest = Bytes::from(all);
        let head = rest.split_to(end + 1);
        let (kind, namespace, id, data, lens): (u8, String, Option<u64>, String, Vec<usize>) =
            serde_json::from_slice(&head).map_err(|_| wrong("no head"))?;
        let mut attachments = Vec::new();
        for len in lens {
            if len > rest.len() {
                return Err(wrong("an attachment is missing"));
            }
            attachments.push(rest.split_to(len));
        }
        Packet::new(kind, namespace.into(), id, data.into(), attachments).map(Some)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Item {
    name: String,
    big: u64,
    small: i64,
    share: f64,
    blob: Bytes,
    inner: Vec<Option<Bytes>>,
}

fn item() -> Item {
    let name = "é😀\n\u{0}".into();
    let inner = vec![None, Some(Bytes::from_static(b"")), Some(Bytes::from_static(b"\xff\x00"))];
    Item { name, big: u64::MAX, small: i64::MIN, share: 0.1, blob: Bytes::from_static(b"blob"), inner }
}

/// Everything that there is a packet for, over each transport.
async fn converse(parser: impl Parser + Copy + 'static) {
    for transports in
        [&[Transport::Polling][..], &[Transport::WebSocket], &[Transport::Polling, Transport::WebSocket]]
    {
        let recovery = ConnectionStateRecovery::new();
        let io = builder().parser(parser).connection_state_recovery(recovery).build();
        io.of("/")
            .on_connect(async |socket: Socket| socket.join("room"))
            .on("echo", async |Data(item): Data<Item>| Data(item))
            .on("twice", async |socket: Socket, payload: Payload| {
                socket.emit("heard", &payload)?;
                let (answer, blob): (u8, Bytes) =
                    socket.emit_with_ack("question", &(item(), "?")).timeout(SECOND).await?;
                Ok((answer, blob))
            })
            .on("all", async |socket: Socket| {
                let replies = socket
                    .namespace()
                    .to("room")
                    .timeout(SECOND)
                    .emit_with_ack("question", &(item(), "!"))
                    .await?;
                Ok(replies
                    .into_iter()
                    .filter_map(|reply: sio_driver::AckResponse<(u8, Bytes)>| reply.result.ok())
                    .count())
            });
        let admin = io.of("/admin");
        admin.use_(async |Auth(token): Auth<serde_json::Value>| match token["token"].as_str() {
            Some("é") => Ok(()),
            _ => Err(ConnectError::new("no").data(&json!({ "code": 401 }))),
        });
        admin.on("bye", async |socket: Socket| socket.disconnect());
        let heard = Log::default();
        let log = heard.clone();
        let net = Net::to(&io);
        let client = net
            .builder()
            .parser(parser)
            .transports(transports.iter().copied())
            .reconnection_delay(SECOND)
            .on("heard", move |Data((text, blob)): Data<(String, Bytes)>| {
                log.push(format!("{text} {blob:?}"));
                async {}
            })
            .on("question", async |Data((asked, mark)): Data<(Item, String)>| {
                assert_eq!(asked, item());
                (mark.len(), Bytes::from_static(b"answer"))
            })
            .connect()
            .await
            .unwrap();
        assert_eq!(client.emit_with_ack::<Item, _>("echo", &item()).timeout(SECOND).await.unwrap(), item());
        let args = ("x", Bytes::from_static(b"y"));
        let answer: (u8, Bytes) = client.emit_with_ack("twice", &args).timeout(SECOND).await.unwrap();
        assert_eq!(answer, (1, Bytes::from_static(b"answer")));
        assert_eq!(heard.take(), [r#"x b"y""#]);
        assert_eq!(client.emit_with_ack::<usize, _>("all", &()).timeout(SECOND).await.unwrap(), 1);

        let refused = client.socket_with("/admin", |socket| socket.auth(&json!({ "token": "e" }))).unwrap();
        let Err(ConnectionError::Refused(error)) = refused.connected().await else { panic!("refused") };
        assert_eq!((error.message(), error.parse_data()), ("no", Some(json!({ "code": 401 }))));
        let other = net.builder().parser(parser).build().unwrap();
        let admin = other.socket_with("/admin", |socket| socket.auth(&json!({ "token": "é" }))).unwrap();
        admin.connected().await.unwrap();
        admin.emit("bye", &()).unwrap();
        until(|| !admin.is_connected()).await;
        other.close().await;

        // What it misses comes with its session.
        let id = client.id();
        io.to("room").emit("heard", &("offset", Bytes::new())).unwrap();
        until(|| heard.len() == 1).await;
        net.cut();
        until(|| !client.is_connected()).await;
        io.to("room").emit("heard", &("missed", Bytes::from_static(b"z"))).unwrap();
        until(|| client.is_connected()).await;
        settle().await;
        assert!(client.recovered() && client.id() == id);
        assert_eq!(heard.take(), [r#"offset b"""#, r#"missed b"z""#]);
        client.close().await;
        io.close().await;
    }
}

async fn a_parser_of_ones_own() {
    converse(Packed).await;
}

async fn msgpack() {
    converse(Msgpack).await;
}

async fn what_a_parser_cannot_write_is_told() {
    let io = builder().parser(Packed).build();
    let log = Log::default();
    let told = log.clone();
    io.of("/")
        .on("say", async |socket: Socket, Data(word): Data<String>| Ok(socket.emit("said", &word)?))
        .on_error(move |_, error| {
            let Some(EmitError::Encode(EncodeError::Parser(error))) = error.downcast_ref() else {
                panic!("{error}")
            };
            told.push(error.to_string());
        });
    let client = Net::to(&io).ws().parser(Packed).connect().await.unwrap();
    client.emit("say", "unspeakabl").unwrap();
    let event = client.recv().await.unwrap();
    assert_eq!((&*event.name(), event.data::<&str>().unwrap()), ("said", "unspeakabl"));
    let error = client.emit("say", "unspeakable").unwrap_err();
    assert!(matches!(error, EmitError::Encode(EncodeError::Parser(_))), "{error}");
    assert_eq!(error.to_string(), "not that word");
    // Written with escapes it passes, and the server cannot say it back.
    client
        .emit("say", &serde_json::value::RawValue::from_string(r#""unspe\u0061kable""#.into()).unwrap())
        .unwrap();
    until(|| log.len() == 1).await;
    assert_eq!(log.take(), ["not that word"]);
    assert!(client.is_connected());
}

async fn what_it_cannot_read_ends_the_connection() {
    let io = builder().parser(Packed).build();
    for message in [WsMessage::text("40"), WsMessage::binary(&b"\xff\xff"[..]), WsMessage::binary(&b""[..])] {
        let mut ws = Ws::open(&io).await;
        futures_util::SinkExt::send(&mut ws.socket, message).await.unwrap();
        ws.expect_end().await;
        until(|| io.connections() == 0).await;
    }
    // More than is allowed, however small it is packed.
    let io = builder().parser(Packed).max_packet_bytes(10_000).build();
    let client = Net::to(&io).ws().parser(Packed).reconnection(false).connect().await.unwrap();
    client.emit("x", &"a".repeat(20_000)).unwrap();
    until(|| !client.is_connected()).await;
}

async fn a_peer_with_another_parser() {
    // A server that speaks MessagePack, and a client that does not; and the other way.
    let io = builder().parser(Msgpack).build();
    let client = Net::to(&io).ws().reconnection(false).build().unwrap();
    until(|| !client.is_active()).await;
    assert!(!client.is_connected() && io.connections() == 0);
    let io = server();
    let client = Net::to(&io).ws().parser(Msgpack).reconnection(false).build().unwrap();
    until(|| !client.is_active()).await;
    assert!(!client.is_connected() && io.connections() == 0);
    drop(websocket(connection(&io, 1000), "").await);
}

/// What sees payloads sees the same whatever they travel as.
async fn watchers_and_limits_do_not_change() {
    let io = builder().parser(Msgpack).max_attachments(2).build();
    let log = Log::default();
    let (incoming, outgoing) = (log.clone(), log.clone());
    io.of("/")
        .on_any(move |payload: Payload| {
            incoming.push(format!("in {}", payload.text()));
            async {}
        })
        .on("e", async |socket: Socket| Ok(socket.emit("back", &(1, Bytes::from_static(b"b")))?))
        .on_any_outgoing(move |_, payload| outgoing.push(format!("out {}", payload.text())));
    let client = Net::to(&io).ws().parser(Msgpack).reconnection(false).connect().await.unwrap();
    client.emit("e", &(Bytes::from_static(b"a"), 1.5)).unwrap();
    until(|| log.len() == 2).await;
    let placeholder = r#"{"_placeholder":true,"num":0}"#;
    assert_eq!(
        log.take(),
        [format!(r#"in ["e",{placeholder},1.5]"#), format!(r#"out ["back",1,{placeholder}]"#)]
    );
    client.emit("e", &[Bytes::new(), Bytes::new(), Bytes::new()]).unwrap();
    until(|| !client.is_connected()).await;
    assert_eq!(log.take(), [""; 0]);
}
