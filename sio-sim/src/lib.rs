//! Server and client of sio in a world of their own: a [`Runtime`](sio_driver::Runtime) with a virtual clock, and a network of byte
//! streams that delays, splits, coalesces, stalls, half-opens and resets connections. Everything is decided by a seed, so that a run can
//! be repeated, byte for byte; hours pass in seconds.
//!
//! The whole driver runs in it unchanged. This crate is also the example of how to bring it to a runtime of one's own: see `runtime.rs`.
//!
//! - [`Sim`] is the runtime. A task is polled only when its waker was used, so that a missed wake-up is a hang, which is reported with the
//!   names of the tasks that wait. When nothing can run, the clock moves on to the next timer, or to what happens next in the network.
//! - [`Sim::weather`] says how the network behaves, [`Sim::break_links`] and its like do harm to it.
//! - [`World`] is a server and several clients that use everything: transports, namespaces, rooms, acknowledgements in both directions,
//!   broadcasts, slow handlers. A model runs beside it, which knows who is connected to what, what each is owed and which
//!   acknowledgements are pending; it is asked after each step.
//! - [`run`] lets a world do a number of random things, and checks that all is well meanwhile and at the end.
//!
//! ```
//! use std::time::Duration;
//! use sio_driver::{Client, ClientBuilder, Data, Server, ServerBuilder, serve};
//! use sio_sim::Sim;
//!
//! let sim = Sim::new(1);
//! let listener = sim.listen(80);
//! let io: Server = ServerBuilder::new(sim.clone()).seed([1; 32]).build();
//! io.of("/").on("add", async |Data((a, b)): Data<(i64, i64)>| a + b);
//! let serving = serve(sim.clone(), listener, io.clone());
//! sim.spawn_named("server", async move { serving.await.expect("the listener works") });
//!
//! let client = ClientBuilder::<Client>::new(sim.clone(), "http://server").seed([2; 32]);
//! let sum: i64 = sim
//!     .run(Duration::from_secs(60), async {
//!         let client = client.connect().await.expect("a server");
//!         let sum = client.emit_with_ack("add", &(1, 2)).await.expect("an answer");
//!         client.close().await;
//!         io.close().await;
//!         sum
//!     })
//!     .expect("it ends");
//! assert_eq!(sum, 3);
//! ```

mod action;
mod executor;
mod model;
mod net;
mod random;
mod runner;
mod runtime;
mod world;

pub use executor::Stuck;
pub use net::{Harm, Sabotage, SimListener, SimStream, Weather};
pub use random::Random;
pub use runner::{Climate, Failure, Report, Settings, run};
pub use runtime::{Sim, SimTimer};
pub use world::World;
