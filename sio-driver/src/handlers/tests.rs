//! A second kind of peer, which is not a server's socket.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll, Waker};

use futures_util::FutureExt as _;
use serde_json::Value;
use sio_proto::Str;
use sio_proto::engine::Frame;
use sio_proto::socket::{Codec, DisconnectReason, Payload};

use super::*;
use crate::error::{EmitError, Error, Packet, Rejection};
use crate::runtime::BoxFuture;
use crate::{Auth, Namespace, Server, Socket};

/// Writes down what is sent and reported.
#[derive(Clone, Default)]
pub struct Tester(Arc<Inner>);

#[derive(Default)]
struct Inner {
    namespace: Str,
    states: States,
    own: Live<Table<Tester>>,
    log: Mutex<Vec<String>>,
}

impl Tester {
    fn new(own: Table<Self>) -> Self {
        let mut states = States::default();
        states.insert("state");
        let live = Live::default();
        live.change(|table| *table = own);
        Self(Arc::new(Inner { namespace: "/test".into(), states, own: live, log: Mutex::default() }))
    }

    fn push(&self, entry: impl Into<String>) {
        self.0.log.lock().unwrap().push(entry.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.log.lock().unwrap())
    }

    /// Handles an event that asks for an acknowledgement. Gives what was written down.
    fn handle(&self, event: &str) -> Vec<String> {
        let payload = Payload::from_event(event, &(1, "b")).unwrap();
        match find(event, None, Some(&self.0.own)) {
            Some(found) => {
                let left = found.run(self.clone(), payload, Some(7)).now_or_never().expect("nothing waits");
                self.push(format!("left {left:?}"));
            }
            None => self.push("no handler"),
        }
        self.take()
    }
}

impl fmt::Debug for Tester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tester")
    }
}

impl From<Tester> for Side {
    fn from(tester: Tester) -> Self {
        Self::Test(tester)
    }
}

impl Peer for Tester {
    fn log_id(&self) -> impl fmt::Display {
        "tester"
    }

    fn namespace_name(&self) -> &Str {
        &self.0.namespace
    }

    fn codec(&self) -> &Codec {
        &Codec::Json
    }

    fn send_ack(&self, id: u64, packet: Packet) -> Result<(), EmitError> {
        let (Frame::Text(text), _) = packet.encoded.into_parts() else { panic!("expected text") };
        self.push(format!("ack {id}: {text}"));
        Ok(())
    }

    fn states(&self) -> &States {
        &self.0.states
    }

    async fn room_for_ack(&self, _: u64, _: usize) {}

    fn report(&self, error: &Error, ack: Option<u64>) -> Result<Option<u64>, Unsent> {
        self.0.own.get().report(self, error, ack)
    }
}

/// An extractor of one side only.
impl FromContext<Self> for Tester {
    fn from_context(context: &mut Context<Self>) -> Result<Self, Rejection> {
        Ok(context.socket().clone())
    }
}

