//! Ends: close, drop, and the end of the runtime.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sio_driver::{AckError, Client, ClientSocket, Data, DisconnectReason, EmitError};

use crate::api::common::{Log, PATIENCE, server};
use crate::api::net::Net;
use crate::api::{Case, list};
use crate::world::{Instant, World, settle, sleep, spawn, thread, timeout, until};

pub(super) const CASES: &[Case] = list![
    close_sends_what_waits,
    close_does_not_wait_for_ever,
    dropping_the_last_handle_closes,
    what_was_emitted_before_the_drop_is_sent,
    a_handler_that_owns_the_client,
    a_handler_that_runs_keeps_the_client,
    the_client_may_be_closed_and_dropped_in_its_handlers,
    waiting_for_the_end_while_others_act,
    the_runtime_ends_first,
    other_threads,
];

const SECOND: Duration = Duration::from_secs(1);

async fn close_sends_what_waits() {
    let io = server();
    let log = Log::default();
    let (seen, left) = (log.clone(), log.clone());
    io.of("/")
        .on("n", move |Data((n, _)): Data<(u32, String)>| {
            seen.push(n.to_string());
            async {}
        })
        .on_disconnect(move |reason: DisconnectReason| {
            left.push(reason.to_string());
            async {}
        });
    for polling in [false, true] {
        let net = Net::to(&io);
        let transport =
            if polling { sio_driver::Transport::Polling } else { sio_driver::Transport::WebSocket };
        let client = net.builder().transports([transport]).connect().await.unwrap();
        for n in 0..100 {
            client.emit("n", &(n, "x".repeat(10_000))).unwrap();
        }
        let begun = Instant::now();
        client.close().await;
        assert!(begun.elapsed() < 5 * SECOND);
        until(|| log.len() == 101).await;
        let mut expected: Vec<_> = (0..100).map(|n| n.to_string()).collect();
        expected.push("client namespace disconnect".into());
        assert_eq!(log.take(), expected);
        settle().await;
        assert_eq!(io.connections(), 0);
    }
}

async fn close_does_not_wait_for_ever() {
    let net = Net::default();
    let mut script = net.script();
    let client = net.ws().build().unwrap();
    let _silent = script.join().await;
    client.connected().await.unwrap();
    client.emit("large", &"x".repeat(900_000)).unwrap();
    timeout(11 * SECOND, client.close()).await.expect("close_timeout, and the linger");
    // Nor while it opens, or waits for the next attempt.
    let client = net.ws().build().unwrap();
    let _silent = script.accept().await;
    timeout(SECOND, client.close()).await.unwrap();
    let client = Net::default().ws().build().unwrap();
    settle().await;
    timeout(SECOND, client.close()).await.unwrap();
}

async fn dropping_the_last_handle_closes() {
    let io = server();
    let net = Net::to(&io);
    let log = Log::default();
    let seen = log.clone();
    io.of("/").on("n", move || {
        seen.push("n");
        async {}
    });
    let guard = Arc::new(());
    let held = guard.clone();
    let client = net
        .ws()
        .on("x", move |_: ClientSocket| {
            let _held = &held;
            async {}
        })
        .connect()
        .await
        .unwrap();
    let socket = client.socket("/");
    let events = client.events();
    drop(client);
    settle().await;
    assert_eq!(io.connections(), 1);
    drop(socket);
    settle().await;
    assert_eq!(io.connections(), 1);
    events_emit(&events);
    drop(events);
    until(|| io.connections() == 0).await;
    settle().await;
    assert_eq!(Arc::strong_count(&guard), 1, "nothing is left");
    assert_eq!(log.take(), [""; 0]);
}

fn events_emit(_: &sio_driver::Events) {}

async fn what_was_emitted_before_the_drop_is_sent() {
    let io = server();
    let net = Net::to(&io);
    let log = Log::default();
    let seen = log.clone();
    io.of("/").on("n", move || {
        seen.push("n");
        async {}
    });
    let client = net.ws().connect().await.unwrap();
    client.emit("n", &()).unwrap();
    drop(client);
    until(|| log.len() == 1).await;
}

/// A handler that owns a handle keeps the client alive; `close` ends it all the same, and leaves nothing.
async fn a_handler_that_owns_the_client() {
    let io = server();
    let net = Net::to(&io);
    let guard = Arc::new(());
    let slot: Arc<OnceLock<Client>> = Arc::default();
    let held = (guard.clone(), slot.clone());
    let client = net
        .ws()
        .auth_with(move || {
            let _held = &held;
            async { Ok(std::collections::BTreeMap::<String, u32>::new()) }
        })
        .connect()
        .await
        .unwrap();
    let _ = slot.set(client.clone());
    drop(slot);
    for hook in [false, true] {
        let captured = (guard.clone(), client.clone());
        let handler = move || {
            let _captured = &captured;
            async {}
        };
        if hook {
            client.on_disconnect(handler)
        } else {
            client.on("x", handler)
        };
    }
    assert_eq!(Arc::strong_count(&guard), 4);
    client.close().await;
    drop(client);
    settle().await;
    assert_eq!(Arc::strong_count(&guard), 1);
}

