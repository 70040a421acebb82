//! Tunnels through HTTP proxies.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::Full;
use percent_encoding::percent_decode_str;
use thiserror::Error;

use super::connection::HttpConnection;
use super::error::describe;
use super::stream::BoxStream;
use super::url::{Origin, Parts, UrlError};

/// A proxy, which is asked for a tunnel (`CONNECT`) whatever the target is.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) origin: Origin,
    /// The value of `proxy-authorization`.
    credentials: Option<HeaderValue>,
}

/// Why a proxy was of no use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum ProxyError {
    /// The proxy itself cannot be reached, or TLS with it fails.
    #[error("proxy {proxy}: {reason}")]
    Unreachable { proxy: String, reason: String },
    #[error("proxy {proxy} does not connect to {target}: status {status}{}", hint(*.status))]
    Refused { proxy: String, target: String, status: u16 },
    /// It hung up, or what it says is not HTTP.
    #[error("proxy {proxy} does not connect to {target}: {reason}")]
    Failed { proxy: String, target: String, reason: String },
}

fn hint(status: u16) -> &'static str {
    if status == 407 { ", it wants a user name and a password" } else { "" }
}

impl Proxy {
    /// `http://host:port` or `https://host:port`, with `user:password@` if the proxy wants that; special characters in these are
    /// percent-encoded. Without a scheme it is `http`.
    pub(crate) fn parse(url: &str) -> Result<Self, UrlError> {
        let parts = Parts::split(url)?;
        let secure = match parts.scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(UrlError::Scheme(parts.scheme.to_owned())),
        };
        let (user, authority) = match parts.authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, parts.authority),
        };
        let credentials = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            let mut plain: Vec<u8> = percent_decode_str(name).collect();
            plain.push(b':');
            plain.extend(percent_decode_str(password));
            let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(plain)))
                .expect("base64 is allowed in a header");
            value.set_sensitive(true);
            value
        });
        Ok(Self { origin: Origin::parse(secure, authority)?, credentials })
    }

    /// Asks for a tunnel to `target` over a connection with the proxy.
    pub(crate) async fn tunnel(&self, stream: BoxStream, target: &Origin) -> Result<BoxStream, ProxyError> {
        let failed = |reason: String| ProxyError::Failed {
            proxy: self.origin.authority(),
            target: target.authority(),
            reason,
        };
        let of_http = |error: hyper::Error| failed(describe(&error).0);
        let authority = target.authority();
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(&authority)
            .header(header::HOST, &authority)
            .body(Full::<Bytes>::default())
            .map_err(|error| failed(error.to_string()))?;
        if let Some(credentials) = &self.credentials {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, credentials.clone());
        }
        let mut connection = HttpConnection::new(stream).await.map_err(of_http)?;
        let response = connection.send(request).await.map_err(|error| of_http(error.into_error()))?;
        if !response.status().is_success() {
            return Err(ProxyError::Refused {
                proxy: self.origin.authority(),
                target: authority,
                status: response.status().as_u16(),
            });
        }
        match connection.into_upgraded().await.map_err(of_http)? {
            // In the tunnel we speak first, whatever is in it.
            Some((stream, read)) if read.is_empty() => Ok(stream),
            Some(_) => Err(failed("something else follows the answer".to_owned())),
            None => Err(failed("it hung up".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let table = [
            ("http://proxy", false, "proxy:80", None),
            ("https://proxy", true, "proxy:443", None),
            ("http://127.0.0.1:3128/", false, "127.0.0.1:3128", None),
            ("proxy:3128", false, "proxy:3128", None),
            ("HTTP://[::1]:3128", false, "[::1]:3128", None),
            // RFC 7617, 2
            ("http://Aladdin:open%20sesame@proxy", false, "proxy:80", Some("Aladdin:open sesame")),
            ("http://a%40b%3A:c:d%2f@proxy:1", false, "proxy:1", Some("a@b::c:d/")),
            ("http://a@b@proxy:1", false, "proxy:1", Some("a@b:")),
            ("user@proxy", false, "proxy:80", Some("user:")),
        ];
        for (url, secure, authority, credentials) in table {
            let proxy = Proxy::parse(url).unwrap();
            assert_eq!((proxy.origin.secure, &*proxy.origin.authority()), (secure, authority), "{url}");
            let value = credentials.map(|plain| format!("Basic {}", STANDARD.encode(plain)));
            assert_eq!(proxy.credentials.map(|value| value.to_str().unwrap().to_owned()), value, "{url}");
        }
        let proxy = Proxy::parse("http://Aladdin:open%20sesame@proxy").unwrap();
        assert_eq!(proxy.credentials.unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn not_urls() {
        let table = [
            ("", UrlError::NoHost),
            ("http://user:pw@", UrlError::NoHost),
            ("socks5://proxy", UrlError::Scheme("socks5".to_owned())),
            ("ws://proxy", UrlError::Scheme("ws".to_owned())),
            ("http://proxy:0", UrlError::Port("0".to_owned())),
        ];
        for (url, error) in table {
            assert_eq!(Proxy::parse(url).err(), Some(error), "{url}");
        }
    }
}
