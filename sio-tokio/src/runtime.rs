//! [`Runtime`] for tokio.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use sio_driver::{Instant, Runtime, Timer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant as TokioInstant, Sleep, sleep_until};

/// The tokio runtime in whose context it is used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokio;

/// Time is counted from the first look at the clock; tokio's clock, so that its tests can pause it.
fn epoch() -> TokioInstant {
    static EPOCH: OnceLock<TokioInstant> = OnceLock::new();
    *EPOCH.get_or_init(TokioInstant::now)
}

impl Runtime for Tokio {
    type Stream = TokioIo<TcpStream>;
    type Listener = TcpListener;
    type Timer = TokioTimer;

    fn now(&self) -> Instant {
        Instant::ZERO + TokioInstant::now().saturating_duration_since(epoch())
    }

    fn timer(&self) -> TokioTimer {
        TokioTimer(None)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, address) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((TokioIo::new(stream), address))
    }
}

/// A timer of tokio's.
#[derive(Debug)]
pub struct TokioTimer(Option<Pin<Box<Sleep>>>);

impl Timer for TokioTimer {
    fn reset(&mut self, at: Instant) {
        let at = epoch() + (at - Instant::ZERO);
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().reset(at),
            None => self.0 = Some(Box::pin(sleep_until(at))),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}