async fn a_handler_that_runs_keeps_the_client() {
    let io = server();
    let net = Net::to(&io);
    let log = Log::default();
    let seen = log.clone();
    let client = net
        .ws()
        .on("work", move |socket: ClientSocket| {
            let log = seen.clone();
            async move {
                sleep(60 * SECOND).await;
                log.push(if socket.is_connected() { "connected" } else { "gone" });
                "done"
            }
        })
        .connect()
        .await
        .unwrap();
    let socket = io.of("/").sockets().remove(0);
    let asked = socket.emit_with_ack::<String, _>("work", &()).send();
    settle().await;
    drop(client);
    assert_eq!(asked.await.as_deref(), Ok("done"));
    until(|| io.connections() == 0).await;
    assert_eq!(log.take(), ["connected"]);
}

async fn the_client_may_be_closed_and_dropped_in_its_handlers() {
    let io = server();
    let net = Net::to(&io);
    let client: Arc<std::sync::Mutex<Option<Client>>> = Arc::default();
    let (held, log) = (client.clone(), Log::default());
    let seen = log.clone();
    let connected = net
        .ws()
        .on("die", move |socket: ClientSocket| {
            drop(socket);
            drop(held.lock().unwrap().take());
            async {}
        })
        .on_disconnect(move |reason: DisconnectReason| {
            seen.push(reason.to_string());
            async {}
        })
        .connect()
        .await
        .unwrap();
    *client.lock().unwrap() = Some(connected);
    io.emit("die", &()).unwrap();
    until(|| io.connections() == 0).await;
    drop(log);
}

async fn the_runtime_ends_first() {
    // Its end is that of all tasks.
    let world = World::current().another();
    let _hold = World::current().hold();
    let life = async {
        let (io, net) = (server(), Net::default());
        io.of("/").on("never", std::future::pending::<()>);
        net.serve(&io);
        let client = net.ws().connect().await.unwrap();
        let asked = client.emit_with_ack::<(), _>("never", &()).send();
        settle().await;
        (io, client, asked)
    };
    let Ok((io, client, asked)) = world.live(life).await else { panic!("it lives") };
    let waiting = thread({
        let client = client.clone();
        move || block_on(async move { (client.recv().await.is_none(), client.ready().await) })
    });
    // An event that nobody has looked at.
    io.emit("unseen", &()).unwrap();
    world.end().await;
    assert_eq!(block_on(asked), Err(AckError::Disconnected));
    assert!(waiting.await.unwrap().0);
    assert_eq!(client.emit("late", &()), Err(EmitError::Disconnected));
    assert!(
        !client.is_connected()
            && !client.is_active()
            && client.id().is_none()
            && client.transport().is_none()
    );
    block_on(async {
        assert!(client.connected().await.is_err());
        assert!(client.recv().await.is_none());
        client.ready().await;
        client.close().await;
    });
    client.connect();
    drop(client.close());
}

/// Without a runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Thread(std::thread::Thread);
    impl std::task::Wake for Thread {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Thread(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    let begun = std::time::Instant::now();
    loop {
        if let std::task::Poll::Ready(output) =
            future.as_mut().poll(&mut std::task::Context::from_waker(&waker))
        {
            return output;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it ends");
        std::thread::park_timeout(Duration::from_secs(60));
    }
}

async fn other_threads() {
    World::current().in_parallel();
    let io = server();
    let log = Log::default();
    let seen = log.clone();
    io.of("/").on("n", move |Data(n): Data<u32>| {
        seen.push(n.to_string());
        async move { n }
    });
    let client = Net::to(&io).ws().connect().await.unwrap();
    // Each answer is waited for, so a wake that is lost would be noticed: time stands still, and no ping comes.
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            thread(move || {
                for n in 0..500 {
                    client.volatile().emit("n", &n).unwrap();
                    assert_eq!(block_on(async { client.emit_with_ack::<u32, _>("n", &n).await }), Ok(n));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.await.unwrap();
    }
    assert!(log.len() >= 2000);
    // Received elsewhere, too.
    let receiving = thread({
        let client = client.clone();
        move || (0..2000).map(|_| block_on(client.recv()).unwrap().data::<u32>().unwrap()).collect::<Vec<_>>()
    });
    for n in 0..2000 {
        io.emit("news", &n).unwrap();
        if n % 10 == 0 {
            std::thread::yield_now();
        }
    }
    assert_eq!(receiving.await.unwrap(), (0..2000).collect::<Vec<_>>());
    thread(move || block_on(client.close())).await.unwrap();
}

async fn waiting_for_the_end_while_others_act() {
    let io = server();
    let net = Net::to(&io);
    let client = net.ws().connect().await.unwrap();
    let closing: Vec<_> = (0..3)
        .map(|_| {
            let client = client.clone();
            spawn(async move { client.close().await })
        })
        .collect();
    for closing in closing {
        timeout(PATIENCE, closing).await.unwrap().unwrap();
    }
}
