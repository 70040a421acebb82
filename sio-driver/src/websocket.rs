//! WebSockets: between the streams of hyper, the traits of async-tungstenite, and the messages of the core.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_tungstenite::WebSocketStream;
use bytes::Bytes;
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::{Sink as _, Stream as _};
use sio_proto::Str;
use sio_proto::engine::{Encoded, Frame, Message};
use tungstenite::protocol::frame::Frame as WsFrame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tungstenite::{Error, Message as WsMessage, error::ProtocolError};

/// The read buffer of a connection, allocated as long as the connection lasts.
const READ_BUFFER: usize = 4 << 10;
/// Bytes that a pump gathers before they are flushed.
pub(crate) const WRITE_BATCH: usize = 64 << 10;

/// Small buffers: most connections are idle most of the time. What is written is gathered by the pump, so the library's own
/// threshold must not get in its way.
pub(crate) fn config(max_message: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BATCH)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message))
}

/// A message that arrived, if it is one for the core; pings and pongs of the WebSocket itself are the library's.
fn incoming(message: WsMessage) -> Option<Message> {
    match message {
        // Checked by the library already. Without `unsafe` it is checked again here, at some 20 bytes a nanosecond.
        WsMessage::Text(text) => Str::try_from(Bytes::from(text)).ok().map(Message::Text),
        WsMessage::Binary(bytes) => Some(Message::Binary(bytes)),
        _ => None,
    }
}

/// A message that may wait. All are parts of the buffer into which they were read, which is as large as the largest message before: a
/// small one is copied, or it would keep all of that for as long as it waits itself.
fn apart(message: Message, largest: usize) -> Message {
    if largest <= READ_BUFFER || message.len() >= largest / 2 {
        return message;
    }
    match message {
        Message::Text(text) => Message::Text(text.as_str().into()),
        Message::Binary(bytes) => Message::Binary(Bytes::copy_from_slice(&bytes)),
    }
}

/// The messages of a packet. Text goes out as a ready frame, because the library's text type would check it once more.
fn outgoing(packet: Encoded) -> impl Iterator<Item = WsMessage> {
    let (first, attachments) = packet.into_parts();
    let first = match first {
        Frame::Text(text) => frame(text.into(), Data::Text),
        Frame::Binary(bytes) => frame(bytes, Data::Binary),
        _ => frame(Bytes::new(), Data::Binary),
    };
    let mut at = 0;
    let rest = std::iter::from_fn(move || {
        let bytes = attachments.as_ref()?.get(at)?.clone();
        at += 1;
        Some(frame(bytes, Data::Binary))
    });
    std::iter::once(first).chain(rest)
}

fn frame(content: Bytes, kind: Data) -> WsMessage {
    WsMessage::Frame(WsFrame::message(content, OpCode::Data(kind), true))
}

/// Messages that are read before they are handled.
pub(crate) const READ_BATCH: usize = 64;
/// Bytes of messages read before they are handled; one message more at most.
const READ_BYTES: usize = 256 << 10;

/// A WebSocket, on either side: reads all that has arrived, and writes all that waits with one flush.
pub(crate) struct Wire<S> {
    websocket: WebSocketStream<S>,
    outbound: Vec<WsMessage>,
    /// The length of the largest message so far.
    largest: usize,
    /// Whether something was written that is not flushed.
    dirty: bool,
    phase: Phase,
    /// Why it is gone, or faulty.
    error: Option<Error>,
}

enum Phase {
    Open,
    /// The peer broke the rules: when the WebSocket is closed, this is the close frame.
    Faulty(Option<CloseFrame>),
    /// We have sent a close frame, and wait for the peer's. What comes before does not matter.
    Closing,
    /// As `Closing`, but what comes cannot be understood any more.
    Draining,
    /// The connection is gone.
    Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(websocket: WebSocketStream<S>) -> Self {
        Self { websocket, outbound: Vec::new(), largest: 0, dirty: false, phase: Phase::Open, error: None }
    }

