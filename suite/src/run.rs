//! The program that runs the tests of an adapter.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use libtest_mimic::{Arguments, Failed, Trial};
use sio_driver::Runtime as _;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::api::Case;
use crate::world::{Spawner, World};
use crate::{Adapter, api, cases, compare_with_readme, within};

/// A test of real time that takes longer hangs; nothing inside of it could say so.
const HANGS: Duration = Duration::from_secs(300);

/// The tests of all adapters, and `own` ones, with the arguments that every test program of cargo takes.
pub fn main<A: Adapter>(own: &[(&str, fn())]) {
    let arguments = Arguments::from_args();
    if !arguments.list {
        // `.ci/counts` reads this.
        println!("suite of {}", A::NAME);
    }
    let default_hook = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        // A panic in a world belongs to its test, which may expect it.
        if !World::note_panic(panic) {
            default_hook(panic);
        }
    }));
    tracing::subscriber::set_global_default(Collectors).expect("no other one");
    let watch = Watch::start();
    let test = |name: &str, body: Box<dyn FnOnce() -> Result<(), Failed> + Send>| {
        let (watch, label) = (watch.clone(), name.to_owned());
        Trial::test(name, move || watch.over(label, body))
    };
    let mut trials = Vec::new();
    for (name, body) in loopback::<A>() {
        trials.push(test(&format!("loopback::{name}"), plain(body)));
    }
    for case in api::cases() {
        trials.push(test(case.name(), Box::new(move || in_world::<A>(case))));
    }
    trials.push(test("the_readme_says_so", plain(compare_with_readme::<A>)));
    for &(name, body) in own {
        trials.push(test(name, plain(body)));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn plain(body: fn()) -> Box<dyn FnOnce() -> Result<(), Failed> + Send> {
    Box::new(move || {
        body();
        Ok(())
    })
}

/// Runs a case over loopback, which must end in time.
pub fn run<A: Adapter>(case: impl Future<Output = ()>) {
    A::block_on(within::<A, _>(case));
}

/// The cases that are instantiated for each adapter, with its own sockets and clock.
pub(crate) fn loopback<A: Adapter>() -> Vec<(&'static str, fn())> {
    macro_rules! list {
        ($($case:ident)*) => {
            vec![$((stringify!($case), || run::<A>(cases::$case::<A>()))),*]
        };
    }
    list! {
        polling websocket upgrade namespaces rooms reconnection heartbeat ack_timeout tls proxy close listen_and_connect
    }
}

/// Runs a case in a world of its own, on the executor of the adapter's runtime.
fn in_world<A: Adapter>(case: Case) -> Result<(), Failed> {
    let result = Rc::new(Cell::new(None));
    let slot = result.clone();
    A::block_on(async move {
        let runtime = A::Runtime::default();
        let spawner: Spawner = Arc::new(move |task| runtime.spawn(task));
        let world = World::new(spawner);
        let result = AssertUnwindSafe(world.run((case.body)())).catch_unwind().await;
        slot.set(Some(result.map_err(|panic| {
            let mut panics = world.take_panics();
            panics.extend(panic.downcast_ref::<String>().filter(|text| text.starts_with("tasks")).cloned());
            Failed::from(panics.join("\n"))
        })));
    });
    result.take().expect("the runtime runs it to its end")
}

/// Gives the driver's events to the collector of the world that they belong to.
struct Collectors;

thread_local! {
    /// Whether a collector is at work, whose own events nobody collects.
    static COLLECTING: Cell<bool> = const { Cell::new(false) };
}

impl Subscriber for Collectors {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("sio_")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let Some(collector) = World::try_current().and_then(|world| world.collector()) else { return };
        if !COLLECTING.replace(true) {
            collector(event);
            COLLECTING.set(false);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Ends the program when a test hangs.
#[derive(Clone)]
struct Watch(Arc<Mutex<BTreeMap<String, Instant>>>);

impl Watch {
    fn start() -> Self {
        let watch = Self(Arc::default());
        let running = watch.0.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                for (name, since) in &*running.lock().unwrap_or_else(PoisonError::into_inner) {
                    if since.elapsed() > HANGS {
                        eprintln!("{name} hangs");
                        std::process::exit(101);
                    }
                }
            }
        });
        watch
    }

    fn over<T>(&self, name: String, run: impl FnOnce() -> T) -> T {
        let running = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running().insert(name.clone(), Instant::now());
        let result = panic::catch_unwind(AssertUnwindSafe(run));
        running().remove(&name);
        result.unwrap_or_else(|panic| panic::resume_unwind(panic))
    }
}
