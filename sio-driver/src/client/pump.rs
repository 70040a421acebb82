//! The pump: the one task of a client.
//!
//! It dials, sends requests and runs WebSockets as the machine says, tells it what came of that and what time it is, and runs the
//! handlers. A handler that has to wait lets it go on: heartbeats do not wait for handlers.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use sio_proto::Instant;
use sio_proto::engine::{Answer, ChannelId, ClientRequest, Message, Transmit, Transport, TransportError};
use sio_proto::socket::AckError;

use crate::client::core::{Core, Life, Waiting};
use crate::client::dispatch::Dispatcher;
use crate::client::net::websocket::ClientWebSocket;
use crate::client::requests::{Io, Requests, websocket_error};
use crate::handlers::catch;
use crate::runtime::{BoxFuture, Runtime, Timer as _};
use crate::websocket::{READ_BATCH, WRITE_BATCH, Wire};

/// Turns in one poll, before other tasks get theirs.
const TURNS: usize = 8;

pub(crate) struct Pump<R: Runtime> {
    core: Arc<Core>,
    runtime: R,
    timer: R::Timer,
    /// What the timer is set to.
    deadline: Option<Instant>,
    requests: Requests<R>,
    channels: Vec<Channel>,
    inbound: Vec<Message>,
    dispatcher: Dispatcher,
}

struct Channel {
    id: ChannelId,
    work: Work,
}

enum Work {
    /// A GET or POST.
    Request(BoxFuture<Result<Answer, TransportError>>),
    /// A WebSocket that is not open yet.
    Dial(BoxFuture<Result<ClientWebSocket, TransportError>>),
    WebSocket(Box<Wire<Io>>),
    /// Done with.
    Over,
}

/// What came of a channel.
enum Outcome {
    Nothing,
    Answer(Result<Answer, TransportError>),
    Open,
    Failed(TransportError),
    /// Messages were read; and how it ended, if it did.
    Messages(Option<TransportError>),
}

impl<R: Runtime> Pump<R> {
    pub(crate) fn new(core: Arc<Core>, life: Weak<Life>, runtime: R, requests: Requests<R>) -> Self {
        Self {
            dispatcher: Dispatcher::new(core.clone(), life),
            timer: runtime.timer(),
            deadline: None,
            core,
            runtime,
            requests,
            channels: Vec::new(),
            inbound: Vec::new(),
        }
    }

