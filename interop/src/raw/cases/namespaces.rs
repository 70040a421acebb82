//! Socket.IO packets: namespaces, events, acknowledgements, attachments.

use serde_json::json;

use super::{SHORT, expect_close_packet};
use crate::raw::{
    Case,
    peer::{Polling, Ws},
};

/// B101.
pub(super) fn an_unknown_namespace(case: &Case) {
    let (mut ws, _) = Ws::joined(case.addr, "/");
    for name in ["/nope", "/__proto__", "/constructor", "/\u{1f389}", "/newsletter", "/new", "//"] {
        ws.send(&format!("40{name},"));
        assert_eq!(ws.text(), format!("44{name},{{\"message\":\"Invalid namespace\"}}"));
    }
    assert_eq!(ws.ask("sum", "1,2"), 3);

    let session = Polling::open(case.addr);
    session.post_ok("40/nope,{\"token\":1}");
    assert_eq!(session.next(), "44/nope,{\"message\":\"Invalid namespace\"}");
    session.post_ok("40");
    assert!(session.next().starts_with("40{"), "the same session may join another");
}

/// B106.
pub(super) fn a_refusing_middleware(case: &Case) {
    let (mut ws, _) = Ws::joined(case.addr, "/");
    for (auth, token) in [("", json!(null)), ("{}", json!(null)), (r#"{"token":"wrong"}"#, json!("wrong"))] {
        ws.send(&format!("40/auth,{auth}"));
        let reply = ws.text();
        let reply = reply.strip_prefix("44/auth,").unwrap_or_else(|| panic!("{reply}"));
        let reply: serde_json::Value = serde_json::from_str(reply).expect("JSON");
        let data = json!({ "code": 401, "token": token, "name": null });
        assert_eq!(reply, json!({ "message": "not authorized", "data": data }));
    }
    ws.send(r#"40/auth,{"token":"secret","name":"raw"}"#);
    assert!(ws.text().starts_with("40/auth,{\"sid\":\""), "the same connection may try again");
    ws.send("42/auth,7[\"whoami\"]");
    assert_eq!(ws.text(), "43/auth,7[\"raw\"]");
    assert_eq!(ws.ask("sum", "1,2"), 3);
}

/// B102.
pub(super) fn packets_for_namespaces_not_joined(case: &Case) {
    for packet in [
        "42/news,[\"x\"]",
        "42/nope,[\"x\"]",
        "43/news,1[]",
        "41/news,",
        "40",
        "44{\"message\":\"x\"}",
        "44/news,{\"message\":\"x\"}",
    ] {
        let (mut ws, id) = Ws::joined(case.addr, "/");
        ws.send(packet);
        let _ = ws.end();
        assert_eq!(case.reason(&id), "forced close", "{packet}");
    }
    for packet in ["42[\"x\"]", "41", "430[]", "44{\"message\":\"x\"}"] {
        let (mut ws, _) = Ws::open(case.addr);
        ws.send(packet);
        let _ = ws.end();

        let session = Polling::open(case.addr);
        session.post_ok(packet);
        expect_close_packet(&session);
        session.assert_closed();
    }
}

/// B83–B86, B97, B105.
pub(super) fn packets_that_make_no_sense(case: &Case) {
    let packets = r#"
        4  47  49  4a  4-
        40[]  40"x"  401  40null  40{  40/news,[1]
        41{}  41[]  41"x"
        42{  42[  42["a"  42["a",]  42["a"]]  42["a"]x  42['a']  42{}  42"a"  42null  42true
        42[]  42[null]  42[true]  42[{}]  42[[]]
        42["connect"]  42["connect_error"]  42["disconnect"]  42["disconnecting"]
        42["newListener"]  42["removeListener"]  42["\u0063onnect"]
        431{}  431"x"  431null  431[  43x
        44  441
        45["a"]  45-["a"]  451["a"]  451  45x-["a"]  45-1-["a"]  46[]
    "#;
    for packet in packets.split_whitespace().chain(["4 ", "4\u{e9}"]) {
        let (mut ws, id) = Ws::joined(case.addr, "/");
        ws.send(packet);
        // A packet with attachments is looked at when they are there.
        ws.send_binary(b"attachment");
        let _ = ws.end();
        assert_eq!(case.reason(&id), "forced close", "{packet:?}");
        assert_eq!(case.observed(&id).any, [""; 0], "{packet:?}");
    }
}

/// B105.
pub(super) fn a_bad_packet_ends_all_namespaces_of_its_connection(case: &Case) {
    let (mut ws, root) = Ws::joined(case.addr, "/");
    let news = ws.join("/news");
    assert!(ws.text().starts_with("42/news,[\"welcome\",\""), "news says hello");
    ws.send("42/news,{}");
    let _ = ws.end();
    assert_eq!([case.reason(&root), case.reason(&news)], ["forced close", "forced close"]);

    let (session, id) = Polling::joined(case.addr, "/");
    session.post_ok("42{}");
    expect_close_packet(&session);
    assert_eq!(case.reason(&id), "forced close");
    session.assert_closed();
}

/// B84: the reference calls its catch-all handler without a name; ours takes it for the error that it is.
pub(super) fn an_event_without_payload(case: &Case) {
    for packet in ["42", "421", "451-"] {
        let (mut ws, id) = Ws::joined(case.addr, "/");
        ws.send(packet);
        if packet.starts_with("45") {
            ws.send_binary(b"attachment");
        }
        if case.safer {
            let _ = ws.end();
            assert_eq!(case.reason(&id), "forced close", "{packet}");
        } else {
            assert_eq!(ws.ask("sum", "1,2"), 3);
        }
    }
}

/// B84, the same for an acknowledgement.
pub(super) fn an_answer_without_payload(case: &Case) {
    let (mut ws, id) = Ws::joined(case.addr, "/");
    ws.send("431");
    if case.safer {
        let _ = ws.end();
        assert_eq!(case.reason(&id), "forced close");
    } else {
        assert_eq!(ws.ask("sum", "1,2"), 3);
    }
}

/// B87, B92: ours takes digits only. A count of 0, no count and too many are refused by both.
pub(super) fn numbers_that_are_not_plain_digits(case: &Case) {
    let placeholder = "{\"_placeholder\":true,\"num\":0}";
    for lenient in ["0x1-", " 1-", "1.0-", "1e0-", "+1-"] {
        let (mut ws, id) = Ws::joined(case.addr, "/");
        ws.send(&format!("45{lenient}[\"echo\",{placeholder}]"));
        ws.send_binary(b"x");
        if case.safer {
            let _ = ws.end();
            assert_eq!(case.reason(&id), "forced close", "{lenient:?}");
        } else {
            assert!(ws.text().starts_with("451-"), "{lenient:?}");
            assert_eq!(ws.binary(), b"x");
        }
    }
    for spaced in ["42 1[\"echo-ack\",1]", "421 [\"echo-ack\",1]"] {
        let (mut ws, id) = Ws::joined(case.addr, "/");
        ws.send(spaced);
        if case.safer {
            // Blanks before the JSON are JSON's own business, but they are no digits of the number.
            let alive = ws.is_silent(SHORT);
            let any = case.observed(&id).any;
            assert!(!alive || any.is_empty() || any == ["echo-ack"], "{spaced:?}: {any:?}");
        } else {
            assert!(ws.text().starts_with("43"), "{spaced:?}");
        }
    }
    for count in ["0-", "-1-", "-", "11-", "99999999999999999999999-", "NaN-", "Infinity-"] {
        let (mut ws, id) = Ws::joined(case.addr, "/");
        ws.send(&format!("45{count}[\"echo\",{placeholder}]"));
        ws.send_binary(b"x");
        let _ = ws.end();
        assert_eq!(case.reason(&id), "forced close", "{count:?}");
        assert_eq!(case.observed(&id).any, [""; 0], "{count:?}");
    }
}

/// B119.
pub(super) fn answers_to_nothing(case: &Case) {
    let (mut ws, id) = Ws::joined(case.addr, "/");
    for answer in ["430[]", "43999[\"x\"]", "431[1,2,3]", "431[null]"] {
        ws.send(answer);
    }
    ws.send("461-5[{\"_placeholder\":true,\"num\":0}]");
    ws.send_binary(b"x");
    assert_eq!(ws.ask("sum", "1,2"), 3);
    assert!(case.observed(&id).connected);

    // The second answer to one question counts for nothing.
    ws.send("429[\"server-ask\",\"q\",2000]");
    let question = ws.text();
    let number: String = question["42".len()..].chars().take_while(char::is_ascii_digit).collect();
    assert_eq!(question, format!("42{number}[\"question\",\"q\"]"));
    ws.send(&format!("43{number}[\"first\"]"));
    ws.send(&format!("43{number}[\"second\"]"));
    assert_eq!(ws.text(), "439[{\"answer\":\"first\"}]");
    assert_eq!(ws.ask("sum", "2,2"), 4);
}

/// B96.
pub(super) fn ack_id_zero(case: &Case) {
    let (mut ws, _) = Ws::joined(case.addr, "/");
    ws.send("420[\"sum\",1,2]");
    assert_eq!(ws.text(), "430[3]");
    ws.send("420[\"sum\",2,2]");
    assert_eq!(ws.text(), "430[4]");
    ws.send("42007[\"sum\",2,2]");
    assert_eq!(ws.text(), "437[4]", "leading zeros are digits");
}

/// B87: beyond what JavaScript counts exactly. Nothing official sends that; it must not disturb anyone.
pub(super) fn huge_ack_ids(case: &Case) {
    for id in ["9007199254740993", "99999999999999999999999999"] {
        let (mut ws, _) = Ws::joined(case.addr, "/");
        ws.send(&format!("42{id}[\"echo-ack\",1]"));
        if case.safer {
            let _ = ws.end();
        } else {
            assert!(ws.text().starts_with("43"), "{id}");
        }
    }
    let (mut ws, _) = Ws::joined(case.addr, "/");
    ws.send("429007199254740991[\"echo-ack\",1]");
    assert_eq!(ws.text(), "439007199254740991[1]");
}

/// B88, B90.
pub(super) fn attachments_out_of_place(case: &Case) {
    let header = "451-[\"echo\",{\"_placeholder\":true,\"num\":0}]";
    let text_between: &dyn Fn(&mut Ws) = &|ws| {
        ws.send(header);
        ws.send("42[\"echo\",1]");
    };
    let without_header: &dyn Fn(&mut Ws) = &|ws| ws.send_binary(b"lost");
    let one_too_many: &dyn Fn(&mut Ws) = &|ws| {
        ws.send(header);
        ws.send_binary(b"wanted");
        ws.send_binary(b"lost");
    };
    for (what, act, heard) in [
        ("text between", text_between, 0),
        ("binary without a header", without_header, 0),
        ("one too many", one_too_many, 1),
    ] {
        let (mut ws, id) = Ws::joined(case.addr, "/");
        act(&mut ws);
        let _ = ws.end();
        assert_eq!(case.reason(&id), "forced close", "{what}");
        assert!(case.observed(&id).any.len() <= heard, "{what}");
    }
    for number in ["1", "-1", "10", "\"0\"", "null", "true", "[]", "{}", "1e9"] {
        let (mut ws, id) = Ws::joined(case.addr, "/");
        ws.send(&format!("451-[\"echo\",{{\"_placeholder\":true,\"num\":{number}}}]"));
        ws.send_binary(b"x");
        let _ = ws.end();
        assert_eq!(case.reason(&id), "forced close", "num {number}");
        assert_eq!(case.observed(&id).any, [""; 0], "num {number}");
    }
}

/// B90: placeholders may repeat, and an attachment may go unused.
pub(super) fn attachments_that_are_odd_but_legal(case: &Case) {
    let (mut ws, _) = Ws::joined(case.addr, "/");
    let placeholder = |num: u32| format!("{{\"_placeholder\":true,\"num\":{num}}}");
    ws.send(&format!("452-1[\"echo-ack\",{0},{0}]", placeholder(1)));
    ws.send_binary(b"unused");
    ws.send_binary(b"used");
    // How often the answer carries it is the encoder's choice; what it says is not.
    let header = ws.text();
    let count: usize =
        header["46".len()..].split('-').next().and_then(|text| text.parse().ok()).expect("a count");
    assert!((1..=2).contains(&count), "{header}");
    let json: serde_json::Value =
        serde_json::from_str(&header[format!("46{count}-1").len()..]).expect("JSON");
    let received: Vec<_> = (0..count).map(|_| ws.binary()).collect();
    for item in json.as_array().expect("a list") {
        let num = item["num"].as_u64().expect("a placeholder");
        assert_eq!(received[usize::try_from(num).expect("small")], b"used", "{header}");
    }
    // Order of the placeholders is free.
    ws.send(&format!("452-2[\"echo-ack\",{},{}]", placeholder(1), placeholder(0)));
    ws.send_binary(b"zero");
    ws.send_binary(b"one");
    let header = ws.text();
    let json: serde_json::Value = serde_json::from_str(&header["462-2".len()..]).expect("JSON");
    let received = [ws.binary(), ws.binary()];
    let told: Vec<_> = (0..2)
        .map(|i| {
            json[i]["num"]
                .as_u64()
                .and_then(|num| received.get(num as usize))
                .cloned()
                .expect("a placeholder")
        })
        .collect();
    assert_eq!(told, [b"one".to_vec(), b"zero".to_vec()]);
}

/// B91: without attachments it is data like any other.
pub(super) fn a_placeholder_in_a_text_event(case: &Case) {
    let (mut ws, _) = Ws::joined(case.addr, "/");
    for packet in [
        "42[\"echo\",{\"_placeholder\":true,\"num\":0}]",
        "42[\"echo\",{\"_placeholder\":true,\"num\":\"x\"}]",
    ] {
        ws.send(packet);
        assert_eq!(ws.text(), packet);
    }
}

/// B82.
pub(super) fn names_without_a_comma(case: &Case) {
    let (mut ws, _) = Ws::open(case.addr);
    ws.send("40/news");
    assert!(ws.text().starts_with("40/news,{\"sid\":\""));
    assert!(ws.text().starts_with("42/news,[\"welcome\""));
    ws.send("41/news");
    ws.send("40/nope");
    assert_eq!(ws.text(), "44/nope,{\"message\":\"Invalid namespace\"}");
}

/// B77: in revision 4 it is part of the name.
pub(super) fn a_query_in_the_name(case: &Case) {
    let (mut ws, _) = Ws::open(case.addr);
    for name in ["/?a=b", "/news?token=abc"] {
        ws.send(&format!("40{name},"));
        assert_eq!(ws.text(), format!("44{name},{{\"message\":\"Invalid namespace\"}}"));
    }
}

/// B83, B85, CVE-2024-38355: `error` is a name like any other, and so is a number.
pub(super) fn odd_event_names(case: &Case) {
    let (mut ws, id) = Ws::joined(case.addr, "/");
    ws.send("42[\"error\",\"boo\"]");
    ws.send("42[5,\"x\"]");
    ws.send("42[\"\"]");
    ws.send("42[\"__proto__\",1]");
    ws.send("42[\"a\\u0000b\"]");
    assert_eq!(ws.ask("sum", "1,2"), 3);
    assert_eq!(case.observed(&id).any, ["error", "5", "", "__proto__", "a\0b", "sum"]);
}

pub(super) fn unknown_events_reach_the_catch_all(case: &Case) {
    let (mut ws, id) = Ws::joined(case.addr, "/");
    ws.send("42[\"nobody knows\",{\"a\":[1]}]");
    ws.send("4212[\"nobody answers\"]");
    ws.send("451-[\"nobody sees\",{\"_placeholder\":true,\"num\":0}]");
    ws.send_binary(b"x");
    assert_eq!(ws.ask("sum", "1,2"), 3);
    assert_eq!(case.observed(&id).any, ["nobody knows", "nobody answers", "nobody sees", "sum"]);
}

/// A handler that cannot read its arguments is not called; nobody is answered, and the connection goes on. (The reference
/// has untyped handlers: it is asked only what cannot throw in them.)
pub(super) fn arguments_of_the_wrong_type(case: &Case) {
    let (mut ws, id) = Ws::joined(case.addr, "/");
    let mut events = vec!["join", "echo"];
    ws.send("42[\"echo\"]");
    assert_eq!(ws.text(), "42[\"echo\"]");
    if case.safer {
        for args in ["", ",1", ",\"1\",\"2\"", ",{},[]", ",null,null", ",1e400,1"] {
            ws.send(&format!("4277[\"sum\"{args}]"));
        }
        ws.send("4278[\"typed\",5]");
        ws.send("4279[\"typed\",{\"name\":1}]");
        assert!(ws.is_silent(SHORT), "no answer");
    }
    assert_eq!(ws.ask("sum", "1,2"), 3);
    let any = case.observed(&id).any;
    events.retain(|event| any.iter().any(|seen| seen == event));
    assert_eq!(events, ["echo"]);
}

/// JSON nested a hundred thousand deep must not overflow a stack. It may be refused, or come back.
pub(super) fn deep_nesting(case: &Case) {
    // The reference looks for binary by recursion: an echo of some thousand levels ends its process.
    let depth = if case.safer { 100_000 } else { 500 };
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let value = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        for packet in [format!("42[\"echo\",{value}]"), format!("421[\"nobody\",{value}]")] {
            let (mut ws, _) = Ws::joined(case.addr, "/");
            ws.send(&packet);
            let _ = ws.is_silent(SHORT);
            ws.abandon();
        }
        let (mut ws, _) = Ws::open(case.addr);
        ws.send(&format!("40/auth,{{\"token\":{value}}}"));
        let _ = ws.is_silent(SHORT);
        ws.abandon();
        if case.safer {
            let (mut ws, _) = Ws::joined(case.addr, "/");
            ws.send(&format!("421[\"typed\",{value}]"));
            let _ = ws.is_silent(SHORT);
        }
    }
}

/// B103: the reference ends the connection; ours keeps the event until the middleware has decided.
pub(super) fn an_event_while_the_middleware_runs(case: &Case) {
    let (mut ws, id) = Ws::joined(case.addr, "/");
    ws.send("40/slow,");
    ws.send("42/slow,1[\"echo-ack\",\"early\"]");
    if case.safer {
        assert!(ws.text().starts_with("40/slow,{\"sid\":\""));
        assert_eq!(ws.text(), "43/slow,1[\"early\"]");
        assert!(case.observed(&id).connected);
    } else {
        let _ = ws.end();
        assert_eq!(case.reason(&id), "forced close");
    }
}

/// B104: the reference makes two sockets; ours ends the connection.
pub(super) fn a_second_connect_while_the_middleware_runs(case: &Case) {
    let (mut ws, id) = Ws::joined(case.addr, "/");
    ws.send("40/slow,");
    ws.send("40/slow,");
    if case.safer {
        let _ = ws.end();
        assert_eq!(case.reason(&id), "forced close");
    } else {
        assert!(ws.text().starts_with("40/slow,{\"sid\":\""));
        assert!(ws.text().starts_with("40/slow,{\"sid\":\""));
    }
}

/// B109, B16.
pub(super) fn leaving_by_the_server_and_coming_back(case: &Case) {
    let (mut ws, first) = Ws::joined(case.addr, "/");
    ws.send("42[\"bye\"]");
    assert_eq!(ws.text(), "41");
    assert_eq!(case.reason(&first), "server namespace disconnect");
    let second = ws.join("/");
    assert_ne!(first, second);
    assert_eq!(ws.ask("sum", "1,2"), 3);
    ws.send("41");
    assert_eq!(case.reason(&second), "client namespace disconnect");
    let _ = ws.join("/");
    assert_eq!(ws.ask("sum", "2,2"), 4);
}

/// B109.
pub(super) fn leaving_the_whole_connection(case: &Case) {
    let (mut ws, root) = Ws::joined(case.addr, "/");
    let news = ws.join("/news");
    assert!(ws.text().starts_with("42/news,[\"welcome\",\""));
    ws.send("42[\"bye-all\"]");
    let mut left = [ws.text(), ws.text()];
    left.sort();
    assert_eq!(left, ["41", "41/news,"]);
    let _ = ws.end();
    let reason = "server namespace disconnect";
    assert_eq!([case.reason(&root), case.reason(&news)], [reason, reason]);
}
