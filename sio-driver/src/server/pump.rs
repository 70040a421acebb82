//! The pump: the one task of a WebSocket connection.
//!
//! Each turn reads every message that has arrived, gives all of them to the machine, runs the handlers, and writes everything
//! that waits with one flush. So a burst of messages costs one lock, one write and one wake-up, not one each.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_tungstenite::WebSocketStream;
use hyper::rt::{Read, Write};
use hyper::upgrade::OnUpgrade;
use sio_proto::engine::{ChannelId, Dialect, Hangup, Message, Refusal, Transmit};
use sio_proto::server::ConnId;
use sio_proto::{Instant, Sid, SidPrefix};
use tracing::Instrument as _;
use tungstenite::protocol::Role;

use crate::io::Io;
use crate::server::dispatch::Dispatcher;
use crate::server::front::{Permit, RequestHead};
use crate::server::shard::{ConnState, Shard};
use crate::server::{Link, Shared};
use crate::websocket::{self, WRITE_BATCH, Wire};

/// Turns in one poll, before other tasks get theirs.
const TURNS: usize = 8;

/// The session that a WebSocket is for.
pub(crate) struct Session {
    /// `None`: a new one.
    pub(crate) sid: Option<Sid>,
    /// How its id begins if it is new.
    pub(crate) prefix: SidPrefix,
    pub(crate) dialect: Dialect,
}

/// Waits for a connection to become a WebSocket, and then runs it.
///
/// It keeps the server, so that a client is served until it leaves, whether or not anybody else still holds the server.
pub(crate) async fn upgraded(
    server: Arc<Shared>,
    shard: Arc<Shard>,
    session: Session,
    upgrade: OnUpgrade,
    (request, handshake): (Arc<RequestHead>, Arc<Link>),
    permit: Option<Permit>,
) {
    let stream = match upgrade.await {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%error, "websocket handshake was not completed"),
    };
    let (conn, channel, max_message) = match open(&shard, session, handshake, permit) {
        Ok(opened) => opened,
        Err(refusal) => {
            // The session has ended, or has another WebSocket, or the server closes: since the handshake was answered.
            server.front.report(&request, &refusal, true);
            let mut websocket = WebSocketStream::from_raw_socket(Io(stream), Role::Server, None).await;
            let _ = websocket.close(None).await;
            return;
        }
    };
    // It ends with the request: it keeps the buffer that it was read into.
    drop(request);
    let config = websocket::config(max_message);
    let websocket = WebSocketStream::from_raw_socket(Io(stream), Role::Server, Some(config)).await;
    let span = tracing::debug_span!("websocket", ?conn);
    Pump::new(shard, conn, channel, websocket).instrument(span).await;
}

fn open(
    shard: &Shard,
    Session { sid, prefix, dialect }: Session,
    handshake: Arc<Link>,
    permit: Option<Permit>,
) -> Result<(ConnId, ChannelId, usize), Refusal> {
    let now = shard.now();
    let mut locked = shard.lock();
    if sid.is_none() {
        locked.machine.choose_sid(prefix);
    }
    let channel = locked.machine.open_websocket_in(dialect, sid, now)?;
    let conn = locked.machine.conn_of(channel).ok_or(Refusal::SessionUnknown)?;
    let max_message = locked.machine.config().engine.max_http_buffer_size;
    let remote_addr = handshake.remote_addr;
    let is_upgrade = locked.conns.contains_key(conn);
    if let Some(state) = locked.conns.get_mut(conn) {
        state.pump = Some(channel);
    } else {
        let mut state = ConnState::new(conn, handshake, permit);
        state.pump = Some(channel);
        locked.conns.insert(conn, state);
    }
    drop(locked);
    // Without the lock: a subscriber of the log is code of the user.
    if is_upgrade {
        tracing::debug!(?conn, "upgrade to websocket begins");
    } else {
        tracing::debug!(?conn, transport = "websocket", ?remote_addr, "session opened");
    }
    Ok((conn, channel, max_message))
}

struct Pump<S> {
    shard: Arc<Shard>,
    conn: ConnId,
    channel: ChannelId,
    wire: Wire<Io<S>>,
    inbound: Vec<Message>,
    /// Held while handlers of this connection run or wait.
    dispatcher: Option<Dispatcher>,
    /// Whether the machine takes more messages.
    wants_read: bool,
}

