//! The runtime itself: time, wake-ups, the network, and what is said when something hangs.

use std::future::{pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::time::Duration;

use hyper::rt::{Read, ReadBuf, Write};
use sio_driver::{Client, ClientBuilder, Data, Instant, Runtime as _, Server, ServerBuilder, serve};
use sio_sim::{Harm, Sabotage, Sim, SimStream, Stuck, Weather};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

async fn read(stream: &mut SimStream) -> io::Result<Vec<u8>> {
    let mut space = [0; 1000];
    let mut buffer = ReadBuf::new(&mut space);
    poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, buffer.unfilled())).await?;
    Ok(buffer.filled().to_vec())
}

async fn write(stream: &mut SimStream, bytes: &[u8]) -> io::Result<usize> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, bytes)).await
}

/// Both ends of a connection.
async fn link(sim: &Sim) -> (SimStream, SimStream) {
    let listener = sim.listen(80);
    let client = sim.connect("server", 80).await.expect("somebody listens");
    let (server, _) = sim.accept(&listener).await.expect("somebody has connected");
    (client, server)
}

/// A server that answers, and the task of its listener.
fn server(sim: &Sim) -> Server {
    let io: Server = ServerBuilder::new(sim.clone()).seed([1; 32]).build();
    io.of("/").on("echo", async |Data(text): Data<String>| text);
    let serving = serve(sim.clone(), sim.listen(80), io.clone());
    sim.spawn_named("listener", async move { serving.await.expect("it accepts") });
    io
}

fn client(sim: &Sim) -> ClientBuilder<Client> {
    ClientBuilder::new(sim.clone(), "http://server").seed([2; 32])
}

// ---- Time and wake-ups --------------------------------------------------------------------------------------------

#[test]
fn time_passes_only_while_nothing_can_run() {
    let sim = Sim::new(1);
    let slept = sim.run(2 * HOUR, async {
        sim.sleep(HOUR).await;
        sim.now()
    });
    assert_eq!(slept, Ok(Instant::ZERO + HOUR));
}

#[test]
fn a_task_that_nobody_wakes_is_named() {
    let sim = Sim::new(1);
    sim.spawn_named("forgotten", pending());
    let hang = sim.run(HOUR, pending::<()>());
    assert_eq!(hang, Err(Stuck::Hang(vec!["forgotten".into()])));
    let late = sim.run(HOUR, sim.sleep(2 * HOUR));
    assert_eq!(late, Err(Stuck::Late(vec!["forgotten".into()])));
}

#[test]
fn a_task_that_wakes_itself_for_ever_is_named() {
    let sim = Sim::new(1);
    sim.spawn_named(
        "restless",
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        }),
    );
    assert_eq!(sim.run(HOUR, pending::<()>()), Err(Stuck::Spin(vec!["restless".into()])));
}

#[test]
fn a_task_is_polled_once_for_each_time_it_is_woken() {
    let sim = Sim::new(1);
    let polls = Arc::new(AtomicUsize::new(0));
    let seen = polls.clone();
    let mut timer = sim.timer();
    sio_driver::Timer::reset(&mut timer, Instant::ZERO + SECOND);
    sim.spawn_named(
        "counted",
        poll_fn(move |cx| {
            seen.fetch_add(1, SeqCst);
            sio_driver::Timer::poll(&mut timer, cx)
        }),
    );
    sim.run(HOUR, sim.sleep(10 * SECOND)).expect("it ends");
    assert_eq!(polls.load(SeqCst), 2, "at first, and when the time has come");
}

// ---- The network --------------------------------------------------------------------------------------------------

#[test]
fn bytes_arrive_after_the_latency_and_in_order() {
    let sim = Sim::new(1);
    sim.weather(Weather { latency: 5_000..=5_000, jitter: 100_000, chop: 50, ..Weather::default() });
    sim.run(HOUR, async {
        let (mut client, mut server) = link(&sim).await;
        let sent: Vec<u8> = (0..200).collect();
        let (mut at, begun) = (0, sim.now());
        while at < sent.len() {
            at += write(&mut client, &sent[at..]).await.expect("it is open");
        }
        let mut came = read(&mut server).await.expect("it is open");
        assert!(sim.now() - begun >= Duration::from_millis(5));
        while came.len() < sent.len() {
            came.extend(read(&mut server).await.expect("it is open"));
        }
        assert_eq!(came, sent);
        drop(client);
        assert_eq!(read(&mut server).await.expect("an end is no error"), b"");
    })
    .expect("it ends");
    assert_eq!((sim.links(), sim.live_bytes()), (0, 0));
}

