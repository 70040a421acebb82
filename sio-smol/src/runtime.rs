//! [`Runtime`] for smol.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use sio_driver::{AsyncIoClock, AsyncIoTimer, Instant, Io, Runtime};
use smol::net::{TcpListener, TcpStream};

/// smol's global executor, and its reactor; both run by themselves, so handles of a server or client work on every thread.
#[derive(Clone, Debug, Default)]
pub struct Smol {
    clock: AsyncIoClock,
}

impl Runtime for Smol {
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
        smol::spawn(task).detach();
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
        smol::block_on(async {
            let runtime = Smol::default();
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
