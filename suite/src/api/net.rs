//! A network inside the test: clients reach a server, or a script that plays one, over streams in memory, so that the
//! clock of their world tells the truth. It counts what a client costs.

use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use async_channel::{Receiver, Sender};
use async_tungstenite::{WebSocketStream, accept_async};
use futures_util::StreamExt as _;
use sio_driver::{Client, ClientBuilder, Instant, Runtime, Server, Transport, serve_connection};
use tungstenite::Message;

use crate::api::common::PATIENCE;
use crate::world::{Alarm, Pipe, World, pipe, timeout};

/// How much can be on the way in each direction.
const WINDOW: usize = 128 << 10;

#[derive(Clone)]
pub(crate) struct Net(Arc<Inner>);

struct Inner {
    world: World,
    host: Mutex<Host>,
    cables: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
    /// How often the client's task was polled, its streams were flushed and written to, and it dialled.
    pub(crate) polls: AtomicUsize,
    flushes: AtomicUsize,
    writes: AtomicUsize,
    dials: AtomicUsize,
}

#[derive(Default)]
enum Host {
    #[default]
    Down,
    Server(Server),
    Script(Sender<Pipe>),
}

impl Default for Net {
    /// With nothing behind it.
    fn default() -> Self {
        Self(Arc::new(Inner {
            world: World::current(),
            host: Mutex::default(),
            cables: Mutex::default(),
            polls: AtomicUsize::new(0),
            flushes: AtomicUsize::new(0),
            writes: AtomicUsize::new(0),
            dials: AtomicUsize::new(0),
        }))
    }
}

impl Net {
    /// With this server behind it.
    pub(crate) fn to(io: &Server) -> Self {
        let net = Self::default();
        net.serve(io);
        net
    }

    pub(crate) fn serve(&self, io: &Server) {
        *self.0.host.lock().unwrap() = Host::Server(io.clone());
    }

    /// From here on the test plays the server.
    pub(crate) fn script(&self) -> Script {
        let (sender, streams) = async_channel::unbounded();
        *self.0.host.lock().unwrap() = Host::Script(sender);
        Script(streams)
    }

    /// No connection is possible any more; those that there are stay.
    pub(crate) fn down(&self) {
        *self.0.host.lock().unwrap() = Host::Down;
    }

    /// Cuts all connections.
    pub(crate) fn cut(&self) {
        let cables = std::mem::take(&mut *self.0.cables.lock().unwrap());
        cables.into_iter().for_each(|cut| cut());
    }

    pub(crate) fn builder(&self) -> ClientBuilder<Client> {
        ClientBuilder::new(self.clone(), "http://sio.test")
    }

    /// Over WebSocket from the start: less happens in the background.
    pub(crate) fn ws(&self) -> ClientBuilder<Client> {
        self.builder().transports([Transport::WebSocket])
    }

    pub(crate) fn polls(&self) -> usize {
        self.0.polls.swap(0, SeqCst)
    }

    pub(crate) fn flushes(&self) -> usize {
        self.0.flushes.swap(0, SeqCst)
    }

    pub(crate) fn writes(&self) -> usize {
        self.0.writes.swap(0, SeqCst)
    }

    pub(crate) fn dials(&self) -> usize {
        self.0.dials.swap(0, SeqCst)
    }
}

impl Runtime for Net {
    type Stream = Counted;
    type Listener = ();
    type Timer = Alarm;

    fn now(&self) -> Instant {
        self.0.world.now()
    }

    fn timer(&self) -> Alarm {
        self.0.world.timer()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let (net, mut task) = (self.clone(), Box::pin(task));
        self.0.world.spawn(std::future::poll_fn(move |cx| {
            net.0.polls.fetch_add(1, SeqCst);
            task.as_mut().poll(cx)
        }));
    }

    async fn accept(&self, (): &()) -> io::Result<(Counted, SocketAddr)> {
        pending().await
    }

    async fn connect(&self, host: &str, port: u16) -> io::Result<Counted> {
        assert_eq!((host, port), ("sio.test", 80));
        self.0.dials.fetch_add(1, SeqCst);
        let (ours, theirs) = pipe(WINDOW);
        let cut = ours.cutter();
        match &*self.0.host.lock().unwrap() {
            Host::Down => return Err(io::ErrorKind::ConnectionRefused.into()),
            Host::Server(io) => {
                self.0.world.spawn(serve_connection(self.0.world.clone(), io.clone(), theirs, None));
            }
            Host::Script(script) => {
                script.try_send(theirs).map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            }
        }
        self.0.cables.lock().unwrap().push(Box::new(cut));
        Ok(Counted { stream: ours, net: self.clone() })
    }
}

/// A client's end of a connection.
pub(crate) struct Counted {
    stream: Pipe,
    net: Net,
}

impl hyper::rt::Read for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        hyper::rt::Read::poll_read(Pin::new(&mut self.stream), cx, into)
    }
}

impl hyper::rt::Write for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.net.0.writes.fetch_add(1, SeqCst);
        hyper::rt::Write::poll_write(Pin::new(&mut self.stream), cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.net.0.flushes.fetch_add(1, SeqCst);
        hyper::rt::Write::poll_flush(Pin::new(&mut self.stream), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        hyper::rt::Write::poll_shutdown(Pin::new(&mut self.stream), cx)
    }
}

/// The connections that clients make to a test which plays the server.
pub(crate) struct Script(Receiver<Pipe>);

impl Script {
    pub(crate) async fn accept(&mut self) -> Pipe {
        timeout(PATIENCE, self.0.recv()).await.expect("a client connects").expect("the network is there")
    }

    /// A WebSocket, and the handshake; pings come every 25 s, and may be 20 s late.
    pub(crate) async fn open(&mut self) -> Peer {
        let mut peer = Peer(accept_async(self.accept().await).await.expect("a websocket"));
        let open =
            r#"{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        peer.send(&format!("0{open}")).await;
        peer
    }

    /// A client that has joined `/`.
    pub(crate) async fn join(&mut self) -> Peer {
        let mut peer = self.open().await;
        let connect = peer.recv().await;
        assert!(connect.starts_with("40"), "{connect}");
        peer.send(r#"40{"sid":"id"}"#).await;
        peer
    }
}

/// What a test that plays the server has of a client.
pub(crate) struct Peer(pub(crate) WebSocketStream<Pipe>);

impl Peer {
    pub(crate) async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("the client takes it");
    }

    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            let message = timeout(PATIENCE, self.0.next()).await.expect("the client sends something");
            match message {
                Some(Ok(Message::Text(text))) if text == "3" => {}
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return None,
            }
        }
    }

    pub(crate) async fn recv(&mut self) -> String {
        self.next().await.expect("the client is there")
    }

    pub(crate) async fn expect(&mut self, text: &str) {
        assert_eq!(self.recv().await, text);
    }
}
