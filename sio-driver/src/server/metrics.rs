//! What the recorder of the `metrics` crate is told: `docs/metrics.md` lists it.
//!
//! The counts themselves are kept by the core. Here they are handed on, now and then and outside of all locks, by handles that were asked
//! for once. No label is a name that a client chooses.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Unit};
use sio_proto::Instant;
use sio_proto::engine::{CloseReason, Traffic, Transport};
use sio_proto::server::{Stats, TransportStats};

use crate::runtime::BoxFuture;
use crate::server::{Server, Shared};

/// The values of the label `code`: the codes of refusals.
const CODES: [&str; 7] = ["0", "1", "2", "3", "4", "5", "none"];

/// Where among the counts a metric is found.
type Of<Counts, Count> = fn(&Counts) -> Count;

/// The handles. The recorder must be there when they are made.
pub(crate) struct Metrics {
    /// What the recorder knows.
    told: Mutex<Stats>,
    interval: Duration,
    started: AtomicBool,
    transports: [PerTransport; 2],
    closed: Vec<Counter>,
    refused: Vec<Counter>,
    counters: Vec<(Counter, Of<Stats, u64>)>,
    gauges: Vec<(Gauge, Of<Stats, usize>)>,
    handler: Histogram,
}

struct PerTransport {
    transport: Transport,
    connections: Gauge,
    opened: Counter,
    traffic: [(Counter, Of<Traffic, u64>); 4],
}

fn counter(name: &'static str, unit: Unit, description: &'static str) -> Counter {
    metrics::describe_counter!(name, unit, description);
    metrics::counter!(name)
}

fn gauge(name: &'static str, unit: Unit, description: &'static str) -> Gauge {
    metrics::describe_gauge!(name, unit, description);
    metrics::gauge!(name)
}

impl PerTransport {
    fn new(transport: Transport) -> Self {
        let label = transport.name();
        metrics::describe_gauge!("sio_connections", Unit::Count, "Connections that are open");
        metrics::describe_counter!(
            "sio_connections_opened_total",
            Unit::Count,
            "Connections that were opened"
        );
        metrics::describe_counter!(
            "sio_packets_received_total",
            Unit::Count,
            "Engine.IO packets from clients"
        );
        metrics::describe_counter!("sio_packets_sent_total", Unit::Count, "Engine.IO packets to clients");
        metrics::describe_counter!("sio_bytes_received_total", Unit::Bytes, "Bytes of packets from clients");
        metrics::describe_counter!("sio_bytes_sent_total", Unit::Bytes, "Bytes of packets to clients");
        Self {
            transport,
            connections: metrics::gauge!("sio_connections", "transport" => label),
            opened: metrics::counter!("sio_connections_opened_total", "transport" => label),
            traffic: [
                (metrics::counter!("sio_packets_received_total", "transport" => label), |t| {
                    t.packets_received
                }),
                (metrics::counter!("sio_packets_sent_total", "transport" => label), |t| t.packets_sent),
                (metrics::counter!("sio_bytes_received_total", "transport" => label), |t| t.bytes_received),
                (metrics::counter!("sio_bytes_sent_total", "transport" => label), |t| t.bytes_sent),
            ],
        }
    }

    fn record(&self, now: &TransportStats, told: &TransportStats) {
        change(&self.connections, now.connections, told.connections);
        self.opened.increment(now.opened.saturating_sub(told.opened));
        for (counter, of) in &self.traffic {
            counter.increment(of(&now.traffic).saturating_sub(of(&told.traffic)));
        }
    }
}

/// By the difference: several servers of a process add up.
fn change(gauge: &Gauge, now: usize, told: usize) {
    gauge.increment(now as f64 - told as f64);
}

