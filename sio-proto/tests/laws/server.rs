//! The laws for the composite server. Its world is that of the fuzz target; what only the composite promises is here.

use proptest::prelude::*;
use sio_proto::fuzzing;

use crate::common::Rig;

/// A socket on a WebSocket and one that polls: they open, say `40`, and are let in.
const TWO_SOCKETS: [fuzzing::Op; 12] = [
    [1, 0, 0, 0],
    [16, 0, 0, 0],
    [9, 0, 0, 0],
    [20, 0, 0, 0],
    [22, 0, 0, 0],
    [16, 0, 0, 0],
    [0, 0, 0, 0],
    [5, 1, 0, 0],
    [20, 1, 0, 0],
    [22, 0, 0, 0],
    [3, 1, 0, 0],
    [16, 0, 0, 0],
];

/// Packets of a client that mostly keeps to the protocol.
fn packets() -> impl Strategy<Value = Vec<String>> {
    let usual = [
        "40",
        "40/chat,",
        "40/nope,",
        "40/nope,",
        "42[\"a\"]",
        "42[\"b\",1]",
        "421[\"c\"]",
        "42/chat,[\"d\"]",
        "41",
        "41/chat,",
        "430[]",
        "451-[\"e\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQI=",
        "452-[\"f\"]\u{1e}bAQI=\u{1e}b",
        "3",
        "6",
    ]
    .map(String::from);
    let rare = ["4nonsense", "1", "42{}", "9", "44{}", "bAQI=", "4", "2"].map(String::from);
    let one =
        prop_oneof![30 => prop::sample::select(usual.to_vec()), 1 => prop::sample::select(rare.to_vec())];
    prop::collection::vec(one, 1..20)
}

/// What the application hears, up to the end, and what the client gets.
fn outcome(bodies: &[String]) -> (Vec<String>, String) {
    let mut rig = Rig::new();
    rig.server.of("/chat");
    let peer = rig.poller();
    rig.join_by_post(peer);
    for body in bodies {
        if rig
            .begin_post(peer)
            .map(|channel| rig.server.handle_body(channel, body.clone().into(), rig.now))
            .is_err()
        {
            break;
        }
    }
    let mut told = rig.told(peer.conn);
    let answer = match rig.get(peer) {
        Ok(get) => rig.response(get).map(|response| String::from_utf8(response.body.to_vec()).unwrap()),
        Err(_) => Some("gone".into()),
    };
    told.extend(rig.told(peer.conn));
    // Of several faults in one body, Engine.IO's come first; the connection ends one way or the other.
    let closed = told.last().is_some_and(|last| last.starts_with("closed"));
    told.retain(|event| !event.starts_with("closed"));
    (told, if closed { "closed".into() } else { answer.unwrap_or_default() })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_server_obeys(ops in prop::collection::vec(any::<fuzzing::Op>(), 0..150)) {
        fuzzing::server_ops(&ops.concat());
        // Most of what can go wrong needs somebody to be there.
        fuzzing::server_ops(&[&TWO_SOCKETS[..], &ops].concat().concat());
    }
}

proptest! {
    #[test]
    fn the_grouping_of_packets_makes_no_difference(packets in packets(), ends in any::<[bool; 20]>()) {
        let mut grouped = Vec::new();
        let mut body: Vec<&str> = Vec::new();
        for (packet, end) in packets.iter().zip(ends) {
            body.push(packet);
            if end {
                grouped.push(std::mem::take(&mut body).join("\u{1e}"));
            }
        }
        grouped.extend((!body.is_empty()).then(|| body.join("\u{1e}")));
        prop_assert_eq!(outcome(&packets), outcome(&grouped));
    }

    #[test]
    fn no_text_does_harm(texts in prop::collection::vec(any::<String>(), 0..8), prefix in "4?[0-6]?(/[a-z]*,)?") {
        let mut rig = Rig::new();
        let ws = rig.websocket();
        rig.join(ws, "");
        for text in texts {
            let _ = rig.say(ws, &format!("{prefix}{text}"));
        }
        rig.hang_up(ws.channel);
        rig.events(ws.conn);
        prop_assert!(rig.server.is_empty());
    }
}
