//! What the codecs of `sio-proto` cost: from bytes to a handler's type, and back.

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};
use sio_proto::Str;
use sio_proto::engine::{Message, Packet, payload};
use sio_proto::socket::{Decoder, Encoder, Packet as SocketPacket};
use std::hint::black_box;

/// Names of the cases, and their arguments.
fn cases() -> Vec<(&'static str, Value)> {
    let object: serde_json::Map<_, _> =
        (0..24).map(|i| (format!("field{i}"), json!({"id": i, "name": "x".repeat(20)}))).collect();
    vec![
        ("32 B string", json!("x".repeat(32))),
        ("1 KiB string", json!("x".repeat(1024))),
        ("1 KiB object", Value::Object(object)),
        ("64 KiB string", json!("x".repeat(64 << 10))),
    ]
}

fn event(text: &Str) -> sio_proto::socket::Payload {
    let Ok(Packet::Message(message)) = Packet::decode(text.clone()) else { panic!("a message") };
    match Decoder::new(10, 1 << 24).decode(message) {
        Ok(Some(SocketPacket::Event { payload, .. })) => payload,
        other => panic!("an event, not {other:?}"),
    }
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for (name, value) in cases() {
        let text = Str::from(format!("42{}", json!(["event", value])));
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("{name}, raw"), |b| b.iter(|| event(black_box(&text))));
        group.bench_function(format!("{name}, JSON tree"), |b| {
            b.iter(|| event(black_box(&text)).deserialize::<Value>());
        });
        if value.is_string() {
            group.bench_function(format!("{name}, String"), |b| {
                b.iter(|| event(black_box(&text)).deserialize::<String>());
            });
        }
    }
    group.finish();
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    let mut encoder = Encoder::new();
    for (name, value) in cases() {
        group.bench_function(name, |b| b.iter(|| encoder.event("/", None, "event", black_box(&value))));
    }
    let bytes = Bytes::from(vec![7; 1024]);
    group.bench_function("1 KiB attachment", |b| {
        b.iter(|| encoder.event("/", None, "event", black_box(&bytes)));
    });
    group.finish();
}

fn attachments(c: &mut Criterion) {
    c.bench_function("decode 1 KiB attachment", |b| {
        let header = Str::from_static(r#"51-["event",{"_placeholder":true,"num":0}]"#);
        let bytes = Bytes::from(vec![7; 1024]);
        b.iter(|| {
            let mut decoder = Decoder::new(10, 1 << 24);
            let _ = decoder.decode(Message::Text(header.clone()));
            match decoder.decode(Message::Binary(bytes.clone())) {
                Ok(Some(SocketPacket::Event { payload, .. })) => payload.deserialize::<Bytes>(),
                other => panic!("an event, not {other:?}"),
            }
        });
    });
}

fn polling(c: &mut Criterion) {
    let body = Str::from(vec![r#"42["event","0123456789"]"#; 100].join("\u{1e}"));
    c.bench_function("decode a payload of 100 packets", |b| {
        b.iter_batched(|| body.clone(), |body| payload::decode(body).count(), BatchSize::SmallInput);
    });
}

criterion_group!(benches, decode, encode, attachments, polling);
criterion_main!(benches);
