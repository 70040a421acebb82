//! One entry for all HTTP requests, whoever accepted them.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::{Buf, Bytes};
use http::header::{self, HeaderValue};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt as _, Full};
use hyper::upgrade::OnUpgrade;
use sio_proto::engine::{
    BadRequest, ChannelId, Hangup, Refusal, Request as EngineRequest, Response as EngineResponse, Transmit,
    cors_headers, with_cors,
};
use sio_proto::server::{Admission, ConnId};
use sio_proto::{Sid, SidPrefix};
use tracing::Instrument as _;

use crate::server::front::{self, Patience, RequestHead, Turned};
use crate::server::shard::{ConnState, Shard};
use crate::server::{Handshake, Link, Shared, pump};
use crate::wakers::yield_now;

/// The body of an answer.
pub type Body = Full<Bytes>;

/// Answers a request. Waits as long as a poll waits; dropping the future is the client's hanging up. `secure`: whether it came over TLS,
/// if whoever accepted the connection knows.
pub(crate) fn handle<B>(
    server: Arc<Shared>,
    request: Request<B>,
    remote_addr: Option<SocketAddr>,
    secure: Option<bool>,
) -> impl Future<Output = Response<Body>>
where
    B: HttpBody,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let span = tracing::debug_span!("request", method = %request.method(), path = request.uri().path(), ?remote_addr);
    answer(server, request, remote_addr, secure).instrument(span)
}

async fn answer<B>(
    server: Arc<Shared>,
    mut request: Request<B>,
    remote_addr: Option<SocketAddr>,
    secure: Option<bool>,
) -> Response<Body>
where
    B: HttpBody,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    // Taken out first: hooks see the other extensions, and may keep them.
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let request = Arc::new(RequestHead::new(parts, remote_addr, secure, server.state.clone()));
    let (mut response, initial) = match decide(&server, &request, upgrade, body).await {
        Ok(answered) => answered,
        Err(Turned::Answered(mut response)) => {
            if request.engine_head().upgrade {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            (*response, false)
        }
        Err(Turned::Refused(refusal)) => {
            server.front.report(&request, &refusal, false);
            (respond(refusal.response(&server.config.engine, &request.engine_head())), false)
        }
    };
    server.front.add_headers(response.headers_mut(), &request, initial);
    response
}

/// The answer, and whether it opens a session.
async fn decide<B>(
    server: &Arc<Shared>,
    request: &Arc<RequestHead>,
    upgrade: OnUpgrade,
    body: B,
) -> Result<(Response<Body>, bool), Turned>
where
    B: HttpBody,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let config = &server.config.engine;
    let front = &server.front;
    let head = request.engine_head();
    if let Some(preflight) = EngineRequest::preflight(config, &head) {
        return Ok((respond(preflight), false));
    }
    if let Some(mut file) = front.files.answer(&config.path, request) {
        add_headers(file.headers_mut(), cors_headers(config, &head));
        return Ok((file, false));
    }
    let host = server.shards.first().expect("a server has a shard").host().clone();
    let mut patience = Patience::new(&*host, front.timeouts.hook);
    front.hooks.pass(request, &mut patience).await?;
    let refused = |refusal| Err(Turned::Refused(refusal));
    let parsed = EngineRequest::parse_in(config, &head);
    let is_new = matches!(
        parsed,
        Ok((EngineRequest::Handshake | EngineRequest::WebSocket(None), _))
            | Err(Refusal::UnsupportedProtocolVersion)
    );
    let mut permit = None;
    if is_new {
        // Those who are being decided about count as well.
        permit = front.gate.enter(request.remote_addr).map_err(Turned::Refused)?;
        // B17: before the revision is looked at.
        front.hooks.allow(request, &mut patience).await.map_err(Turned::Refused)?;
    }
    let (parsed, dialect) = parsed.map_err(Turned::Refused)?;
    let prefix = if is_new {
        front.hooks.sid_prefix(request, &mut patience).await.map_err(Turned::Refused)?
    } else {
        SidPrefix::default()
    };
    drop(patience);
    let sid = match parsed {
        EngineRequest::Poll(sid) | EngineRequest::Post(sid) | EngineRequest::Misdirected(sid, _) => Some(sid),
        EngineRequest::WebSocket(sid) => sid,
        _ => None,
    };
    let Some(shard) = server.shard(sid) else { return refused(Refusal::SessionUnknown) };
    let shard = shard.clone();
    let handshake = || Arc::new(Link::new(Handshake::new(request)));
    let is_poll = matches!(parsed, EngineRequest::Handshake);
    let (admission, conn) = {
        // Dropped after the lock: hooks may have attached what they like.
        let mut handshake = is_poll.then(handshake);
        let now = shard.now();
        let mut locked = shard.lock();
        if is_poll {
            locked.machine.choose_sid(prefix);
        }
        let admission = locked.machine.handle_request_in(dialect, parsed, head.content_type, now);
        let conn = match &admission {
            Ok(Admission::Poll(channel) | Admission::Post(channel)) => locked.machine.conn_of(*channel),
            _ => None,
        };
        if let Some(conn) = conn
            && let Some(handshake) = handshake.take()
        {
            locked.conns.insert(conn, ConnState::new(conn, handshake, permit.take()));
            drop(locked);
            // Without the lock: a subscriber of the log is code of the user.
            tracing::debug!(?conn, transport = "polling", remote_addr = ?request.remote_addr, "session opened");
        }
        (admission, conn.unwrap_or_default())
    };
    let mut answer = match admission.map_err(Turned::Refused)? {
        Admission::Poll(channel) => poll(Channel { shard, conn, channel }).await,
        Admission::Post(channel) => {
            let body = pin!(body);
            post(Channel { shard, conn, channel }, body, server, head.content_length)
                .await
                .map_err(Turned::Refused)?
        }
        Admission::WebSocket => {
            let Some(key) = websocket_key(&request.headers) else {
                return refused(Refusal::BadRequest(BadRequest::TransportHandshake));
            };
            let session = pump::Session { sid, prefix, dialect };
            let opening = (request.clone(), handshake());
            let task = pump::upgraded(server.clone(), shard.clone(), session, upgrade, opening, permit);
            shard.host().spawn(Box::pin(task));
            return Ok((switching_protocols(key), is_new));
        }
        _ => return refused(Refusal::SessionUnknown),
    };
    with_cors(config, &head, &mut answer);
    front::pack(&mut answer, config, request).await;
    Ok((respond(answer), is_new))
}

