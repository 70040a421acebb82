//! One harness for all machines.

use std::fmt::Debug;
use std::time::Duration;

use proptest::prelude::*;
use sio_proto::Instant;

/// A machine under test, together with those around it: its owner and its peer.
pub(crate) trait Machine {
    /// Something that happens to it.
    type Op: Clone + Debug;

    fn new() -> Self;

    /// Makes it happen.
    fn apply(&mut self, op: &Self::Op, now: Instant);

    fn handle_timeout(&mut self, now: Instant);

    fn poll_timeout(&self) -> Option<Instant>;

    /// Takes what comes out, and checks what only this machine promises.
    fn drain(&mut self) -> Vec<String>;

    /// Whether the last event was seen.
    fn is_over(&self) -> bool;

    /// Ends it: the peer is gone.
    fn end(&mut self, now: Instant);
}

/// Things that happen, and how many milliseconds pass after each.
pub(crate) fn story<O: Debug + Clone>(op: impl Strategy<Value = O>) -> impl Strategy<Value = Vec<(O, u64)>> {
    let wait = prop_oneof![6 => Just(0), 2 => 0..300u64, 1 => 0..60_000u64];
    prop::collection::vec((op, wait), 0..60)
}

/// Checks progress, finality, determinism, and whatever the machine checks itself.
pub(crate) fn obey<M: Machine>(story: &[(M::Op, u64)]) {
    let trace = run::<M>(story);
    assert_eq!(trace, run::<M>(story), "7: the same inputs, but other outputs");
}

fn run<M: Machine>(story: &[(M::Op, u64)]) -> Vec<String> {
    let mut machine = M::new();
    let mut now = Instant::ZERO;
    let mut trace = machine.drain();
    for (op, wait) in story {
        machine.apply(op, now);
        trace.extend(machine.drain());
        let end = now + Duration::from_millis(*wait);
        while let Some(at) = machine.poll_timeout().filter(|at| *at <= end) {
            now = now.max(at);
            trace.extend(time_out(&mut machine, now));
        }
        now = end;
        // A timeout that comes too early, or once more, changes nothing.
        machine.handle_timeout(now);
        assert_eq!(machine.drain(), [""; 0], "1: nothing was due");
    }
    machine.end(now);
    trace.extend(machine.drain());
    for _ in 0..20 {
        let Some(at) = machine.poll_timeout() else { break };
        now = now.max(at);
        trace.extend(time_out(&mut machine, now));
    }
    assert!(machine.is_over(), "5: it does not end");
    for (op, _) in story {
        machine.apply(op, now);
        assert_eq!(machine.poll_timeout(), None, "5: a deadline after the end, by {op:?}");
        assert_eq!(machine.drain(), [""; 0], "5: output after the end, by {op:?}");
    }
    trace
}

fn time_out<M: Machine>(machine: &mut M, now: Instant) -> Vec<String> {
    machine.handle_timeout(now);
    let out = machine.drain();
    assert!(machine.poll_timeout().is_none_or(|at| at > now), "1: a deadline does not move on");
    out
}
