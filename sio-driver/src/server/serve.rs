//! Our own HTTP server: a listener, and hyper on each connection.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;

use crate::runtime::{BoxFuture, Runtime, Timer as _};
use crate::server::closing::Stage;
use crate::server::front::Slot;
use crate::server::host::HyperTimer;
use crate::server::http::{self as front, Body};
use crate::server::{Server, Shared, stall};

/// How long to wait after `accept` failed for want of resources, such as file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Accepts connections and serves them, until the server is closed.
///
/// # Errors
/// If accepting fails for good; a single connection's failure is only logged.
pub async fn serve<R: Runtime>(runtime: R, listener: R::Listener, server: Server) -> io::Result<()> {
    let shared = server.shared().clone();
    let mut closing = shared.closing.wait();
    let mut backoff = runtime.timer();
    let mut ending: Option<BoxFuture<()>> = None;
    loop {
        let accepted = {
            let mut accept = pin!(runtime.accept(&listener));
            poll_fn(|cx| {
                if ending.is_none() && closing.has_reached(Stage::Begun, cx.waker()) {
                    let server = server.clone();
                    ending = Some(Box::pin(async move { server.close().await }));
                }
                // Connections are still accepted while sessions end: a polling client may need one for its last packets.
                if ending.as_mut().is_some_and(|ending| ending.as_mut().poll(cx).is_ready()) {
                    return Poll::Ready(None);
                }
                accept.as_mut().poll(cx).map(Some)
            })
            .await
        };
        match accepted {
            None => break,
            Some(Ok((stream, address))) => {
                if let Some(slot) = shared.front.slots.enter(Some(address)) {
                    let accepted = Accepted::from(address);
                    runtime.spawn(connection(runtime.clone(), shared.clone(), stream, slot, accepted));
                }
            }
            Some(Err(error)) if concerns_one_connection(&error) => {
                tracing::debug!(%error, "a connection failed before it was accepted");
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "cannot accept connections for the moment");
                backoff.reset(runtime.now() + ACCEPT_BACKOFF);
                poll_fn(|cx| backoff.poll(cx)).await;
            }
        }
    }
    Ok(())
}

/// What is known about a connection that was accepted elsewhere. A `SocketAddr`, or an `Option` of one, becomes one that is not secure.
///
/// ```
/// # use sio_driver::Accepted;
/// # let address: std::net::SocketAddr = "192.0.2.1:7".parse().unwrap();
/// let over_tls = Accepted::from(address).secure(true);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Accepted {
    remote_addr: Option<SocketAddr>,
    secure: bool,
}

impl Accepted {
    /// Whether the connection came over TLS, which whoever took the TLS off knows: [`Handshake::secure`](crate::Handshake::secure).
    /// Default: no. With an HTTP server of another's, the extension [`Secure`](crate::Secure) of each request says so.
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }
}

impl From<SocketAddr> for Accepted {
    fn from(address: SocketAddr) -> Self {
        Some(address).into()
    }
}

impl From<Option<SocketAddr>> for Accepted {
    fn from(remote_addr: Option<SocketAddr>) -> Self {
        Self { remote_addr, secure: false }
    }
}

/// Serves one connection that was accepted elsewhere: after TLS, from a Unix socket, in a test.
pub async fn serve_connection<R: Runtime, S>(
    runtime: R,
    server: Server,
    stream: S,
    accepted: impl Into<Accepted>,
) where
    S: Read + Write + Unpin + Send + 'static,
{
    let accepted = accepted.into();
    if let Some(slot) = server.shared().front.slots.enter(accepted.remote_addr) {
        connection(runtime, server.shared().clone(), stream, slot, accepted).await;
    }
}

async fn connection<R: Runtime, S>(runtime: R, shared: Arc<Shared>, stream: S, slot: Slot, accepted: Accepted)
where
    S: Read + Write + Unpin + Send + 'static,
{
    let remote_addr = accepted.remote_addr;
    let service = {
        let shared = shared.clone();
        service_fn(move |request| answer(shared.clone(), request, accepted))
    };
    let (stream, mut watch) = stall::watch(runtime.clone(), stream, slot, shared.front.timeouts.write);
    let mut http = Box::pin(
        http1::Builder::new()
            .timer(HyperTimer::new(runtime))
            .header_read_timeout(shared.front.timeouts.header_read)
            .max_buf_size(64 << 10)
            .serve_connection(stream, service)
            .with_upgrades(),
    );
    let mut closing = Some(shared.closing.wait());
    let result = poll_fn(|cx| {
        if closing.as_mut().is_some_and(|closing| closing.has_reached(Stage::Ended, cx.waker())) {
            closing = None;
            Pin::new(&mut *http).graceful_shutdown();
        }
        if let Poll::Ready(result) = http.as_mut().poll(cx) {
            return Poll::Ready(Some(result));
        }
        // It ends also while the server closes, and nobody else would end it then: its session is over.
        watch.poll(cx).map(|()| None)
    })
    .await;
    match result {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::trace!(%error, ?remote_addr, "http connection failed"),
        None => tracing::debug!(?remote_addr, "client does not take its answer"),
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    Accepted { remote_addr, secure }: Accepted,
) -> Result<Response<Body>, Infallible> {
    if !front::is_ours(&shared, request.uri().path()) {
        let mut response = Response::new(Body::default());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    }
    Ok(front::handle(shared, request, remote_addr, Some(secure)).await)
}

fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
