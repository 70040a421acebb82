//! [`Runtime`] for async-std.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use async_std::net::{TcpListener, TcpStream};
use async_std::task;
use sio_driver::{AsyncIoClock, AsyncIoTimer, Instant, Io, Runtime};

/// async-std's executor and reactor; both run by themselves, so handles of a server or client work on every thread.
#[derive(Clone, Debug, Default)]
pub struct AsyncStd {
    clock: AsyncIoClock,
}

impl Runtime for AsyncStd {
    type Stream = Io<TcpStream>;
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
        Ok((Io(stream), address))
    }

    async fn connect(&self, host: &str, port: u16) -> io::Result<Self::Stream> {
        let stream = TcpStream::connect((host, port)).await?;
        // As above.
        let _ = stream.set_nodelay(true);
        Ok(Io(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connects_to_names_and_addresses() {
        task::block_on(async {
            let runtime = AsyncStd::default();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            for host in ["127.0.0.1", "localhost"] {
                let Io(ours) = runtime.connect(host, address.port()).await.unwrap();
                let (Io(theirs), from) = runtime.accept(&listener).await.unwrap();
                assert_eq!(ours.local_addr().unwrap(), from);
                assert!(ours.nodelay().unwrap() && theirs.nodelay().unwrap());
            }
            drop(listener);
            assert!(runtime.connect("localhost", address.port()).await.is_err());
        });
    }
}