/// A request's channel. Dropped before it is done with, it is hung up: the client went away.
struct Channel {
    shard: Arc<Shard>,
    conn: ConnId,
    channel: ChannelId,
}

impl Drop for Channel {
    fn drop(&mut self) {
        let now = self.shard.now();
        let mut locked = self.shard.lock();
        locked.machine.handle_hangup(self.channel, Hangup::Failed, now);
        locked.release(self.conn, self.channel);
    }
}

/// Waits until there is something for a poll.
async fn poll(channel: Channel) -> EngineResponse {
    poll_fn(|cx| {
        let now = channel.shard.now();
        let mut locked = channel.shard.lock();
        match locked.machine.poll_transmit(channel.channel, now) {
            Some(Transmit::Respond(response)) => Poll::Ready(response),
            _ => {
                if let Some(conn) = locked.conns.get_mut(channel.conn) {
                    conn.register(channel.channel, cx.waker());
                }
                Poll::Pending
            }
        }
    })
    .await
}

/// Reads the body of a POST, and has its packets handled.
async fn post<B>(
    channel: Channel,
    body: Pin<&mut B>,
    server: &Shared,
    declared: Option<u64>,
) -> Result<EngineResponse, Refusal>
where
    B: HttpBody,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let limit = server.config.engine.max_http_buffer_size;
    let packets = server.config.max_inbox;
    let shard = channel.shard.clone();
    let conn = channel.conn;
    // Both the declared length and what really comes count (B46).
    if declared.is_some_and(|length| length > limit as u64) {
        let now = shard.now();
        return Err(shard.lock().machine.handle_oversize(channel.channel, now));
    }
    let mut collecting = pin!(collect(body, limit));
    let mut reads = false;
    let mut patience = Patience::new(&**shard.host(), server.front.timeouts.body_read);
    let collected = poll_fn(|cx| {
        loop {
            if reads && let Poll::Ready(collected) = collecting.as_mut().poll(cx) {
                return Poll::Ready(Some(Ok(collected)));
            }
            // However many bytes come: each of them is little.
            if reads && patience.poll(cx).is_ready() {
                return Poll::Ready(Some(Err(Refusal::TooSlow)));
            }
            let mut locked = shard.lock();
            // Nobody waits for a body longer than for its session.
            if locked.machine.is_ending(channel.channel) {
                return Poll::Ready(None);
            }
            // Back-pressure: the body stays in the network until the application has caught up.
            if reads || !locked.machine.wants_read(conn) {
                if let Some(conn) = locked.conns.get_mut(conn) {
                    conn.register(channel.channel, cx.waker());
                }
                return Poll::Pending;
            }
            reads = true;
        }
    })
    .await;
    let mut body = match collected {
        Some(Ok(Ok(Some(body)))) => body,
        Some(Err(refusal)) => return Err(refusal),
        Some(Ok(Ok(None))) => {
            let now = shard.now();
            return Err(shard.lock().machine.handle_oversize(channel.channel, now));
        }
        Some(Ok(Err(error))) => {
            tracing::debug!(?conn, %error, "body of a POST failed");
            return Err(Refusal::SessionUnknown);
        }
        None => return Err(Refusal::SessionUnknown),
    };
    // A body can have very many packets: it is taken in parts, as the application gets on.
    loop {
        let now = shard.now();
        let (response, rest, fault, dispatcher) = {
            let mut locked = shard.lock();
            let (part, rest) = locked.machine.cut_body(channel.channel, body, packets);
            let (response, fault) = if rest.is_some() {
                let (response, fault) = locked.machine.handle_part(channel.channel, part, now);
                (response.map(Ok), fault)
            } else {
                let (response, fault) = locked.machine.handle_body(channel.channel, part, now);
                (Some(response), fault)
            };
            (response, rest, fault, locked.claim(conn))
        };
        if let Err(error) = fault {
            tracing::debug!(?conn, %error, "client broke the protocol");
        }
        // Handlers that need not wait run here; the others go on in a task, and the answer does not wait for them.
        if let Some(mut dispatcher) = dispatcher {
            let done = poll_fn(|cx| Poll::Ready(dispatcher.poll(cx).is_ready())).await;
            if !done {
                shard.host().spawn(Box::pin(dispatcher));
            }
        }
        match (response, rest) {
            (Some(response), _) => return response,
            (None, Some(rest)) if room(&channel).await => body = rest,
            _ => return Err(Refusal::SessionUnknown),
        }
    }
}

