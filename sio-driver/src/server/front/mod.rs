//! What an application adds to the HTTP front: hooks, files, limits.

mod builder;
#[cfg(feature = "compression")]
mod compress;
mod files;
mod gate;
mod hooks;
mod request;
mod slots;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderMap;
use sio_proto::engine::{Config, Refusal, Response as EngineResponse};

use crate::handlers::catch;
use crate::runtime::Timer;
use crate::server::host::Host;

pub(crate) use files::Files;
pub(crate) use gate::{Gate, Permit};
pub use hooks::RefusedRequest;
pub(crate) use hooks::{Hooks, Turned};
pub use request::{RequestHead, Secure};
pub(crate) use request::{last_param, params};
pub(crate) use slots::{Slot, Slots};

/// Everything that concerns requests and is no rule of the protocols.
#[derive(Default)]
pub(crate) struct Front {
    pub(crate) hooks: Hooks,
    pub(crate) files: Files,
    pub(crate) gate: Gate,
    pub(crate) slots: Slots,
    pub(crate) timeouts: Timeouts,
    /// Whether it was said that a foreign origin was refused.
    warned: AtomicBool,
    /// As in `Stats::refused_by_code`.
    pub(crate) refused: [AtomicU64; 7],
}

/// How long is waited for what.
pub(crate) struct Timeouts {
    pub(crate) header_read: Duration,
    pub(crate) write: Duration,
    pub(crate) body_read: Duration,
    pub(crate) hook: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            header_read: Duration::from_secs(30),
            write: Duration::from_secs(30),
            body_read: Duration::from_secs(60),
            hook: Duration::from_secs(30),
        }
    }
}

/// The time that something may take. It begins when somebody has to wait: what is done at once needs no timer.
pub(crate) struct Patience<'a> {
    host: &'a dyn Host,
    limit: Duration,
    timer: Option<Box<dyn Timer>>,
}

impl<'a> Patience<'a> {
    pub(crate) fn new(host: &'a dyn Host, limit: Duration) -> Self {
        Self { host, limit, timer: None }
    }

    /// Ready when it is at its end.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| {
            let mut timer = self.host.timer();
            timer.reset(self.host.now() + self.limit);
            timer
        });
        timer.poll(cx)
    }

    /// `None` if it takes too long.
    pub(crate) async fn within<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => self.poll(cx).map(|()| None),
        })
        .await
    }
}

impl Front {
    /// Tells about a refusal, once for each; `after_handshake`: of a WebSocket whose handshake was answered already.
    pub(crate) fn report(&self, request: &RequestHead, refusal: &Refusal, after_handshake: bool) {
        let (code, context) = (refusal.code(), refusal.context());
        let place = code.map_or(6, |code| usize::from(code).min(6));
        self.refused[place].fetch_add(1, Ordering::Relaxed);
        let origin = request.header("origin");
        // Anybody can send any number of these.
        if *refusal == Refusal::ForeignOrigin && !self.warned.swap(true, Ordering::Relaxed) {
            let host = request.host();
            tracing::warn!(
                origin,
                host,
                "refused a page of another origin; if it is to be served, allow its origin by `cors` (said once)"
            );
        }
        let (method, remote_addr) = (&request.method, request.remote_addr);
        tracing::debug!(%refusal, code, context, %method, origin, ?remote_addr, after_handshake, "request refused");
        let refused = RefusedRequest { request, refusal, after_handshake };
        for hook in &self.hooks.connection_error {
            if let Err(error) = catch(|| hook(&refused)) {
                tracing::error!(%error, "on_connection_error failed");
            }
        }
    }

    /// Lets hooks change the headers of an answer; `initial`: of the one that opens a session.
    pub(crate) fn add_headers(&self, headers: &mut HeaderMap, request: &RequestHead, initial: bool) {
        let first = self.hooks.initial_headers.iter().filter(|_| initial);
        for hook in first.chain(&self.hooks.headers) {
            if let Err(error) = catch(|| hook(headers, request)) {
                tracing::error!(%error, "a headers hook failed");
            }
        }
    }
}

/// Packs the body of an answer if that is worth it, and the client takes it.
#[cfg(feature = "compression")]
pub(crate) async fn pack(answer: &mut EngineResponse, config: &Config, request: &RequestHead) {
    use sio_proto::engine::Coding;

    let is_large = config.http_compression.is_some_and(|threshold| answer.body.len() >= threshold.max(1));
    if !answer.compress || !is_large {
        return;
    }
    let accepted = request.header("accept-encoding");
    let Some(coding) =
        accepted.and_then(|header| Coding::negotiate(header, &[Coding::Gzip, Coding::Deflate]))
    else {
        return;
    };
    answer.body = compress::pack(&answer.body, coding).await;
    answer.headers.push(("content-encoding", coding.name().into()));
}

#[cfg(not(feature = "compression"))]
pub(crate) async fn pack(_: &mut EngineResponse, _: &Config, _: &RequestHead) {}
