//! Our client against the lab: npm `socket.io` on node and our own server, by polling, by WebSocket, and from one to the
//! other.

mod acks;
mod bad_input;
mod binary;
mod common;
mod events;
mod limits;
mod long_run;
mod msgpack;
mod namespaces;
mod proxies;
mod reconnection;
mod recovery;
mod requests;
mod retries;
mod tls;

use core::{future::Future, pin::Pin};

pub use self::common::Way;
use crate::{adapter::Adapter, lab::Side};

type Running = Pin<Box<dyn Future<Output = ()>>>;

enum Test {
    /// Runs on a side, and travels.
    Travels(fn(Side, Way) -> Running),
    /// Knows itself where.
    Once(fn() -> Running),
}

/// Lists the tests: those on both sides in all ways, those of what only node's server has, and those that know where they run.
/// One that is not listed is dead code and so a warning.
macro_rules! tests {
    ($($module:ident {
        everywhere: $($everywhere:ident)*;
        on_node: $($on_node:ident)*;
        once: $($once:ident)*;
    })*) => {
        const ALL: &[(&str, Test)] = &[$(
            $((
                concat!(stringify!($module), "::", stringify!($everywhere)),
                Test::Travels(|side, way| Box::pin($module::$everywhere(side, way))),
            ),)*
            $((
                concat!(stringify!($module), "::", stringify!($on_node)),
                Test::Travels(|side, way| Box::pin($module::$on_node(side, way))),
            ),)*
            $((
                concat!(stringify!($module), "::", stringify!($once)),
                Test::Once(|| Box::pin($module::$once())),
            ),)*
        )*];

        /// Writes a `#[test]` for each of them, on a runtime: `interop::client_tests!(Tokio);`
        #[macro_export]
        macro_rules! client_tests {
            ($adapter:ident) => {$(
                mod $module {
                    $(mod $everywhere {
                        mod node {
                            $crate::client_ways!($adapter, Node, $module, $everywhere);
                        }
                        mod ours {
                            $crate::client_ways!($adapter, Ours, $module, $everywhere);
                        }
                    })*
                    $(mod $on_node {
                        $crate::client_ways!($adapter, Node, $module, $on_node);
                    })*
                    $(
                        #[test]
                        fn $once() {
                            $crate::client::run(
                                $crate::adapter::Adapter::$adapter,
                                concat!(stringify!($module), "::", stringify!($once)),
                                None,
                            );
                        }
                    )*
                }
            )*};
        }
    };
}

/// The three ways of a test on one side.
#[macro_export]
macro_rules! client_ways {
    ($adapter:ident, $side:ident, $module:ident, $name:ident) => {
        $crate::client_ways!($adapter, $side, $module, $name, polling Polling, websocket WebSocket, upgrade Upgrade);
    };
    ($adapter:ident, $side:ident, $module:ident, $name:ident, $($test:ident $way:ident),*) => {$(
        #[test]
        fn $test() {
            $crate::client::run(
                $crate::adapter::Adapter::$adapter,
                concat!(stringify!($module), "::", stringify!($name)),
                Some(($crate::lab::Side::$side, $crate::client::Way::$way)),
            );
        }
    )*};
}

/// Runs the test with this name.
///
/// # Panics
/// If it fails, or if there is none.
pub fn run(adapter: Adapter, name: &str, place: Option<(Side, Way)>) {
    adapter.run_here();
    let (_, test) = ALL.iter().find(|(test, _)| *test == name).expect("a test of this name");
    // The tests' own, and on tokio their clients'.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let running = match (test, place) {
            (Test::Travels(test), Some((side, way))) => test(side, way),
            (Test::Once(test), None) => test(),
            _ => panic!("{name} is another kind of test"),
        };
        common::bounded(running).await;
    });
}

tests! {
    acks {
        everywhere: have_values time_out come_late end_with_the_connection answer_the_server many_at_once;
        on_node: ;
        once: ;
    }
    bad_input {
        everywhere: ;
        on_node: ;
        once: no_http no_answer http_errors handshakes answers_to_connect polls_and_posts websockets
            senseless_packets_are_ignored probes_fail upgrades_break no_hammering bad_servers_get_better;
    }
    binary {
        everywhere: goes_there_and_back comes_by_event is_what_the_server_sees answers_questions;
        on_node: ;
        once: ;
    }
    events {
        everywhere: connects echoes keeps_order asks_for_events knows_handlers reaches_rooms is_volatile closes drops;
        on_node: ;
        once: slow_handlers_do_no_harm;
    }
    limits {
        everywhere: batches_fit too_large_is_said buffers_are_bounded;
        on_node: ;
        once: other_transports_are_tried;
    }
    long_run {
        everywhere: ;
        on_node: ;
        once: cut_by_the_server cut_while_polling cut_on_websocket cut_while_upgrading;
    }
    msgpack {
        everywhere: echoes keeps_order reaches_rooms answers answers_the_server binary_there_and_back binary_comes_by_event
            binary_is_what_the_server_sees binary_answers_questions namespaces_refuse namespaces_share_a_connection
            namespaces_ask_again_for_auth recovers knows_offsets is_sent_away numbers_are_exact;
        on_node: dates_are_text;
        once: the_other_side_must_speak_it;
    }
    namespaces {
        everywhere: refuse accept_later share_a_connection ask_again_for_auth;
        on_node: ;
        once: ;
    }
    proxies {
        everywhere: go_through authorise are_cut stand_still speak_tls;
        on_node: ;
        once: ;
    }
    reconnection {
        everywhere: buffers_while_the_server_is_away emits_while_the_server_restarts survives_a_graceful_stop is_sent_away
            is_cut leaves gives_up stays_away answers_after_all;
        on_node: session_is_closed pings_stop;
        once: ;
    }
    recovery {
        everywhere: misses_nothing knows_offsets begins_anew;
        on_node: ;
        once: ;
    }
    requests {
        everywhere: carry_what_was_asked_for keep_cookies forget_cookies use_the_path tell_the_handshake;
        on_node: ;
        once: ;
    }
    retries {
        everywhere: acks_get_lost connections_are_cut server_restarts;
        on_node: ;
        once: ;
    }
    tls {
        everywhere: trusts_a_private_root distrusts_others shows_a_certificate does_not_mix_schemes;
        on_node: ;
        once: ;
    }
}
