//! [`Runtime`] for smol.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant as StdInstant;

use sio_driver::{Instant, Io, Runtime};
use smol::Timer;
use smol::net::{TcpListener, TcpStream};

/// smol's global executor, and its reactor; both run by themselves, so handles of a server or client work on every thread.
#[derive(Clone, Debug)]
pub struct Smol {
    epoch: StdInstant,
}

impl Default for Smol {
    fn default() -> Self {
        Self { epoch: StdInstant::now() }
    }
}

impl Runtime for Smol {
    type Stream = Io<TcpStream>;
    type Listener = TcpListener;
    type Timer = SmolTimer;

    fn now(&self) -> Instant {
        Instant::ZERO + self.epoch.elapsed()
    }

    fn timer(&self) -> SmolTimer {
        SmolTimer { epoch: self.epoch, timer: Timer::never(), is_over: false }
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

/// A timer of smol's.
#[derive(Debug)]
pub struct SmolTimer {
    epoch: StdInstant,
    timer: Timer,
    /// The timer itself is ready once only.
    is_over: bool,
}

impl sio_driver::Timer for SmolTimer {
    fn reset(&mut self, at: Instant) {
        self.timer.set_at(self.epoch + (at - Instant::ZERO));
        self.is_over = false;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_over {
            ready!(Pin::new(&mut self.timer).poll(cx));
            self.is_over = true;
        }
        Poll::Ready(())
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
