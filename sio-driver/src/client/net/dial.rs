//! What all requests and WebSockets of a client share, and the way to the server.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use http_body_util::Full;

use super::connection::HttpRequest;
use super::cookies::{self, Jar};
use super::error::{NetError, describe};
use super::proxy::{Proxy, ProxyError};
use super::stream::BoxStream;
use super::tls::TlsLayer;
use super::url::Origin;
use crate::runtime::Runtime;

/// What to know before the first connection.
pub(crate) struct Settings {
    pub(crate) origin: Origin,
    /// Without it the defaults, if TLS is needed.
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<super::tls::Tls>,
    pub(crate) proxy: Option<Proxy>,
    /// On every request; those for which [`is_reserved`] are left out.
    pub(crate) headers: HeaderMap,
    /// Whether cookies are kept and sent back.
    pub(crate) cookies: bool,
    /// Of an answer and of a message.
    pub(crate) max_message_size: usize,
}

impl Settings {
    pub(crate) fn new(origin: Origin) -> Self {
        Self {
            origin,
            #[cfg(feature = "tls")]
            tls: None,
            proxy: None,
            headers: HeaderMap::new(),
            cookies: false,
            max_message_size: 64 << 20,
        }
    }
}

/// Connects to one server. Cloning gives another handle, with the same cookies.
pub(crate) struct Connector<R>(Arc<Inner<R>>);

impl<R> Clone for Connector<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<R> {
    runtime: R,
    origin: Origin,
    /// How the server is called in messages.
    peer: String,
    host: HeaderValue,
    tls: Option<TlsLayer>,
    proxy: Option<Proxy>,
    headers: HeaderMap,
    cookies: Option<Mutex<Jar>>,
    max_message_size: usize,
}

impl<R: Runtime> Connector<R> {
    /// # Errors
    /// If TLS is needed and cannot be set up.
    pub(crate) fn new(runtime: R, settings: Settings) -> Result<Self, NetError> {
        let tls = tls_layer(&settings)?;
        let Settings { origin, proxy, mut headers, cookies, max_message_size, .. } = settings;
        for name in RESERVED {
            if headers.remove(&name).is_some() {
                tracing::warn!(%name, "this extra header is the client's own, and left out");
            }
        }
        let peer = origin.authority();
        let host = HeaderValue::try_from(origin.host_header())
            .map_err(|_| NetError::Io(format!("{peer}: not a host")))?;
        Ok(Self(Arc::new(Inner {
            runtime,
            cookies: cookies.then(|| Mutex::new(Jar::new(origin.secure))),
            origin,
            peer,
            host,
            tls,
            proxy,
            headers,
            max_message_size,
        })))
    }

    /// A stream to the server: TCP, through the proxy, in TLS. Dropping the future gives up.
    pub(crate) fn dial(&self) -> impl Future<Output = Result<BoxStream, NetError>> + Send + use<R> {
        let connector = self.clone();
        async move { dial(&connector.0).await }
    }

    /// A request with everything that each of ours has. `headers` go before the user's.
    pub(crate) fn request(
        &self,
        method: Method,
        path_and_query: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<HttpRequest, NetError> {
        let inner = &self.0;
        // The query may hold secrets, the session's id for one.
        let uri = http::uri::PathAndQuery::try_from(path_and_query)
            .map_err(|error| NetError::Io(format!("{}: path or query: {error}", inner.peer)))?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri.into();
        let all = request.headers_mut();
        all.insert(header::HOST, inner.host.clone());
        all.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        for name in inner.headers.keys() {
            all.remove(name);
            for value in inner.headers.get_all(name) {
                all.append(name, value.clone());
            }
        }
        for (name, value) in &headers {
            all.insert(name, value.clone());
        }
        if let Some(cookies) = &inner.cookies
            && let Some(ours) = cookies.lock().unwrap_or_else(PoisonError::into_inner).header(cookies::now())
        {
            let cookie = match all.get(header::COOKIE) {
                Some(users) => HeaderValue::from_bytes(&[users.as_bytes(), b"; ", ours.as_bytes()].concat()),
                None => Ok(ours),
            };
            if let Ok(cookie) = cookie {
                all.insert(header::COOKIE, cookie);
            }
        }
        Ok(request)
    }

    pub(crate) fn remember_cookies(&self, headers: &HeaderMap) {
        if let Some(cookies) = &self.0.cookies {
            cookies.lock().unwrap_or_else(PoisonError::into_inner).store(headers, cookies::now());
        }
    }

    pub(crate) fn max_message_size(&self) -> usize {
        self.0.max_message_size
    }

    /// An error of a connection with the server.
    pub(crate) fn failure(&self, error: &(dyn std::error::Error + 'static)) -> NetError {
        NetError::new(&self.0.peer, "", error)
    }

    /// The server said what it must not.
    pub(crate) fn misbehaved(&self, how: &str) -> NetError {
        NetError::Io(format!("{}: {how}", self.0.peer))
    }
}

async fn dial<R: Runtime>(inner: &Inner<R>) -> Result<BoxStream, NetError> {
    let Inner { runtime, origin, peer, tls, proxy, .. } = inner;
    let stream = match proxy {
        Some(proxy) => proxy.tunnel(dial_proxy(runtime, tls.as_ref(), proxy).await?, origin).await?,
        None => match runtime.connect(&origin.host, origin.port).await {
            Ok(stream) => Box::new(stream),
            Err(error) => return Err(NetError::new(peer, "cannot connect", &error)),
        },
    };
    match tls {
        Some(tls) if origin.secure => {
            let stream = tls.connect(stream, &origin.host).await;
            stream.map_err(|reason| NetError::Tls(format!("{peer}: {reason}")))
        }
        _ => Ok(stream),
    }
}

async fn dial_proxy<R: Runtime>(
    runtime: &R,
    tls: Option<&TlsLayer>,
    proxy: &Proxy,
) -> Result<BoxStream, ProxyError> {
    let Origin { secure, host, port } = &proxy.origin;
    let unreachable = |reason| ProxyError::Unreachable { proxy: proxy.origin.authority(), reason };
    let stream = runtime.connect(host, *port).await;
    let stream = stream.map_err(|error| unreachable(format!("cannot connect: {}", describe(&error).0)))?;
    let stream: BoxStream = Box::new(stream);
    match tls {
        Some(tls) if *secure => tls.connect_to_proxy(stream, host).await.map_err(unreachable),
        _ => Ok(stream),
    }
}

#[cfg(feature = "tls")]
fn tls_layer(settings: &Settings) -> Result<Option<TlsLayer>, NetError> {
    let is_needed = needs_tls(settings);
    Ok(is_needed.then(|| settings.tls.clone().unwrap_or_default().build()).transpose()?)
}

#[cfg(not(feature = "tls"))]
fn tls_layer(settings: &Settings) -> Result<Option<TlsLayer>, NetError> {
    if needs_tls(settings) {
        let text = format!(
            "{}: TLS is needed, but this build is without it: enable the feature `tls`",
            settings.origin.authority()
        );
        return Err(NetError::Tls(text));
    }
    Ok(None)
}

fn needs_tls(settings: &Settings) -> bool {
    settings.origin.secure || settings.proxy.as_ref().is_some_and(|proxy| proxy.origin.secure)
}

/// Headers that are the client's own business, because requests and answers would not be understood otherwise.
const RESERVED: [HeaderName; 13] = [
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::SEC_WEBSOCKET_ACCEPT,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_VERSION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Whether users cannot set a header.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    RESERVED.contains(name)
}
