//! Between the streams of hyper, the traits of async-tungstenite, and the messages of the core.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
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
pub(crate) fn incoming(message: WsMessage) -> Option<Message> {
    match message {
        // Checked by the library already. Without `unsafe` it is checked again here, at some 20 bytes a nanosecond.
        WsMessage::Text(text) => Str::try_from(Bytes::from(text)).ok().map(Message::Text),
        WsMessage::Binary(bytes) => Some(Message::Binary(bytes)),
        _ => None,
    }
}

/// The messages of a packet. Text goes out as a ready frame, because the library's text type would check it once more.
pub(crate) fn outgoing(packet: Encoded) -> impl Iterator<Item = WsMessage> {
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

/// How a WebSocket ended.
pub(crate) enum End {
    /// Closed, or the connection under it is gone.
    Gone,
    /// The peer broke the rules; it is told so by this close frame.
    Fault(Option<CloseFrame>),
}

pub(crate) fn end(error: &Error) -> End {
    let fault = |code, reason: &'static str| End::Fault(Some(CloseFrame { code, reason: reason.into() }));
    match error {
        Error::Capacity(_) => fault(CloseCode::Size, "message too large"),
        Error::Utf8(_) => fault(CloseCode::Invalid, "text is not UTF-8"),
        // A connection that ends without a close frame is simply closed, as for Node.
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Gone,
        Error::Protocol(_) => fault(CloseCode::Protocol, "protocol error"),
        _ => End::Gone,
    }
}

/// A stream of hyper's as one of futures-io.
pub(crate) struct Io<S>(pub(crate) S);

impl<S: hyper::rt::Read + Unpin> futures_io::AsyncRead for Io<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = hyper::rt::ReadBuf::new(into);
        ready!(Pin::new(&mut self.0).poll_read(cx, buffer.unfilled()))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl<S: hyper::rt::Write + Unpin> futures_io::AsyncWrite for Io<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
