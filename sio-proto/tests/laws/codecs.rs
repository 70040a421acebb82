//! Round trips, and texts that are nearly right.

use bytes::Bytes;
use proptest::prelude::*;
use sio_proto::engine::{Frame, Message, Packet as EnginePacket};
use sio_proto::fuzzing;
use sio_proto::socket::{Decoder, Encoder, Packet, is_reserved};

/// Sends what was encoded through the decoder of the other side.
fn receive(packet: &sio_proto::engine::Encoded) -> Packet {
    let mut decoder = Decoder::new(10, usize::MAX);
    let mut received = None;
    for frame in packet.frames() {
        assert_eq!(received, None, "more after the end");
        let message = match frame {
            Frame::Text(text) => match EnginePacket::decode(text) {
                Ok(EnginePacket::Message(message)) => message,
                other => panic!("{other:?}"),
            },
            Frame::Binary(bytes) => Message::Binary(bytes),
            other => panic!("{other:?}"),
        };
        received = decoder.decode(message).unwrap();
    }
    received.expect("a whole packet")
}

type Arguments = (String, Vec<u8>, Option<i64>);

proptest! {
    #[test]
    fn an_event_arrives_as_it_was_sent(
        name in any::<String>(),
        namespace in "/[^,]{0,10}",
        id in prop::option::of(0..1u64 << 53),
        arguments in any::<Arguments>(),
        long in 0..2000usize,
    ) {
        let mut encoder = Encoder::new();
        let (text, bytes, number) = arguments;
        let arguments = (text.repeat(long / 100), Bytes::from(bytes), number);
        let encoded = encoder.event(&namespace, id, &name, &arguments);
        prop_assert_eq!(encoded.is_err(), is_reserved(&name));
        if let Ok(encoded) = encoded {
            let Packet::Event { namespace: to, id: asked, payload } = receive(&encoded) else { panic!("an event") };
            prop_assert_eq!((to.as_str(), asked), (namespace.as_str(), id));
            let arrived = payload.name().map(|name| name.into_owned());
            prop_assert_eq!(arrived, Some(name));
            prop_assert_eq!(payload.deserialize::<(String, Bytes, Option<i64>)>().unwrap(), arguments.clone());
        }

        let encoded = encoder.ack(&namespace, id.unwrap_or(0), &arguments).unwrap();
        let Packet::Ack { namespace: to, id: answered, payload } = receive(&encoded) else { panic!("an answer") };
        prop_assert_eq!((to.as_str(), answered), (namespace.as_str(), id.unwrap_or(0)));
        prop_assert_eq!(payload.deserialize::<(String, Bytes, Option<i64>)>().unwrap(), arguments);
    }

    #[test]
    fn engine_packets(text in "[0-7b]?[a-zA-Z0-9+/=é]{0,9}", any in any::<Vec<u8>>()) {
        fuzzing::engine_packet(text.as_bytes());
        fuzzing::engine_packet(&any);
    }

    #[test]
    fn polling_payloads(text in "([0-7b]?[a-zA-Z0-9+/=é]{0,5}\u{1e}?){0,5}", any in any::<Vec<u8>>()) {
        fuzzing::polling_payload(text.as_bytes());
        fuzzing::polling_payload(&any);
    }

    #[test]
    fn socket_packets(text in "([0-6][0-3]?-?(/[a-z]?,)?[0-9]{0,2}\\[?\"?[a-z\\\\]?\"?,?[0-9]?\\]?\u{1e}?\0?){0,5}", any in any::<Vec<u8>>()) {
        fuzzing::socket_packet(text.as_bytes());
        fuzzing::socket_packet(&any);
    }

    #[test]
    fn payloads(count in any::<u8>(), text in "\\[\"[a-z]?\"(,(1|-1.5e3|\"[a-z\\\\\"]\"|null|\\{\"_placeholder\":true,\"num\":[0-3]\\}|\\[1,2\\]|\\{\"a\":1\\}|\\{\"Bytes\":null\\})){0,3}\\]") {
        let mut bytes = vec![count];
        bytes.extend(text.as_bytes());
        fuzzing::payload_data(&bytes);
    }
}
