//! The raw cases. "B…" and "§…" are the places in `javascript.md` where the reference's behaviour is written down.

mod crowds;
mod handshake;
mod namespaces;
mod polling;
mod time;
mod upgrade;
mod websocket;

use core::time::Duration;

use serde_json::json;

use super::{
    Case,
    http::{Response, fetch},
    peer::{Polling, frame},
};
use crate::target::Profile;

/// Lists the cases, so that each is a test of its own; a case that is not listed is dead code and so a warning.
macro_rules! cases {
    ($($profile:ident $module:ident: $($name:ident)*;)*) => {
        /// All cases by name, and the options of the server that they need.
        pub const ALL: &[(&str, Profile, fn(&Case))] = &[
            $($((stringify!($name), Profile::$profile, $module::$name)),*),*
        ];

        /// Writes a `#[test]` for each case: `interop::raw_case_tests!(Kind::Ours);`
        #[macro_export]
        macro_rules! raw_case_tests {
            ($kind:expr) => {
                $($(
                    #[test]
                    fn $name() {
                        $crate::raw::cases::run_named($kind, stringify!($name));
                    }
                )*)*
            };
        }
    };
}

/// Runs the case with this name.
///
/// # Panics
/// If something is not as the case expects, or if there is no such case.
pub fn run_named(kind: crate::target::Kind, name: &str) {
    let (_, profile, case) = ALL.iter().find(|(case, ..)| *case == name).expect("a case of this name");
    super::run(kind, *profile, *case);
}

cases! {
    Default handshake:
        the_open_packet_has_five_keys
        transport_unknown
        session_unknown
        handshake_by_another_method
        websocket_over_plain_http
        origin
        protocol_version
        order_of_checks
        requests_of_another_revision
        requests_over_the_wrong_transport
        refused_websocket_handshakes
        repeated_query_keys
        options_without_cors
        a_foreign_path
        not_http
        half_requests;
    Cors handshake:
        preflight
        cross_origin_headers;
    Default polling:
        polling_answers
        a_second_get_while_one_waits
        a_second_post_while_one_runs
        methods_that_sessions_do_not_have
        binary_body
        oversize_body_declared
        oversize_body_streamed
        a_body_as_large_as_allowed
        a_body_in_chunks
        an_empty_body
        bodies_that_are_no_payload
        packets_before_a_bad_one_count
        packets_after_a_close_do_not
        a_close_packet_frees_the_poll
        an_aborted_get
        an_aborted_post
        the_server_closes_while_no_get_waits
        the_server_closes_while_a_get_waits
        binary_over_polling
        unicode_over_polling;
    Default upgrade:
        an_upgrade
        an_upgrade_without_a_probe
        a_probe_that_begins_wrongly
        a_second_websocket_for_a_session
        a_probe_that_is_dropped
        a_session_that_ends_during_a_probe
        what_was_queued_follows_the_upgrade;
    Default websocket:
        websocket_packets_of_unknown_type
        websocket_packets_that_are_ignored
        a_close_packet_over_websocket
        a_ping_from_the_client
        a_pong_nobody_asked_for
        an_oversize_websocket_message
        broken_websocket_frames
        bad_frames_together_with_the_handshake
        fragments_and_control_frames
        base64_text_over_websocket
        websockets_that_close_or_drop;
    Default namespaces:
        an_unknown_namespace
        a_refusing_middleware
        packets_for_namespaces_not_joined
        packets_that_make_no_sense
        a_bad_packet_ends_all_namespaces_of_its_connection
        an_event_without_payload
        an_answer_without_payload
        numbers_that_are_not_plain_digits
        answers_to_nothing
        ack_id_zero
        huge_ack_ids
        attachments_out_of_place
        attachments_that_are_odd_but_legal
        a_placeholder_in_a_text_event
        names_without_a_comma
        a_query_in_the_name
        odd_event_names
        unknown_events_reach_the_catch_all
        arguments_of_the_wrong_type
        deep_nesting
        an_event_while_the_middleware_runs
        a_second_connect_while_the_middleware_runs
        leaving_by_the_server_and_coming_back
        leaving_the_whole_connection;
    Default crowds:
        a_crowd_of_broken_peers
        connections_that_say_nothing;
    Quick time:
        silence_is_a_ping_timeout
        a_polling_client_that_does_not_poll
        a_namespace_must_be_joined_in_time
        after_joining_once_there_is_no_hurry
        a_probe_must_finish_in_time
        a_ping_unanswered_across_an_upgrade;
}

const SHORT: Duration = Duration::from_millis(150);

fn refused(response: &Response, code: u8, message: &str, what: &str) {
    assert_eq!(response.status, 400, "{what}: {response:?}");
    let body: serde_json::Value = serde_json::from_str(response.text()).unwrap_or_default();
    assert_eq!(body, json!({ "code": code, "message": message }), "{what}: {response:?}");
    assert_eq!(response.header("content-type"), Some("application/json"), "{what}");
}

const TRANSPORT_UNKNOWN: (u8, &str) = (0, "Transport unknown");
const SESSION_UNKNOWN: (u8, &str) = (1, "Session ID unknown");
const BAD_METHOD: (u8, &str) = (2, "Bad handshake method");
const BAD_REQUEST: (u8, &str) = (3, "Bad request");
const BAD_VERSION: (u8, &str) = (5, "Unsupported protocol version");

fn expect_refusal(case: &Case, method: &str, query: &str, (code, message): (u8, &str)) {
    let response = fetch(case.addr, method, &format!("/socket.io/?{query}"), "", b"");
    refused(&response, code, message, &format!("{method} {query:.80}"));
}

/// The reference puts a noop before its close packet if that has to wait for a GET.
fn expect_close_packet(session: &Polling) {
    let packet = session.next();
    if packet == "6" {
        assert_eq!(session.next(), "1");
    } else {
        assert_eq!(packet, "1");
    }
}

/// The header lines of a good WebSocket handshake.
fn upgrade_headers() -> &'static str {
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
}

/// Broken WebSocket frames, and the close code that each earns.
fn bad_frames() -> [(&'static str, Vec<u8>, u16); 7] {
    [
        ("a reserved bit", frame(0xc1, b"42[\"x\"]"), 1002),
        ("a reserved opcode", frame(0x83, b"42[\"x\"]"), 1002),
        ("no mask", b"\x81\x072[\"x\"]]".to_vec(), 1002),
        ("a continuation of nothing", frame(0x80, b"x"), 1002),
        ("a fragmented ping", frame(0x09, b"x"), 1002),
        ("a long ping", frame(0x89, &[b'a'; 126]), 1002),
        ("text that is not UTF-8", frame(0x81, b"42[\"\xff\"]"), 1007),
    ]
}
