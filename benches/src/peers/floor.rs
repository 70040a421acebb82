//! What a WebSocket library costs by itself: async-tungstenite, with every message that is ready handled before one
//! flush, and a small read buffer (the default one of 128 KiB is zeroed at reads and kept per connection).
//!
//! It answers the handshakes and the broadcasts with fixed text, so that the same load can be put on it; any other
//! message goes back as it came.

use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use async_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use futures_util::{Sink as _, Stream as _, future};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

const HANDSHAKE: &str =
    r#"0{"sid":"floor","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
const CONNECTED: &str = r#"40{"sid":"floor"}"#;

/// What waits for a member of the room.
#[derive(Debug, Default)]
struct Mailbox {
    inner: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: Vec<Utf8Bytes>,
    waker: Option<Waker>,
}

/// The members of the room.
type Room = Arc<Mutex<Vec<Arc<Mailbox>>>>;

pub(super) async fn serve(listener: TcpListener) -> Result<()> {
    let room = Room::default();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection(stream, Arc::clone(&room)));
    }
}

async fn connection(stream: TcpStream, room: Room) {
    let config = WebSocketConfig::default().read_buffer_size(4096);
    // A client that goes away in the handshake or later is no news to a floor.
    let Ok(socket) = async_tungstenite::accept_async_with_config(stream.compat(), Some(config)).await else {
        return;
    };
    let mut pump = Pump { socket, room, mailbox: Arc::default(), taken: Vec::new(), ended: false };
    if pump.send(Message::text(HANDSHAKE)).is_ok() {
        let _ = future::poll_fn(|context| pump.poll(context)).await;
    }
    pump.leave();
}

/// One connection.
#[derive(Debug)]
struct Pump {
    socket: WebSocketStream<Compat<TcpStream>>,
    room: Room,
    mailbox: Arc<Mailbox>,
    taken: Vec<Utf8Bytes>,
    ended: bool,
}

impl Pump {
    /// Handles what waits in the mailbox and on the socket, then flushes. Ready when the connection is over.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            let mut idle = !self.empty_mailbox(context)?;
            while !self.ended {
                match Pin::new(&mut self.socket).poll_next(context) {
                    Poll::Ready(Some(message)) => self.handle(message?)?,
                    Poll::Ready(None) => self.ended = true,
                    Poll::Pending => break,
                }
                idle = false;
            }
            if self.ended {
                return Pin::new(&mut self.socket).poll_flush(context);
            }
            if idle {
                ready!(Pin::new(&mut self.socket).poll_flush(context))?;
                return Poll::Pending;
            }
        }
    }

    /// Feeds the broadcasts that wait, and leaves the waker for the next. Returns whether there were any.
    fn empty_mailbox(&mut self, context: &Context<'_>) -> Result<bool, Error> {
        let mut waiting = self.mailbox.inner.lock().unwrap_or_else(PoisonError::into_inner);
        core::mem::swap(&mut self.taken, &mut waiting.messages);
        if !waiting.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            waiting.waker = Some(context.waker().clone());
        }
        drop(waiting);
        let any = !self.taken.is_empty();
        let mut taken = core::mem::take(&mut self.taken);
        for message in taken.drain(..) {
            self.send(Message::Text(message))?;
        }
        self.taken = taken;
        Ok(any)
    }

    fn handle(&mut self, message: Message) -> Result<(), Error> {
        match &message {
            Message::Text(text) if text.starts_with("42[\"cast\"") => {
                for mailbox in self.room.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                    let mut waiting = mailbox.inner.lock().unwrap_or_else(PoisonError::into_inner);
                    waiting.messages.push(text.clone());
                    if waiting.messages.len() == 1
                        && let Some(waker) = &waiting.waker
                    {
                        waker.wake_by_ref();
                    }
                }
                Ok(())
            }
            Message::Text(text) if text.as_str() == "421[\"join\"]" => {
                self.room.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&self.mailbox));
                self.send(Message::text("431[]"))
            }
            Message::Text(text) if text.as_str() == "40" => self.send(Message::text(CONNECTED)),
            Message::Text(text) if text.as_str() == "41" => Ok(()),
            Message::Text(_) | Message::Binary(_) => self.send(message),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => Ok(()),
        }
    }

    /// Adds to the write buffer; the library writes by itself only when that is full.
    fn send(&mut self, message: Message) -> Result<(), Error> {
        Pin::new(&mut self.socket).start_send(message)
    }

    fn leave(&self) {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        room.retain(|mailbox| !Arc::ptr_eq(mailbox, &self.mailbox));
    }
}
