//! Acknowledgements.

use std::time::Duration;

use sio_proto::UsageError;
use sio_proto::engine::Encoded;
use sio_proto::hub::{Scope, SocketKey};
use sio_proto::server::{Broadcast, EmitError, Op};

use crate::common::{Rig, Ws, brief};

const SECOND: Duration = Duration::from_secs(1);

fn joined() -> (Rig, Ws, SocketKey) {
    let mut rig = Rig::new();
    let ws = rig.websocket();
    let socket = rig.join(ws, "");
    (rig, ws, socket)
}

fn question(rig: &mut Rig, id: u64) -> Encoded {
    rig.encoder.event("/", Some(id), "question", &()).unwrap()
}

fn ask(rig: &mut Rig, socket: SocketKey, id: u64, timeout: Option<Duration>) -> Result<(), EmitError> {
    let packet = question(rig, id);
    let deadline = timeout.map(|timeout| rig.now + timeout);
    rig.server.emit_with_ack(socket, packet, id, deadline)
}

#[test]
fn b119_an_answer_counts_once_and_a_strange_one_not_at_all() {
    let (mut rig, ws, socket) = joined();
    ask(&mut rig, socket, 7, None).unwrap();
    assert_eq!(rig.frames(ws), [r#"427["question"]"#]);
    for packet in ["438[]", r#"437["yes",1]"#, r#"437["again"]"#, "430[]"] {
        rig.say(ws, packet).unwrap();
    }
    assert_eq!(rig.told(ws.conn), [r#"ack 7 ["yes",1]"#]);
}

#[test]
fn answers_may_be_binary() {
    let (mut rig, ws, socket) = joined();
    ask(&mut rig, socket, 0, None).unwrap();
    rig.say(ws, r#"461-0[{"_placeholder":true,"num":0}]"#).unwrap();
    rig.say_binary(ws, b"yes").unwrap();
    assert_eq!(rig.told(ws.conn), [r#"ack 0 [{"_placeholder":true,"num":0}] b"yes""#]);
}

#[test]
fn answers_do_not_wait_behind_events() {
    // A handler may be waiting for one, and other sockets need not be busy for that.
    for busy in [true, false] {
        let (mut rig, ws, socket) = joined();
        ask(&mut rig, socket, 1, None).unwrap();
        rig.say(ws, r#"42["before"]"#).unwrap();
        rig.say(ws, "431[]").unwrap();
        let busy = if busy { vec![socket] } else { Vec::new() };
        let event = rig.server.poll_event(ws.conn, &busy).unwrap();
        assert_eq!(brief(&event), "ack 1 []");
        assert_eq!(rig.told(ws.conn), [r#"["before"]"#]);
    }
}

#[test]
fn silence_is_reported_at_the_deadline_and_b121_a_late_answer_is_ignored() {
    let (mut rig, ws, socket) = joined();
    ask(&mut rig, socket, 1, Some(2 * SECOND)).unwrap();
    ask(&mut rig, socket, 2, Some(SECOND)).unwrap();
    ask(&mut rig, socket, 3, None).unwrap();
    assert_eq!(rig.server.poll_timeout(), Some(rig.now + SECOND));
    rig.pass_ms(999);
    assert_eq!(rig.told(ws.conn), [""; 0]);
    rig.pass_ms(1);
    assert_eq!(rig.told(ws.conn), ["ack 2 Timeout"]);
    rig.say(ws, r#"432["late"]"#).unwrap();
    rig.pass_ms(1_000);
    assert_eq!(rig.told(ws.conn), ["ack 1 Timeout"]);
    rig.say(ws, r#"433["no hurry"]"#).unwrap();
    assert_eq!(rig.told(ws.conn), [r#"ack 3 ["no hurry"]"#]);
    rig.pass_ms(10_000);
    assert_eq!(rig.told(ws.conn), [""; 0]);
}

#[test]
fn an_answer_in_time_is_not_followed_by_a_timeout() {
    let (mut rig, ws, socket) = joined();
    ask(&mut rig, socket, 1, Some(SECOND)).unwrap();
    rig.pass_ms(999);
    rig.say(ws, "431[]").unwrap();
    rig.pass_ms(10_000);
    assert_eq!(rig.told(ws.conn), ["ack 1 []"]);
}

#[test]
fn b120_at_disconnect_every_open_question_is_answered_before_the_goodbye() {
    let (mut rig, ws, socket) = joined();
    ask(&mut rig, socket, 2, None).unwrap();
    ask(&mut rig, socket, 1, Some(SECOND)).unwrap();
    rig.say(ws, "41").unwrap();
    assert_eq!(
        rig.told(ws.conn),
        ["ack 1 Disconnected", "ack 2 Disconnected", "disconnect: client namespace disconnect"]
    );
    rig.pass_ms(10_000);
    assert_eq!(rig.told(ws.conn), [""; 0]);
    assert_eq!(ask(&mut rig, socket, 3, None), Err(EmitError::Usage(UsageError::Gone)));
}

#[test]
fn ids_belong_to_a_socket() {
    let (mut rig, ws, socket) = joined();
    rig.server.of("/chat");
    let chat = rig.join(ws, "/chat,");
    ask(&mut rig, socket, 1, None).unwrap();
    assert_eq!(ask(&mut rig, socket, 1, None), Err(EmitError::Usage(UsageError::AckIdInUse)));
    let packet = rig.encoder.event("/chat", Some(1), "question", &()).unwrap();
    rig.server.emit_with_ack(chat, packet, 1, None).unwrap();
    rig.say(ws, "43/chat,1[\"chat\"]").unwrap();
    assert_eq!(rig.told(ws.conn), [r#"ack 1 ["chat"]"#]);
    rig.say(ws, "431[\"root\"]").unwrap();
    assert_eq!(rig.told(ws.conn), [r#"ack 1 ["root"]"#]);
    ask(&mut rig, socket, 1, None).unwrap();
}

#[test]
fn a_question_that_was_not_sent_is_not_waited_for() {
    let mut rig = Rig::with(|engine, _| engine.max_outbox = 1);
    let ws = rig.websocket();
    let socket = rig.join(ws, "");
    rig.emit(socket, "fills the outbox").unwrap();
    let packet = question(&mut rig, 1);
    let refused = rig.server.emit_with_ack(socket, packet.clone(), 1, Some(rig.now + SECOND));
    assert_eq!(refused, Err(EmitError::Full(packet)));
    rig.pass_ms(10_000);
    rig.hang_up(ws.channel);
    assert_eq!(rig.told(ws.conn)[0], "disconnect: transport close");
}

#[test]
fn a_broadcast_can_ask_everyone() {
    let (mut rig, ws, _) = joined();
    let others = [rig.websocket(), rig.websocket()];
    for ws in others {
        rig.join(ws, "");
    }
    let (root, packet, deadline) = (rig.root(), question(&mut rig, 9), rig.now + SECOND);
    let op = Op::Broadcast(Broadcast { packet, volatile: false, ack: Some((9, deadline)), offset: None });
    assert_eq!(rig.server.apply(root, &Scope::all(), &op, rig.now).sockets, 3);
    assert_eq!(rig.server.poll_timeout(), Some(deadline));
    rig.say(ws, "439[1]").unwrap();
    rig.hang_up(others[0].channel);
    rig.pass(SECOND);
    assert_eq!(rig.told(ws.conn), ["ack 9 [1]"]);
    assert_eq!(rig.told(others[0].conn)[0], "ack 9 Disconnected");
    assert_eq!(rig.told(others[1].conn), ["ack 9 Timeout"]);
}