impl Default for Metrics {
    fn default() -> Self {
        metrics::describe_counter!(
            "sio_connections_closed_total",
            Unit::Count,
            "Connections that have ended"
        );
        metrics::describe_counter!("sio_requests_refused_total", Unit::Count, "Requests that were refused");
        metrics::describe_histogram!(
            "sio_handler_duration_seconds",
            Unit::Seconds,
            "From the call of an event's handlers to their end, with middlewares and waiting"
        );
        let counters: [(&str, &str, Of<Stats, u64>); 9] = [
            ("sio_upgrades_begun_total", "WebSockets that came to take a session over", |s| s.upgrades_begun),
            ("sio_upgrades_total", "Sessions that have moved to WebSocket", |s| s.upgrades),
            ("sio_upgrades_failed_total", "WebSockets that did not take their session over", |s| {
                s.upgrades_failed
            }),
            ("sio_sockets_accepted_total", "Clients that were let into a namespace", |s| s.sockets_accepted),
            ("sio_sockets_refused_total", "Clients that were not let into a namespace", |s| {
                s.sockets_refused
            }),
            ("sio_peer_errors_total", "Clients that broke a protocol", |s| s.peer_errors),
            ("sio_volatile_dropped_total", "Volatile packets that were dropped", |s| s.volatile_dropped),
            ("sio_outbox_full_total", "Packets that a full outbox did not take", |s| s.outbox_full),
            ("sio_read_pauses_total", "How often reading from a client was stopped", |s| s.read_pauses),
        ];
        let gauges: [(&str, Unit, &str, Of<Stats, usize>); 3] = [
            ("sio_sockets", Unit::Count, "Clients in namespaces", |s| s.sockets),
            ("sio_outbox_bytes", Unit::Bytes, "Bytes that wait to be sent", |s| s.outbox_bytes),
            ("sio_inbox_events", Unit::Count, "Events that wait for handlers", |s| s.inbox_events),
        ];
        let closed = |reason: &CloseReason| metrics::counter!("sio_connections_closed_total", "reason" => reason.as_str());
        let refused = |code: &&'static str| metrics::counter!("sio_requests_refused_total", "code" => *code);
        Self {
            told: Mutex::default(),
            interval: Duration::from_secs(5),
            started: AtomicBool::new(false),
            transports: [Transport::Polling, Transport::WebSocket].map(PerTransport::new),
            closed: CloseReason::ALL.iter().map(closed).collect(),
            refused: CODES.iter().map(refused).collect(),
            counters: counters
                .into_iter()
                .map(|(name, what, of)| (counter(name, Unit::Count, what), of))
                .collect(),
            gauges: gauges.into_iter().map(|(name, unit, what, of)| (gauge(name, unit, what), of)).collect(),
            handler: metrics::histogram!("sio_handler_duration_seconds"),
        }
    }
}

impl Metrics {
    pub(crate) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// The interval, for the first who asks: the one who starts the task.
    pub(crate) fn start(&self) -> Option<Duration> {
        let first = !self.interval.is_zero() && !self.started.swap(true, Ordering::Relaxed);
        first.then_some(self.interval)
    }

    /// Tells what has changed. Called under no other lock.
    pub(crate) fn record(&self, stats: impl FnOnce() -> Stats) {
        // Held meanwhile, so that two who tell do not tell the same twice. A recorder is code of users, but has no business with us.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stats();
        for of in &self.transports {
            of.record(now.of(of.transport), told.of(of.transport));
        }
        let by_reason = now.closed_by_reason.iter().zip(told.closed_by_reason);
        for (counter, (now, told)) in self.closed.iter().zip(by_reason) {
            counter.increment(now.saturating_sub(told));
        }
        let by_code = now.refused_by_code.iter().zip(told.refused_by_code);
        for (counter, (now, told)) in self.refused.iter().zip(by_code) {
            counter.increment(now.saturating_sub(told));
        }
        for (counter, of) in &self.counters {
            counter.increment(of(&now).saturating_sub(of(&told)));
        }
        for (gauge, of) in &self.gauges {
            change(gauge, of(&now), of(&told));
        }
        *told = now;
    }

    pub(crate) fn handled(&self, took: Duration) {
        self.handler.record(took);
    }
}

/// What is gone does not count any more.
impl Drop for Metrics {
    fn drop(&mut self) {
        let told = self.told.get_mut().unwrap_or_else(PoisonError::into_inner);
        for of in &self.transports {
            change(&of.connections, 0, told.of(of.transport).connections);
        }
        for (gauge, of) in &self.gauges {
            change(gauge, 0, of(told));
        }
    }
}

/// Tells the recorder. Gives `false` once the server is gone.
pub(crate) fn tick(server: &Weak<Shared>) -> bool {
    server.upgrade().map(Server::from_shared).inspect(Server::record_metrics).is_some()
}

/// Measures the handlers of an event: those that are done already, or in their own time.
pub(crate) fn measured(
    server: Arc<Shared>,
    now: impl Fn() -> Instant + Send + 'static,
    run: impl FnOnce() -> Option<BoxFuture<Option<u64>>>,
) -> Option<BoxFuture<Option<u64>>> {
    let begun = now();
    let Some(future) = run() else {
        server.metrics.handled(now() - begun);
        return None;
    };
    Some(Box::pin(async move {
        let reply = future.await;
        server.metrics.handled(now() - begun);
        reply
    }))
}
