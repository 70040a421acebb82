//! One HTTP connection. It has no task: it moves while somebody waits for something of it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, Connection, SendRequest};

use super::stream::BoxStream;

/// The most that hyper gathers of an answer's head, and reads at once of a body.
const MAX_BUFFER: usize = 64 << 10;

pub(crate) type HttpRequest = Request<Full<Bytes>>;

pub(crate) struct HttpConnection {
    sender: SendRequest<Full<Bytes>>,
    /// Nothing if it is gone.
    connection: Option<Connection<BoxStream, Full<Bytes>>>,
    /// It has come to its end, and is not to be polled again.
    ended: bool,
}

/// What there is of a body.
pub(crate) struct Collected {
    pub(crate) bytes: Bytes,
    /// There would have been more.
    pub(crate) cut: bool,
}

impl HttpConnection {
    pub(crate) async fn new(stream: BoxStream) -> hyper::Result<Self> {
        let (sender, connection) = http1::Builder::new().max_buf_size(MAX_BUFFER).handshake(stream).await?;
        Ok(Self { sender, connection: Some(connection), ended: false })
    }

    /// Sends a request and waits for the head of the answer. The request comes back in the error if nothing of it was sent.
    pub(crate) async fn send(
        &mut self,
        request: HttpRequest,
    ) -> Result<Response<Incoming>, TrySendError<HttpRequest>> {
        let answer = self.sender.try_send_request(request);
        self.drive(answer).await
    }

    /// Reads a body, but not more than `limit` bytes of it. Nothing is read if it is said to be larger.
    pub(crate) async fn body(&mut self, mut body: Incoming, limit: usize) -> hyper::Result<Collected> {
        if body.size_hint().lower() > limit as u64 {
            return Ok(Collected { bytes: Bytes::new(), cut: true });
        }
        // Most bodies come in one piece, which is kept as it is. Others are copied: a piece takes far more room than the one byte that a
        // server may send in it.
        let mut first = Bytes::new();
        let mut all: Vec<u8> = Vec::new();
        let mut cut = false;
        while let Some(frame) = self.drive(body.frame()).await {
            let Ok(mut data) = frame?.into_data() else { continue };
            let room = limit - first.len().max(all.len());
            if data.len() > room {
                data.truncate(room);
                cut = true;
            }
            if first.is_empty() && all.is_empty() {
                first = data;
            } else {
                all.extend_from_slice(&std::mem::take(&mut first));
                all.extend_from_slice(&data);
            }
            if cut {
                break;
            }
        }
        let bytes = if all.is_empty() { first } else { all.into() };
        Ok(Collected { bytes, cut })
    }

    /// Whether another request can be sent now; hears whether the server has hung up meanwhile.
    pub(crate) async fn is_usable(&mut self) -> bool {
        poll_fn(|cx| {
            if !self.ended
                && let Some(connection) = &mut self.connection
            {
                self.ended = connection.poll_without_shutdown(cx).is_ready();
            }
            Poll::Ready(!self.ended && self.sender.is_ready())
        })
        .await
    }

    /// The stream under the connection, once the server has switched to another protocol, and what was read of that already.
    pub(crate) async fn into_upgraded(mut self) -> hyper::Result<Option<(BoxStream, Bytes)>> {
        let Some(mut connection) = self.connection.take() else { return Ok(None) };
        if !self.ended {
            poll_fn(|cx| connection.poll_without_shutdown(cx)).await?;
        }
        let parts = connection.into_parts();
        Ok(Some((parts.io, parts.read_buf)))
    }

    /// Waits for something that comes to pass while the connection is polled.
    async fn drive<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            if let Some(connection) = &mut self.connection
                && !self.ended
            {
                self.ended = connection.poll_without_shutdown(cx).is_ready();
            }
            let polled = future.as_mut().poll(cx);
            if polled.is_ready() || !self.ended {
                return polled;
            }
            // Whatever waits for the connection is told so when that goes.
            self.connection = None;
            future.as_mut().poll(cx)
        })
        .await
    }
}
