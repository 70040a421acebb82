//! Streams in memory.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use async_channel::{Receiver, Sender};
use bytes::{Buf as _, BytesMut};
use futures_util::io::{AsyncRead, AsyncWrite};

/// The address of all clients.
pub(crate) const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 7);

/// One end of a connection. The other end reads what is written here; dropping it closes both directions.
pub(crate) struct Pipe {
    reads: Direction,
    writes: Direction,
}

#[derive(Clone)]
struct Direction(Arc<Mutex<Buffer>>);

struct Buffer {
    bytes: BytesMut,
    limit: usize,
    /// No more bytes come: the writer has closed it, or is gone.
    is_closed: bool,
    /// Nobody reads any more.
    is_deaf: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Two ends; `limit`: so many bytes can be on the way in each direction.
pub(crate) fn pipe(limit: usize) -> (Pipe, Pipe) {
    let direction = || {
        Direction(Arc::new(Mutex::new(Buffer {
            bytes: BytesMut::new(),
            limit,
            is_closed: false,
            is_deaf: false,
            reader: None,
            writer: None,
        })))
    };
    let (there, back) = (direction(), direction());
    (Pipe { reads: back.clone(), writes: there.clone() }, Pipe { reads: there, writes: back })
}

impl Direction {
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, is_deaf: bool) {
        let wakers = {
            let mut buffer = self.lock();
            buffer.is_closed = true;
            buffer.is_deaf |= is_deaf;
            [buffer.reader.take(), buffer.writer.take()]
        };
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    fn read(&self, cx: &mut Context<'_>, limit: usize, take: impl FnOnce(&[u8])) -> Poll<usize> {
        let (length, writer) = {
            let mut buffer = self.lock();
            if buffer.bytes.is_empty() && limit > 0 {
                if buffer.is_closed {
                    return Poll::Ready(0);
                }
                buffer.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let length = buffer.bytes.len().min(limit);
            take(&buffer.bytes[..length]);
            buffer.bytes.advance(length);
            (length, buffer.writer.take())
        };
        writer.into_iter().for_each(Waker::wake);
        Poll::Ready(length)
    }

    fn write(&self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let (length, reader) = {
            let mut buffer = self.lock();
            if buffer.is_closed {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let length = from.len().min(buffer.limit - buffer.bytes.len());
            if length == 0 && !from.is_empty() {
                buffer.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            buffer.bytes.extend_from_slice(&from[..length]);
            (length, buffer.reader.take())
        };
        reader.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(length))
    }
}

impl Pipe {
    /// Whether the other end is gone, however much of what it wrote is still unread.
    pub(crate) fn is_cut(&self) -> bool {
        self.writes.lock().is_deaf
    }

    /// What cuts the connection.
    pub(crate) fn cutter(&self) -> impl FnOnce() + Send + use<> {
        let (one, other) = (self.reads.clone(), self.writes.clone());
        move || {
            one.close(true);
            other.close(true);
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.reads.close(true);
        self.writes.close(false);
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pipe")
    }
}

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        self.reads.read(cx, into.len(), |bytes| into[..bytes.len()].copy_from_slice(bytes)).map(Ok)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.writes.write(cx, from)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writes.close(false);
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Read for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let limit = into.remaining();
        self.reads.read(cx, limit, |bytes| into.put_slice(bytes)).map(|_| Ok(()))
    }
}

impl hyper::rt::Write for Pipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(self, cx, from)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(self, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_close(self, cx)
    }
}

/// A listening socket in memory.
pub(crate) struct Listener {
    streams: Receiver<(Pipe, SocketAddr)>,
    port: Port,
}

/// Where a [`Listener`] is.
#[derive(Clone)]
pub(crate) struct Port(Sender<(Pipe, SocketAddr)>);

impl Listener {
    pub(crate) fn new() -> Self {
        let (port, streams) = async_channel::unbounded();
        Self { streams, port: Port(port) }
    }

    pub(crate) fn port(&self) -> Port {
        self.port.clone()
    }

    pub(super) async fn accept(&self) -> io::Result<(Pipe, SocketAddr)> {
        // It has a sender of its own.
        self.streams.recv().await.map_err(io::Error::other)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.streams.close();
    }
}

impl Port {
    /// A connection from [`HERE`].
    pub(crate) fn connect(&self) -> io::Result<Pipe> {
        let (ours, theirs) = pipe(64 << 10);
        self.0.try_send((theirs, HERE)).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(ours)
    }
}