/// Waits until the application has caught up. Not if the session has ended.
async fn room(channel: &Channel) -> bool {
    yield_now().await;
    poll_fn(|cx| {
        let mut locked = channel.shard.lock();
        if locked.machine.is_ending(channel.channel) {
            return Poll::Ready(false);
        }
        if locked.machine.wants_read(channel.conn) {
            return Poll::Ready(true);
        }
        if let Some(conn) = locked.conns.get_mut(channel.conn) {
            conn.register(channel.channel, cx.waker());
        }
        Poll::Pending
    })
    .await
}

/// `None` if there are more than `limit` bytes.
async fn collect<B>(
    mut body: Pin<&mut B>,
    limit: usize,
) -> Result<Option<Bytes>, Box<dyn StdError + Send + Sync>>
where
    B: HttpBody,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    // Most bodies come in one piece, which is kept as it is.
    let mut pieces = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame.map_err(Into::into)?.into_data() else { continue };
        length += data.remaining();
        if length > limit {
            return Ok(None);
        }
        pieces.push(data.copy_to_bytes(data.remaining()));
    }
    Ok(Some(match pieces.len() {
        0 | 1 => pieces.pop().unwrap_or_default(),
        _ => pieces.concat().into(),
    }))
}

/// The key of a WebSocket handshake that we can take (RFC 6455, 4.2.1).
fn websocket_key(headers: &HeaderMap) -> Option<&[u8]> {
    let version = headers.get(header::SEC_WEBSOCKET_VERSION)?;
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    (version == "13" && key.len() == 24).then_some(key.as_bytes())
}

fn switching_protocols(key: &[u8]) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let accept = tungstenite::handshake::derive_accept_key(key);
    if let Ok(accept) = HeaderValue::try_from(accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

fn respond(answer: EngineResponse) -> Response<Body> {
    let mut response = Response::new(Body::new(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    add_headers(headers, answer.headers);
    if answer.close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A value that no header may have is left out: nothing can put a line break into the head.
fn add_headers(headers: &mut HeaderMap, added: Vec<(&'static str, Cow<'static, str>)>) {
    for (name, value) in added {
        if let Ok(value) = HeaderValue::try_from(value.as_ref()) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
}

/// Whether a request is one for this server.
pub(crate) fn is_ours(server: &Shared, path: &str) -> bool {
    server.config.engine.matches_path(path)
}

/// The shard that a session id names.
pub(crate) fn shard_of(sid: Sid, count: usize) -> Option<usize> {
    Some(usize::from(sid.shard())).filter(|index| *index < count)
}

#[allow(dead_code)]
fn assert_send(server: Arc<Shared>, request: Request<Full<Bytes>>) -> impl Future + Send {
    handle(server, request, None, None)
}