#[test]
fn handlers_of_another_side() {
    let mut table = Table::default();
    table.on(
        "all",
        async |peer: Tester,
               Data((one, two)): Data<(i32, String)>,
               State(state): State<&'static str>,
               Event(event): Event| {
            peer.push(format!("{one} {two} {state} {event}"));
            "answer"
        },
    );
    table.on("ack", async |ack: Ack, payload: Payload| {
        assert!(ack.is_wanted());
        ack.send(&payload).map_err(Error::from)
    });
    table.on("bad", async |Data(_): Data<(String, bool)>| ());
    table.on("why", async |_: DisconnectReason| ());
    table.on_error(|peer: &Tester, error| peer.push(format!("error: {error}")));
    let tester = Tester::new(table);
    assert_eq!(tester.handle("all"), ["1 b state all", r#"ack 7: 43/test,7["answer"]"#, "left None"]);
    assert_eq!(tester.handle("ack"), [r#"ack 7: 43/test,7[1,"b"]"#, "left None"]);
    let refused = tester.handle("bad");
    assert!(refused[0].starts_with(r#"error: arguments of "bad":"#), "{refused:?}");
    assert_eq!(refused[1..], ["left Some(7)"]);
    assert_eq!(tester.handle("why"), ["error: there is no DisconnectReason here", "left Some(7)"]);
    assert_eq!(tester.handle("unknown"), ["no handler"]);
}

#[test]
fn handlers_come_and_go() {
    let mut table = Table::default();
    table.once("x", async |peer: Tester| peer.push("once"));
    table.on("x", async |peer: Tester| peer.push("on"));
    table.once("y", async || 1);
    let tester = Tester::new(table);
    assert_eq!(tester.handle("x"), ["once", "on", "left Some(7)"]);
    assert_eq!(tester.handle("x"), ["on", "left Some(7)"]);
    assert_eq!(tester.handle("y"), ["ack 7: 43/test,7[1]", "left None"]);
    assert_eq!(tester.handle("y"), ["no handler"]);
    tester
        .0
        .own
        .change(|table| table.on_any(async |peer: Tester, event: Event| peer.push(format!("any {event}"))));
    assert_eq!(tester.handle("x"), ["any x", "on", "left Some(7)"]);
    let removed = tester.0.own.change(|table| table.off("x"));
    assert_eq!(removed.map(|removed| removed.len()), Some(1), "those that were used up are gone");
    assert_eq!(tester.handle("x"), ["any x", "left Some(7)"]);
}

/// Whether `T` is an extractor for `S`.
struct IsExtractor<T, S>(PhantomData<(T, S)>);

trait Otherwise {
    const VALUE: bool = false;
}

impl<T, S> Otherwise for IsExtractor<T, S> {}

impl<T: FromContext<S>, S> IsExtractor<T, S> {
    const VALUE: bool = true;
}

#[test]
fn extractors_of_each_side() {
    macro_rules! check {
        ($($type:ty: $server:literal, $tester:literal;)*) => {
            $(
                assert_eq!(<IsExtractor<$type, Socket>>::VALUE, $server, stringify!($type));
                assert_eq!(<IsExtractor<$type, Tester>>::VALUE, $tester, stringify!($type));
            )*
        };
    }
    check! {
        Data<Value>: true, true;
        Payload: true, true;
        Event: true, true;
        Ack: true, true;
        State<u8>: true, true;
        DisconnectReason: true, true;
        Socket: true, false;
        Auth<Value>: true, false;
        Namespace: true, false;
        Server: true, false;
        Tester: false, true;
    }
}

/// Says when it was begun, waits until `turns` polls have passed, and says when it has ended.
struct Task {
    key: char,
    name: u8,
    alone: bool,
    turns: u8,
    log: Arc<Mutex<String>>,
}

impl Job for Task {
    type Key = char;

    fn key(&self) -> char {
        self.key
    }

    fn limit(&self) -> usize {
        2
    }

    fn is_alone(&self) -> bool {
        self.alone
    }

    fn run(self) -> Option<BoxFuture<Option<u64>>> {
        let Self { key, name, mut turns, log, .. } = self;
        let say = move |mark: char| *log.lock().unwrap() += &format!("{mark}{key}{name} ");
        say('+');
        Some(Box::pin(poll_fn(move |_| {
            if turns > 0 {
                turns -= 1;
                return Poll::Pending;
            }
            say('-');
            Poll::Ready(None)
        })))
    }
}

#[test]
fn lanes() {
    let log = Arc::new(Mutex::new(String::new()));
    let task = |key, name, alone, turns| Task { key, name, alone, turns, log: log.clone() };
    let mut waiting = VecDeque::from([
        task('a', 1, true, 2),
        task('a', 2, false, 3),
        task('b', 1, false, 0),
        task('a', 3, false, 1),
        task('a', 4, false, 0),
        task('a', 5, true, 0),
        task('a', 6, false, 0),
    ]);
    let mut lanes = Lanes::new();
    let mut turns = Vec::new();
    loop {
        let polled = lanes.poll(&mut TaskContext::from_waker(Waker::noop()), |lanes, _| {
            let busy: Vec<char> = lanes.busy().collect();
            let at = waiting.iter().position(|task| !busy.contains(&task.key))?;
            waiting.remove(at)
        });
        turns.push(std::mem::take(&mut *log.lock().unwrap()));
        if polled.is_ready() {
            break;
        }
    }
    assert_eq!(
        turns,
        [
            "+a1 +b1 -b1 ",
            "",
            "-a1 +a2 +a3 ", // a1 had to be alone; then two at once
            "-a3 +a4 -a4 ",
            "",
            "-a2 +a5 -a5 +a6 -a6 ", // so has a5
        ]
    );
    assert!(lanes.is_empty() && waiting.is_empty());
}

/// Panics when it is run (0), at a poll (its number) or when it is dropped (9).
struct Broken(u8);

impl Drop for Broken {
    fn drop(&mut self) {
        assert_ne!(self.0, 9, "dropped");
    }
}

impl Job for Broken {
    type Key = u8;

    fn key(&self) -> u8 {
        0
    }

    fn limit(&self) -> usize {
        1
    }

    fn is_alone(&self) -> bool {
        false
    }

    fn run(self) -> Option<BoxFuture<Option<u64>>> {
        assert_ne!(self.0, 0, "run");
        let mut polls = 0;
        Some(Box::pin(poll_fn(move |_| {
            let Self(when) = &self;
            polls += 1;
            assert_ne!(polls, *when, "polled");
            if polls == 3 { Poll::Ready(None) } else { Poll::Pending }
        })))
    }
}

#[test]
fn a_job_that_panics_leaves_the_others() {
    // At once, at the first poll, at the second, when it has ended and is dropped; and never.
    let mut waiting = VecDeque::from([0, 1, 2, 9, 4].map(Broken));
    let mut lanes = Lanes::new();
    let polls = (1..100).find(|_| {
        let mut cx = TaskContext::from_waker(Waker::noop());
        let next = |lanes: &Lanes<Broken>, _: &mut TaskContext<'_>| match lanes.is_empty() {
            true => waiting.pop_front(),
            false => None,
        };
        lanes.poll(&mut cx, next).is_ready()
    });
    assert_eq!(polls, Some(6));
    assert!(lanes.is_empty() && waiting.is_empty());
}

mod typed {
    use super::*;
    use crate::events;

    events! {
        /// With a value.
        Add = "add"(u32, String) -> (u32, bool);
        Bare = "bare"();
        Note = "note"(Value);
        Done = "done"() -> ();
    }

    fn handled(set_up: impl FnOnce(&mut Table<Tester>), event: &str) -> Vec<String> {
        let mut table = Table::default();
        set_up(&mut table);
        Tester::new(table).handle(event)
    }

    #[test]
    fn data_and_answer() {
        let answered = handled(
            |table| table.on(Add, async |_: Tester, (n, text): (u32, String)| (n + 1, text == "b")),
            "add",
        );
        assert_eq!(answered, [r#"ack 7: 43/test,7[2,true]"#, "left None"]);
        let answered = handled(|table| table.on(Add, async |_: (u32, String)| Ok((0, false))), "add");
        assert_eq!(answered, [r#"ack 7: 43/test,7[0,false]"#, "left None"]);
    }

    #[test]
    fn no_answer_or_an_empty_one() {
        let answered = handled(
            |table| table.on(Note, async |socket: Tester, note: Value| socket.push(note.to_string())),
            "note",
        );
        assert_eq!(answered, ["1", "left Some(7)"]);
        let answered =
            handled(|table| table.on(Bare, async |socket: Tester, (): ()| socket.push("bare")), "bare");
        assert_eq!(answered, ["bare", "left Some(7)"]);
        let answered = handled(|table| table.once(Done, async |(): ()| ()), "done");
        assert_eq!(answered, ["ack 7: 43/test,7[]", "left None"]);
    }

    #[test]
    fn failures_are_reported() {
        let set_up = |table: &mut Table<Tester>| {
            table.on_error(|tester: &Tester, error| tester.push(error.to_string()));
            table.on(Add, async |_: (u32, String)| Err(Error::new("no")));
            table.ack_errors(|error| error.to_string());
        };
        assert_eq!(handled(set_up, "add"), ["no", r#"ack 7: 43/test,7["no"]"#, "left None"]);
        let wrong = |table: &mut Table<Tester>| {
            table.on_error(|tester: &Tester, error| tester.push(error.to_string()));
            table.on("add", async || ());
            table.on(Swapped, async |_: (String, u32)| ());
        };
        let [report, left] = &handled(wrong, "add")[..] else { panic!("a report") };
        assert!(report.starts_with("arguments of \"add\": "), "{report}");
        assert_eq!(left, "left Some(7)");
    }

    events! { Swapped = "add"(String, u32); }
}