    /// Whether the connection is gone.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.phase, Phase::Gone)
    }

    /// Whether the peer broke the rules, and the WebSocket is to be closed.
    pub(crate) fn is_faulty(&self) -> bool {
        matches!(self.phase, Phase::Faulty(_))
    }

    /// Gives the connection up.
    pub(crate) fn abort(&mut self) {
        self.phase = Phase::Gone;
    }

    /// Why it is gone or faulty; nothing if it was closed as one should.
    pub(crate) fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }

    /// Reads what has arrived, if it is wanted. Says whether there may be more.
    pub(crate) fn read(&mut self, cx: &mut Context<'_>, wanted: bool, inbound: &mut Vec<Message>) -> bool {
        match self.phase {
            Phase::Open if !wanted => return false,
            Phase::Open | Phase::Closing => {}
            Phase::Draining => return self.drain(cx),
            Phase::Faulty(_) | Phase::Gone => return false,
        }
        let mut bytes = 0;
        for _ in 0..READ_BATCH {
            if bytes >= READ_BYTES {
                break;
            }
            match Pin::new(&mut self.websocket).poll_next(cx) {
                Poll::Pending => return false,
                Poll::Ready(Some(Ok(message))) => {
                    bytes += message.len();
                    if matches!(self.phase, Phase::Open) {
                        self.largest = self.largest.max(message.len());
                        inbound.extend(incoming(message).map(|message| apart(message, self.largest)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%error, "websocket failed");
                    self.phase = match (fault(&error), &self.phase) {
                        (Some(close), Phase::Open) => Phase::Faulty(Some(close)),
                        _ => Phase::Gone,
                    };
                    self.error = Some(error);
                    return false;
                }
                Poll::Ready(None) => {
                    self.phase = Phase::Gone;
                    return false;
                }
            }
        }
        true
    }

    /// Throws away what arrives, so that the peer gets our last bytes and not a reset.
    fn drain(&mut self, cx: &mut Context<'_>) -> bool {
        let mut waste = [0; 1024];
        for _ in 0..READ_BATCH {
            match Pin::new(self.websocket.get_mut()).poll_read(cx, &mut waste) {
                Poll::Pending => return false,
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => {
                    self.phase = Phase::Gone;
                    return false;
                }
            }
        }
        true
    }

    /// Whether what was written before is still not flushed. Nothing more should be written then: a peer that does not read must find
    /// the limit of its outbox.
    pub(crate) fn is_blocked(&mut self, cx: &mut Context<'_>) -> bool {
        self.dirty && self.flush(cx).is_pending()
    }

    /// Adds a packet to the next [`send`](Self::send).
    pub(crate) fn push(&mut self, packet: Encoded) {
        self.outbound.extend(outgoing(packet));
    }

    /// Whether `send` has nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.outbound.is_empty()
    }

    /// Sends what was pushed, and then a close frame if it is to be closed. Says whether all of it is flushed.
    pub(crate) fn send(&mut self, cx: &mut Context<'_>, close: bool) -> bool {
        for message in self.outbound.drain(..) {
            if let Err(error) = Pin::new(&mut self.websocket).start_send(message) {
                tracing::debug!(%error, "write failed");
                self.phase = Phase::Gone;
                self.error = Some(error);
                return true;
            }
        }
        if self.outbound.capacity() > READ_BATCH {
            self.outbound = Vec::new();
        }
        if close {
            let (frame, next) = match std::mem::replace(&mut self.phase, Phase::Closing) {
                Phase::Faulty(frame) => (frame, Phase::Draining),
                _ => (None, Phase::Closing),
            };
            self.phase = next;
            let _ = Pin::new(&mut self.websocket).start_send(WsMessage::Close(frame));
        }
        self.dirty = true;
        self.flush(cx).is_ready()
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(Pin::new(&mut self.websocket).poll_flush(cx)) {
            Ok(()) => {
                self.dirty = false;
                if matches!(self.phase, Phase::Draining) {
                    // The peer sees the end at once, and we hear it out until it hangs up.
                    let _ = Pin::new(self.websocket.get_mut()).poll_close(cx);
                }
            }
            Err(error) => {
                self.dirty = false;
                // After a close handshake the library reports the end in this way.
                if !matches!(self.phase, Phase::Draining) {
                    tracing::trace!(%error, "flush failed");
                    self.phase = Phase::Gone;
                    self.error = Some(error);
                }
            }
        }
        Poll::Ready(())
    }
}

/// The close frame for a peer that broke the rules; none if it was closed, or the connection under it is gone.
fn fault(error: &Error) -> Option<CloseFrame> {
    let (code, reason) = match error {
        Error::Capacity(_) => (CloseCode::Size, "message too large"),
        Error::Utf8(_) => (CloseCode::Invalid, "text is not UTF-8"),
        // A connection that ends without a close frame is simply closed, as for Node.
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return None,
        Error::Protocol(_) => (CloseCode::Protocol, "protocol error"),
        _ => return None,
    };
    Some(CloseFrame { code, reason: reason.into() })
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::task::Waker;

    use tungstenite::protocol::Role;

    use super::*;

    /// What a server sends.
    struct Script(io::Cursor<Vec<u8>>);

    impl AsyncRead for Script {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            match io::Read::read(&mut self.0, into) {
                Ok(0) => Poll::Pending,
                read => Poll::Ready(read),
            }
        }
    }

    impl AsyncWrite for Script {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(from.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn a_small_message_does_not_keep_the_room_of_a_large_one() {
        const LARGE: u32 = 300_000;
        let mut script = vec![0x82, 127, 0, 0, 0, 0];
        script.extend(LARGE.to_be_bytes());
        script.resize(script.len() + LARGE as usize, b'x');
        script.extend([0x82, 1, b'a', 0x82, 1, b'b']);
        let script = Script(io::Cursor::new(script));
        let new = WebSocketStream::from_raw_socket(script, Role::Client, Some(config(1 << 20)));
        let mut wire = Wire::new(futures_util::FutureExt::now_or_never(new).unwrap());
        let mut cx = Context::from_waker(Waker::noop());
        let mut inbound = Vec::new();
        while inbound.is_empty() {
            wire.read(&mut cx, true, &mut inbound);
        }
        assert_eq!(inbound.drain(..).map(|message| message.len()).collect::<Vec<_>>(), [LARGE as usize]);
        wire.read(&mut cx, true, &mut inbound);
        let [Message::Binary(first), Message::Binary(second)] = &inbound[..] else { panic!("{inbound:?}") };
        assert!(first.is_unique() && second.is_unique(), "parts of the reader's buffer");
    }
}
