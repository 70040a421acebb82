//! [`Runtime`] for tokio.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use sio_driver::{Instant, Runtime, Timer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::time::{Instant as TokioInstant, Sleep, sleep_until};

/// The tokio runtime in whose context it is used. Threads without one use that of the first use, so that handles of a running server
/// work everywhere.
#[derive(Clone, Debug)]
pub struct Tokio {
    /// The clock is tokio's, so that its tests can pause it.
    epoch: TokioInstant,
    runtime: Arc<OnceLock<Handle>>,
}

impl Default for Tokio {
    fn default() -> Self {
        Self { epoch: TokioInstant::now(), runtime: Arc::default() }
    }
}

impl Runtime for Tokio {
    type Stream = TokioIo<TcpStream>;
    type Listener = TcpListener;
    type Timer = TokioTimer;

    fn now(&self) -> Instant {
        Instant::ZERO + TokioInstant::now().saturating_duration_since(self.epoch)
    }

    fn timer(&self) -> TokioTimer {
        TokioTimer { epoch: self.epoch, sleep: None }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let here = Handle::try_current().ok();
        let first = self.runtime.get_or_init(|| here.clone().unwrap_or_else(Handle::current));
        here.as_ref().unwrap_or(first).spawn(task);
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, address) = listener.accept().await?;
        // Some systems refuse this for a connection that is closed already, which is not the listener's failure.
        let _ = stream.set_nodelay(true);
        Ok((TokioIo::new(stream), address))
    }

    async fn connect(&self, host: &str, port: u16) -> io::Result<Self::Stream> {
        let stream = TcpStream::connect((host, port)).await?;
        // As above.
        let _ = stream.set_nodelay(true);
        Ok(TokioIo::new(stream))
    }
}

/// A timer of tokio's.
#[derive(Debug)]
pub struct TokioTimer {
    epoch: TokioInstant,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer for TokioTimer {
    fn reset(&mut self, at: Instant) {
        let at = self.epoch + (at - Instant::ZERO);
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(at),
            None => self.sleep = Some(Box::pin(sleep_until(at))),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connects_to_names_and_addresses() {
        let runtime = Tokio::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for host in ["127.0.0.1", "localhost"] {
            let (ours, theirs) =
                tokio::join!(runtime.connect(host, address.port()), runtime.accept(&listener));
            let ours = ours.unwrap();
            assert_eq!(ours.inner().local_addr().unwrap(), theirs.unwrap().1);
            assert!(ours.inner().nodelay().unwrap());
        }
        drop(listener);
        assert!(runtime.connect("localhost", address.port()).await.is_err());
    }
}