    /// Polls every channel, and tells the machine. Says whether there may be more to read, and whether some of it was not wanted.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> (bool, bool) {
        let (mut more, mut held) = (false, false);
        for at in 0..self.channels.len() {
            let wanted = self.core.state().machine.wants_read();
            let channel = &mut self.channels[at];
            let outcome = match &mut channel.work {
                Work::Request(request) => match request.as_mut().poll(cx) {
                    Poll::Pending => Outcome::Nothing,
                    Poll::Ready(answer) => {
                        channel.work = Work::Over;
                        Outcome::Answer(answer)
                    }
                },
                Work::Dial(dial) => match dial.as_mut().poll(cx) {
                    Poll::Pending => Outcome::Nothing,
                    Poll::Ready(Ok(websocket)) => {
                        channel.work = Work::WebSocket(Box::new(Wire::new(websocket)));
                        more = true;
                        Outcome::Open
                    }
                    Poll::Ready(Err(error)) => {
                        channel.work = Work::Over;
                        Outcome::Failed(error)
                    }
                },
                Work::WebSocket(wire) => {
                    more |= wire.read(cx, wanted, &mut self.inbound);
                    held |= !wanted;
                    let ended = if wire.is_faulty() {
                        // The server is told why; what it does then does not matter.
                        wire.send(cx, true);
                        true
                    } else {
                        wire.is_gone()
                    };
                    let limit = self.requests.max_message_size();
                    let error = ended.then(|| websocket_error(wire.take_error(), limit));
                    if ended {
                        channel.work = Work::Over;
                    }
                    if self.inbound.is_empty() && !ended {
                        Outcome::Nothing
                    } else {
                        Outcome::Messages(error)
                    }
                }
                Work::Over => Outcome::Nothing,
            };
            let id = channel.id;
            self.tell(id, outcome, now);
        }
        self.channels.retain(|channel| !matches!(channel.work, Work::Over));
        (more, held)
    }

    fn tell(&mut self, id: ChannelId, outcome: Outcome, now: Instant) {
        if matches!(outcome, Outcome::Nothing) {
            return;
        }
        // What is logged is logged without the lock: a subscriber is code of the user, and may send it by this client.
        if let Outcome::Answer(Err(error)) | Outcome::Failed(error) | Outcome::Messages(Some(error)) =
            &outcome
        {
            tracing::debug!(%error, "connection or request failed");
        }
        let mut state = self.core.state();
        let machine = &mut state.machine;
        let mut result = Ok(());
        match outcome {
            Outcome::Nothing => {}
            Outcome::Open => machine.handle_open(id, now),
            Outcome::Answer(Ok(answer)) => {
                result = machine.handle_answer(id, answer, now);
                if machine.transport() == Some(Transport::WebSocket) {
                    self.requests.close_idle();
                }
            }
            Outcome::Answer(Err(error)) | Outcome::Failed(error) => machine.handle_failure(id, error, now),
            Outcome::Messages(end) => {
                for message in self.inbound.drain(..) {
                    let handled = machine.handle_message(id, message, now);
                    result = result.and(handled);
                }
                if let Some(error) = end {
                    machine.handle_failure(id, error, now);
                }
                if self.inbound.capacity() > READ_BATCH {
                    self.inbound = Vec::new();
                }
            }
        }
        drop(state);
        if let Err(error) = result {
            tracing::debug!(%error, "server broke the protocol");
        }
    }

    /// Begins what the machine asks for.
    fn request(&mut self, now: Instant) -> bool {
        let mut any = false;
        loop {
            let Some(request) = self.core.state().machine.poll_request(now) else { return any };
            any = true;
            let (id, work) = match request {
                ClientRequest::WebSocket { channel, query } => {
                    (channel, Work::Dial(self.requests.websocket(&query)))
                }
                ClientRequest::Get { channel, query } => {
                    (channel, Work::Request(self.requests.request(&query, None)))
                }
                ClientRequest::Post { channel, query, body } => {
                    (channel, Work::Request(self.requests.request(&query, Some(body))))
                }
                ClientRequest::Abort { channel } => {
                    self.channels.retain(|open| open.id != channel);
                    continue;
                }
                _ => continue,
            };
            self.channels.push(Channel { id, work });
        }
    }

    /// Writes what waits for the WebSockets, each with one flush. Says whether there may be more to do.
    fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut again = false;
        for channel in &mut self.channels {
            let Work::WebSocket(wire) = &mut channel.work else { continue };
            // A server that does not read: nothing more is taken, and what is not taken can still go over another connection.
            let blocked = wire.is_blocked(cx);
            let (mut bytes, mut close) = (0, false);
            let mut state = self.core.state();
            let mut more = !blocked || state.machine.is_ending(channel.id);
            while bytes < WRITE_BATCH && more && !close {
                match state.machine.poll_transmit(channel.id, now) {
                    Some(Transmit::Packet(packet)) => {
                        bytes += packet.len();
                        wire.push(packet);
                    }
                    Some(Transmit::Close) => close = true,
                    _ => more = false,
                }
            }
            drop(state);
            again |= more;
            if wire.is_empty() && !close {
                continue;
            }
            let flushed = wire.send(cx, close);
            again |= wire.is_gone() || (flushed && close);
        }
        again
    }

    /// One turn. Says whether there may be more to do.
    fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        let now = self.runtime.now();
        let _awake = {
            let mut state = self.core.state();
            if state.machine.poll_timeout().is_some_and(|at| at <= now) {
                state.machine.handle_timeout(now);
            }
            // What handlers do in this turn is seen in this turn.
            state.pump.take()
        };
        let (more, held) = self.read(cx, now);
        self.dispatcher.poll(cx);
        // From here on, whatever a handle does wakes this task. What was done so far, mostly by handlers, is seen below.
        self.core.state().sleep(cx.waker());
        let requested = self.request(now);
        let again = self.write(cx, now);
        let mut state = self.core.state();
        let resumed = held && state.machine.wants_read();
        let news = self.dispatcher.has_news(&state);
        let happy = state.take_happy();
        drop(state);
        happy.into_iter().for_each(Waiting::wake);
        more || requested || again || resumed || news
    }

    /// Sleeps until the next deadline. Says whether it has come already.
    fn is_due(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(at) = self.core.state().machine.poll_timeout() else { return false };
        if self.deadline != Some(at) {
            self.deadline = Some(at);
            self.timer.reset(at);
        }
        self.timer.poll(cx).is_ready()
    }

    fn is_over(&self) -> bool {
        let state = self.core.state();
        state.machine.is_closed()
            && state.machine.is_quiet()
            && self.channels.is_empty()
            && self.dispatcher.is_idle(&state)
    }
}

impl<R: Runtime> Unpin for Pump<R> {}

impl<R: Runtime> Future for Pump<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURNS {
            let more = self.turn(cx);
            if self.is_over() {
                return Poll::Ready(());
            }
            if !more && !self.is_due(cx) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<R: Runtime> Drop for Pump<R> {
    /// After the end; or the runtime is gone, and nothing will ever come for those who wait.
    fn drop(&mut self) {
        let now = self.runtime.now();
        let mut state = self.core.state();
        state.machine.close(now);
        state.finished = true;
        let acks = mem::take(&mut state.acks);
        let happy = state.take_happy();
        let sockets = state.sockets.clone();
        let pump = state.pump.take();
        drop(state);
        drop(pump);
        happy.into_iter().for_each(Waiting::wake);
        let answers = acks.into_values();
        answers.filter_map(|answer| answer.answer(Err(AckError::Disconnected))).for_each(Waker::wake);
        // Handlers may hold handles, which hold what is shared, which holds the handlers.
        for socket in sockets {
            let _ = catch(|| socket.forget());
        }
    }
}