#[test]
fn a_writer_waits_for_room() {
    let sim = Sim::new(1);
    sim.weather(Weather { capacity: 10..=10, ..Weather::default() });
    sim.run(HOUR, async {
        let (mut client, mut server) = link(&sim).await;
        assert_eq!(write(&mut client, &[7; 30]).await.expect("it is open"), 10);
        let reader = sim.clone();
        sim.spawn_named("reader", async move {
            reader.sleep(SECOND).await;
            assert_eq!(read(&mut server).await.expect("it is open"), [7; 10]);
            reader.sleep(SECOND).await;
        });
        let begun = sim.now();
        write(&mut client, &[8; 30]).await.expect("it is open");
        assert_eq!(sim.now() - begun, SECOND);
    })
    .expect("it ends");
}

#[test]
fn harm_is_done() {
    let sim = Sim::new(1);
    sim.run(HOUR, async {
        let (mut client, mut server) = link(&sim).await;
        write(&mut client, b"lost").await.expect("it is open");
        sim.break_links(Harm::Reset);
        for end in [&mut client, &mut server] {
            assert_eq!(read(end).await.expect_err("reset").kind(), io::ErrorKind::ConnectionReset);
        }
        drop((client, server));
        // In one direction or in both; this seed's is found out by trying.
        let (mut client, mut server) = link(&sim).await;
        sim.break_links(Harm::Silence);
        let begun = sim.now();
        write(&mut client, b"lost").await.expect("nobody has noticed");
        write(&mut server, b"lost").await.expect("nobody has noticed");
        let (client, server) = (read(&mut client).await, read(&mut server).await);
        assert!(client.is_err() || server.is_err());
        assert!(sim.now() - begun >= Duration::from_secs(900), "the system gives up");
    })
    .expect("it ends");
}

/// Closing a connection on which something was not read destroys what was on its way to the peer.
#[test]
fn unread_bytes_make_a_close_an_error() {
    let sim = Sim::new(1);
    sim.run(HOUR, async {
        let (mut client, mut server) = link(&sim).await;
        write(&mut client, b"unread").await.expect("it is open");
        sim.sleep(SECOND).await;
        write(&mut server, b"goodbye").await.expect("it is open");
        sim.sleep(SECOND).await;
        drop(server);
        sim.sleep(SECOND).await;
        assert!(read(&mut client).await.is_err());
    })
    .expect("it ends");
}

// ---- The driver on it ---------------------------------------------------------------------------------------------

#[test]
fn a_day_of_heartbeats() {
    let sim = Sim::new(1);
    let io = server(&sim);
    let clock = std::time::Instant::now();
    sim.run(25 * HOUR, async {
        let client = client(&sim).connect().await.expect("a server");
        let id = client.id();
        sim.sleep(24 * HOUR).await;
        assert!(client.is_connected() && client.id() == id, "the first connection holds");
        client.close().await;
        io.close().await;
    })
    .expect("it ends");
    // 3,456 pings and pongs.
    assert!((10_000..100_000).contains(&sim.polls()), "{} polls", sim.polls());
    println!("{:?}", clock.elapsed());
}

#[test]
fn a_missed_wake_up_is_a_hang() {
    let sim = Sim::new(1);
    let _io = server(&sim);
    let late = sim.run(HOUR, async {
        let client =
            client(&sim).transports([sio_driver::Transport::WebSocket]).connect().await.expect("a server");
        let large = "x".repeat(5_000);
        assert_eq!(client.emit_with_ack::<String, _>("echo", &large).await.as_ref(), Ok(&large));
        // The heartbeat, which wakes by itself, must not save us.
        sim.sabotage(Sabotage::ForgetWake(4_000));
        let begun = sim.now();
        let answer = client.emit_with_ack::<String, _>("echo", &large).timeout(SECOND).await;
        (answer, sim.now() - begun)
    });
    let (answer, took) = late.expect("the deadline wakes, at least");
    assert_eq!((answer, took), (Err(sio_driver::AckError::Timeout), SECOND));
    sim.abandon();
}
