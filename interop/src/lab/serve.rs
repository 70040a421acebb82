//! Our server behind hyper, with what the lab needs around it: connections that can be cut, TLS, cookies, a log of
//! requests.

use core::{
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};
use std::{
    collections::HashSet,
    io, mem,
    net::TcpListener,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use futures_rustls::TlsAcceptor;
use futures_util::future::{Either, select};
use http::{HeaderValue, Request, Response, header};
use hyper::{
    body::Incoming,
    rt::{Read, ReadBufCursor, Write},
    server::conn::http1,
    service::service_fn,
};
use serde_json::{Map, Value, json};
use sio_driver::{Body, Io, Server};
use tokio::sync::watch;

use super::log::Pen;
use crate::adapter::{Adapter, Stream};

/// As in `lab-server.js`.
const COOKIES: [&str; 3] =
    ["lab=kept; Path=/; HttpOnly", "gone=x; Path=/; Max-Age=0", "other=x; Path=/elsewhere"];

#[derive(Clone)]
pub(super) struct Front {
    pub(super) io: Server,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) cookies: bool,
    pub(super) requests: Option<Pen>,
    pub(super) lines: Lines,
    /// Whoever serves somebody holds one.
    pub(super) stage: watch::Receiver<Stage>,
}

/// The life of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Open,
    /// Answers are written to their end.
    Closing,
    /// Everything is dropped.
    Dead,
}

/// Waits until the server has come as far.
async fn reached(mut stage: watch::Receiver<Stage>, wanted: Stage) {
    let _ = stage.wait_for(|stage| *stage >= wanted).await;
}

pub(super) async fn serve(front: Front, listener: TcpListener) {
    let adapter = Adapter::here();
    let closing = reached(front.stage.clone(), Stage::Closing);
    let accepting = adapter.accept(listener, |stream, remote| {
        let front = front.clone();
        adapter.spawn(async move {
            let dead = reached(front.stage.clone(), Stage::Dead);
            let line = front.lines.add(stream);
            let serving = async {
                match &front.tls {
                    None => connection(&front, line, remote).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(Io(line)).await {
                            connection(&front, Io(stream), remote).await;
                        }
                    }
                }
            };
            select(pin!(serving), pin!(dead)).await;
        });
    });
    select(pin!(accepting), pin!(closing)).await;
}

async fn connection<S>(front: &Front, stream: S, remote: SocketAddr)
where
    S: Read + Write + Unpin + Send + 'static,
{
    let service = service_fn(async |request| answer(front, request, remote).await);
    let mut serving = pin!(http1::Builder::new().serve_connection(stream, service).with_upgrades());
    let closing = pin!(reached(front.stage.clone(), Stage::Closing));
    if let Either::Right(_) = select(serving.as_mut(), closing).await {
        serving.as_mut().graceful_shutdown();
        let _ = serving.await;
    }
}

/// An error ends the connection.
async fn answer(front: &Front, request: Request<Incoming>, remote: SocketAddr) -> io::Result<Response<Body>> {
    let query = request.uri().query().unwrap_or_default();
    let sid = query.split('&').find_map(|pair| pair.strip_prefix("sid="));
    if sid.is_some_and(|sid| !front.lines.admits(sid)) {
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    let is_new = sid.is_none();
    if let Some(log) = &front.requests {
        let (method, url) = (request.method().as_str(), request.uri().to_string());
        log.push("request", json!({ "method": method, "url": url, "headers": headers(request.headers()) }));
    }
    if !front.io.matches_path(request.uri().path()) {
        let mut response = Response::new(Body::default());
        *response.status_mut() = http::StatusCode::NOT_FOUND;
        return Ok(response);
    }
    let mut response = front.io.handle(request, Some(remote)).await;
    if front.cookies && is_new {
        for cookie in COOKIES {
            response.headers_mut().append(header::SET_COOKIE, HeaderValue::from_static(cookie));
        }
    }
    Ok(response)
}

/// Headers as node shows them.
pub(super) fn headers(headers: &http::HeaderMap) -> Value {
    let mut map = Map::new();
    for name in headers.keys() {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        let separator = if name == header::COOKIE { "; " } else { ", " };
        map.insert(name.to_string(), values.join(separator).into());
    }
    map.into()
}

// --- Connections that can be cut -------------------------------------------------------------------------------------

/// All TCP connections of a server.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<All>>);

#[derive(Default)]
struct All {
    lines: Vec<Weak<Mutex<Shared>>>,
    /// The sessions that were seen, and those that were cut: a polling client may just be between two requests.
    alive: HashSet<String>,
    cut: HashSet<String>,
}

/// A TCP connection that somebody else can end.
struct Line(Arc<Mutex<Shared>>);

struct Shared {
    stream: Option<Box<dyn Stream>>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lines {
    fn add(&self, stream: Box<dyn Stream>) -> Line {
        let line = Arc::new(Mutex::new(Shared { stream: Some(stream), reader: None, writer: None }));
        let mut all = lock(&self.0);
        all.lines.retain(|line| line.strong_count() > 0);
        all.lines.push(Arc::downgrade(&line));
        Line(line)
    }

    /// Whether the session was not cut.
    fn admits(&self, sid: &str) -> bool {
        let mut all = lock(&self.0);
        let admits = !all.cut.contains(sid);
        if admits && !all.alive.contains(sid) {
            all.alive.insert(sid.to_owned());
        }
        admits
    }

    /// Ends all of them without a word, and with them the sessions; says how many connections there were.
    pub(super) fn cut(&self) -> usize {
        let lines: Vec<_> = {
            let mut all = lock(&self.0);
            let alive = mem::take(&mut all.alive);
            all.cut.extend(alive);
            all.lines.drain(..).filter_map(|line| line.upgrade()).collect()
        };
        let ended = lines.iter().filter(|line| {
            let mut line = lock(line);
            let stream = line.stream.take();
            for waker in [line.reader.take(), line.writer.take()].into_iter().flatten() {
                waker.wake();
            }
            stream.is_some()
        });
        ended.count()
    }
}

impl Line {
    fn poll<T>(
        &self,
        reads: bool,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut Box<dyn Stream>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut shared = lock(&self.0);
        let Some(stream) = &mut shared.stream else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        let result = poll(Pin::new(stream), cx);
        if result.is_pending() {
            let waker = if reads { &mut shared.reader } else { &mut shared.writer };
            *waker = Some(cx.waker().clone());
        }
        result
    }
}

impl Read for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll(true, cx, |stream, cx| stream.poll_read(cx, into))
    }
}

impl Write for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(false, cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(false, cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(false, cx, |stream, cx| stream.poll_shutdown(cx))
    }
}