impl<S: Read + Write + Unpin> Pump<S> {
    fn new(shard: Arc<Shard>, conn: ConnId, channel: ChannelId, websocket: WebSocketStream<Io<S>>) -> Self {
        Self {
            shard,
            conn,
            channel,
            wire: Wire::new(websocket),
            inbound: Vec::new(),
            dispatcher: None,
            wants_read: true,
        }
    }

    /// Gives the machine what was read, and how the reading ended.
    fn deliver(&mut self, now: Instant) {
        let (gone, faulty) = (self.wire.is_gone(), self.wire.is_faulty());
        if self.inbound.is_empty() && !gone && !faulty {
            if self.dispatcher.is_some() {
                // As below, for handlers that have waited for something.
                self.shard.lock().unregister(self.conn, self.channel);
            }
            return;
        }
        let mut locked = self.shard.lock();
        let handled = locked.machine.handle_messages(self.channel, self.inbound.drain(..), now);
        if faulty {
            locked.machine.handle_fault(self.channel, now);
        } else if gone {
            locked.machine.handle_hangup(self.channel, Hangup::Closed, now);
            locked.release(self.conn, self.channel);
        }
        self.wants_read = locked.machine.wants_read(self.conn);
        if self.dispatcher.is_some() {
            locked.attend(self.conn);
        } else {
            self.dispatcher = locked.claim(self.conn);
        }
        // What handlers are about to send is written in this turn: the task need not be woken for it. `write` registers it again.
        locked.unregister(self.conn, self.channel);
        drop(locked);
        if let Err(error) = handled {
            tracing::debug!(conn = ?self.conn, %error, "client broke the protocol");
        }
        if self.inbound.capacity() > websocket::READ_BATCH {
            self.inbound = Vec::new();
        }
    }

    fn dispatch(&mut self, cx: &mut Context<'_>) {
        if let Some(dispatcher) = &mut self.dispatcher
            && dispatcher.poll(cx).is_ready()
        {
            self.dispatcher = None;
        }
    }

    /// Writes what waits, with one flush. Says whether there may be more to do.
    fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        if self.wire.is_gone() {
            return false;
        }
        let blocked = self.wire.is_blocked(cx);
        let mut bytes = 0;
        let mut close = false;
        let mut locked = self.shard.lock();
        // A peer that does not read: nothing more is taken from the outbox, whose limit then does its work.
        let mut more = !blocked || locked.machine.is_ending(self.channel);
        while bytes < WRITE_BATCH && more && !close {
            match locked.machine.poll_transmit(self.channel, now) {
                Some(Transmit::Packet(packet)) => {
                    bytes += packet.len();
                    self.wire.push(packet);
                }
                Some(Transmit::Close) => close = true,
                Some(_) => {
                    self.wire.abort();
                    return true;
                }
                None => more = false,
            }
        }
        if !more {
            // All is taken that can be. What comes from now on wakes this task; so do events, which are the pump's to handle.
            if self.dispatcher.is_none() {
                self.dispatcher = locked.claim(self.conn);
            }
            self.wants_read = locked.machine.wants_read(self.conn);
            if let Some(conn) = locked.conns.get_mut(self.conn) {
                conn.register(self.channel, cx.waker());
            }
        }
        let more = more || self.dispatcher.as_ref().is_some_and(Dispatcher::is_new);
        if self.wire.is_empty() && !close {
            return more;
        }
        drop(locked);
        let flushed = self.wire.send(cx, close);
        if self.wire.is_gone() {
            return true;
        }
        // Also if the flush waits: the next turn makes sure that more than the socket can wake this task.
        more || (flushed && close)
    }
}

impl<S: Read + Write + Unpin> Future for Pump<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let pump = &mut *self;
        for _ in 0..TURNS {
            let now = pump.shard.now();
            let paused = !pump.wants_read;
            let read = pump.wire.read(cx, pump.wants_read, &mut pump.inbound);
            pump.deliver(now);
            pump.dispatch(cx);
            let more = pump.write(cx, now);
            if pump.wire.is_gone() {
                pump.deliver(now);
                pump.dispatch(cx);
                return Poll::Ready(());
            }
            let resumed = paused && pump.wants_read;
            if !(read || more || resumed) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S> Drop for Pump<S> {
    fn drop(&mut self) {
        let now = self.shard.now();
        let mut locked = self.shard.lock();
        locked.machine.handle_hangup(self.channel, Hangup::Failed, now);
        locked.release(self.conn, self.channel);
        drop(locked);
        // Handlers that still wait go on without the connection.
        if let Some(dispatcher) = self.dispatcher.take() {
            self.shard.host().spawn(Box::pin(dispatcher));
        }
    }
}
