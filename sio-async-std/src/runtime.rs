//! [`Runtime`] for async-std.

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use async_std::net::{TcpListener, TcpStream};
use async_std::task;
use futures_io::{AsyncRead, AsyncWrite};
use sio_driver::{AsyncIoClock, AsyncIoTimer, Instant, Io, Runtime};

/// async-std's executor and reactor; both run by themselves, so handles of a server or client work on every thread.
#[derive(Clone, Debug, Default)]
pub struct AsyncStd {
    clock: AsyncIoClock,
}

impl Runtime for AsyncStd {
    type Stream = Io<Connection>;
    type Listener = TcpListener;
    type Timer = AsyncIoTimer;

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn timer(&self) -> AsyncIoTimer {
        self.clock.timer()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(task::spawn(task));
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, address) = listener.accept().await?;
        // Some systems refuse this for a connection that is closed already, which is not the listener's failure.
        let _ = stream.set_nodelay(true);
        Ok((Io(Connection(stream)), address))
    }

    async fn connect(&self, host: &str, port: u16) -> io::Result<Self::Stream> {
        let stream = TcpStream::connect((host, port)).await?;
        // As above.
        let _ = stream.set_nodelay(true);
        Ok(Io(Connection(stream)))
    }
}

/// A TCP connection of async-std's. Closing that one does nothing before it is dropped; this one tells the peer at once.
#[derive(Debug)]
pub struct Connection(pub TcpStream);

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn connects_to_names_and_addresses() {
        task::block_on(async {
            let runtime = AsyncStd::default();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            for host in ["127.0.0.1", "localhost"] {
                let Io(Connection(ours)) = runtime.connect(host, address.port()).await.unwrap();
                let (Io(Connection(theirs)), from) = runtime.accept(&listener).await.unwrap();
                assert_eq!(ours.local_addr().unwrap(), from);
                assert!(ours.nodelay().unwrap() && theirs.nodelay().unwrap());
            }
            drop(listener);
            assert!(runtime.connect("localhost", address.port()).await.is_err());
        });
    }

    #[test]
    fn closing_tells_the_peer() {
        task::block_on(async {
            let runtime = AsyncStd::default();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let Io(mut ours) = runtime.connect("127.0.0.1", port).await.unwrap();
            let (Io(mut theirs), _) = runtime.accept(&listener).await.unwrap();
            ours.close().await.unwrap();
            let read = async_std::future::timeout(Duration::from_secs(10), theirs.read(&mut [0])).await;
            assert_eq!(read.expect("the end").unwrap(), 0);
            drop(ours);
        });
    }
}
