//! What users give as an address.

use std::fmt::Write as _;
use std::net::Ipv6Addr;

use http::uri::Authority;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;

/// Longer URLs are a mistake (the reference's limit).
const MAX_LENGTH: usize = 8000;

/// What cannot stand in a query as it is. Escapes can.
const QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// JavaScript's `encodeURIComponent`.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Why a URL cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum UrlError {
    /// More than 8000 characters.
    #[error("the URL is longer than {MAX_LENGTH} characters")]
    TooLong,
    /// Not `http`, `https`, `ws` or `wss`; for a proxy, not `http` or `https`.
    #[error("the scheme `{0}` cannot be used")]
    Scheme(String),
    /// There is none, as in `/admin`.
    #[error("the URL names no host")]
    NoHost,
    /// Neither a name, an IPv4 address, nor an IPv6 address in brackets. Names outside ASCII have to be given in Punycode.
    #[error("`{0}` is not a host")]
    Host(String),
    /// Not a number from 1 to 65535.
    #[error("`{0}` is not a port")]
    Port(String),
    /// Name and password have no place in the URL of a server; they can be sent as `authorization` header.
    #[error("a user name or password in the URL is not sent; use an extra header instead")]
    UserInfo,
    /// The path is the namespace, and a namespace cannot contain commas.
    #[error("the path of the URL is the namespace, which cannot contain a comma")]
    Namespace,
}

/// Where a client connects to: a server, a namespace there, and what is sent along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) origin: Origin,
    /// The path of the URL as it was written; `/` if there was none.
    pub(crate) namespace: String,
    /// The query of the URL, percent-encoded where it has to be, without `?`; empty if there was none.
    pub(crate) query: String,
}

/// A host and a port, and whether to speak TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) secure: bool,
    /// A name or an address, an IPv6 address without its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Target {
    /// Reads a URL as the JavaScript client does: `http`, `https`, `ws` and `wss`, where `ws` is the same as `http`; a path that is the
    /// namespace; a query for every request; a fragment that does not matter. Without a scheme, `localhost:3000` or `//localhost`,
    /// it is `http`.
    pub(crate) fn parse(url: &str) -> Result<Self, UrlError> {
        let parts = Parts::split(url)?;
        let secure = match parts.scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(UrlError::Scheme(parts.scheme.to_owned())),
        };
        if parts.authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let origin = Origin::parse(secure, parts.authority)?;
        if parts.path.contains(',') {
            return Err(UrlError::Namespace);
        }
        let namespace = if parts.path.is_empty() { "/" } else { parts.path };
        let query = utf8_percent_encode(parts.query.trim_matches('&'), QUERY);
        Ok(Self { origin, namespace: namespace.to_owned(), query: query.to_string() })
    }
}

impl Origin {
    pub(crate) fn parse(secure: bool, authority: &str) -> Result<Self, UrlError> {
        let bad_host = || UrlError::Host(authority.to_owned());
        if authority.is_empty() {
            return Err(UrlError::NoHost);
        }
        let parsed: Authority = authority.parse().map_err(|_| bad_host())?;
        let host = parsed.host();
        let port = parsed.as_str().get(host.len()..).unwrap_or_default();
        let port = match port.strip_prefix(':').unwrap_or(port) {
            "" if secure => 443,
            "" => 80,
            // Only digits: a number's sign is none of a port's.
            text if text.bytes().all(|byte| byte.is_ascii_digit()) => match text.parse() {
                Ok(port @ 1..) => port,
                _ => return Err(UrlError::Port(text.to_owned())),
            },
            text => return Err(UrlError::Port(text.to_owned())),
        };
        let host = match host.strip_prefix('[') {
            Some(rest) => rest
                .strip_suffix(']')
                .filter(|address| address.parse::<Ipv6Addr>().is_ok())
                .ok_or_else(bad_host)?,
            None if host.is_empty() => return Err(UrlError::NoHost),
            None => host,
        };
        Ok(Self { secure, host: host.to_owned(), port })
    }

    /// Host and port, for messages and for proxies.
    pub(crate) fn authority(&self) -> String {
        let mut authority = self.bracketed();
        let _ = write!(authority, ":{}", self.port);
        authority
    }

    /// The value of the `Host` header.
    pub(crate) fn host_header(&self) -> String {
        let usual = if self.secure { 443 } else { 80 };
        if self.port == usual { self.bracketed() } else { self.authority() }
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

/// The parts of a URL, none of them looked at.
pub(crate) struct Parts<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) authority: &'a str,
    path: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    pub(crate) fn split(url: &'a str) -> Result<Self, UrlError> {
        if url.chars().nth(MAX_LENGTH).is_some() {
            return Err(UrlError::TooLong);
        }
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) if !scheme.contains(['/', '?', '#']) => (scheme, rest),
            _ => ("http", url.strip_prefix("//").unwrap_or(url)),
        };
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Ok(Self { scheme, authority, path, query })
    }
}

/// A pair of the query, as JavaScript's `encodeURIComponent` writes it.
pub(crate) fn encode_pair(name: &str, value: &str) -> String {
    format!("{}={}", encode_component(name), encode_component(value))
}

/// JavaScript's `encodeURIComponent`.
pub(crate) fn encode_component(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let table = [
            // url, secure, host, port, namespace, query
            ("http://localhost", false, "localhost", 80, "/", ""),
            ("https://localhost", true, "localhost", 443, "/", ""),
            ("ws://localhost", false, "localhost", 80, "/", ""),
            ("wss://localhost", true, "localhost", 443, "/", ""),
            ("HTTPS://LocalHost", true, "LocalHost", 443, "/", ""),
            ("http://localhost:3000", false, "localhost", 3000, "/", ""),
            ("http://localhost:3000/", false, "localhost", 3000, "/", ""),
            ("https://localhost:", true, "localhost", 443, "/", ""),
            ("http://localhost:65535", false, "localhost", 65535, "/", ""),
            // B146
            ("http://host/admin?x=1", false, "host", 80, "/admin", "x=1"),
            ("http://host/admin/?x=1#y?z", false, "host", 80, "/admin/", "x=1"),
            ("http://host/a/b#c", false, "host", 80, "/a/b", ""),
            ("http://host/a b", false, "host", 80, "/a b", ""),
            ("http://host/%2C", false, "host", 80, "/%2C", ""),
            ("http://host?x=1", false, "host", 80, "/", "x=1"),
            ("http://host#x=1", false, "host", 80, "/", ""),
            ("http://host:80?x=/y://z@", false, "host", 80, "/", "x=/y://z@"),
            ("http://host?&x=1&y&", false, "host", 80, "/", "x=1&y"),
            ("http://host?x=a==&y=a%20b c\"é", false, "host", 80, "/", "x=a==&y=a%20b%20c%22%C3%A9"),
            // no scheme
            ("localhost", false, "localhost", 80, "/", ""),
            ("localhost:3000", false, "localhost", 3000, "/", ""),
            ("localhost:3000/admin?x=http://y", false, "localhost", 3000, "/admin", "x=http://y"),
            ("//localhost/x", false, "localhost", 80, "/x", ""),
            // addresses
            ("http://127.0.0.1:1", false, "127.0.0.1", 1, "/", ""),
            ("http://[::1]", false, "::1", 80, "/", ""),
            ("https://[::1]:3000/x", true, "::1", 3000, "/x", ""),
            ("[::1]:3000", false, "::1", 3000, "/", ""),
        ];
        for (url, secure, host, port, namespace, query) in table {
            let origin = Origin { secure, host: host.to_owned(), port };
            let target = Target { origin, namespace: namespace.to_owned(), query: query.to_owned() };
            assert_eq!(Target::parse(url), Ok(target), "{url}");
        }
    }

    #[test]
    fn not_urls() {
        let table = [
            ("", UrlError::NoHost),
            ("/", UrlError::NoHost),
            ("/admin", UrlError::NoHost),
            ("http://", UrlError::NoHost),
            ("http:///x", UrlError::NoHost),
            ("http://:3000", UrlError::NoHost),
            ("?x=1", UrlError::NoHost),
            ("://x", UrlError::Scheme(String::new())),
            ("ftp://x", UrlError::Scheme("ftp".to_owned())),
            ("http+unix://x", UrlError::Scheme("http+unix".to_owned())),
            ("http://user@host", UrlError::UserInfo),
            ("http://user:pw@host:80/x", UrlError::UserInfo),
            ("http://host:0", UrlError::Port("0".to_owned())),
            ("http://host:65536", UrlError::Port("65536".to_owned())),
            ("http://host:+80", UrlError::Port("+80".to_owned())),
            ("http://host:http", UrlError::Port("http".to_owned())),
            ("http://host:80:80", UrlError::Host("host:80:80".to_owned())),
            ("http://::1", UrlError::Host("::1".to_owned())),
            ("http://[::1", UrlError::Host("[::1".to_owned())),
            ("http://[host]", UrlError::Host("[host]".to_owned())),
            ("http://[::1]x", UrlError::Port("x".to_owned())),
            ("http://a b", UrlError::Host("a b".to_owned())),
            ("http://é.example", UrlError::Host("é.example".to_owned())),
            ("http://a\\b", UrlError::Host("a\\b".to_owned())),
            ("http://a\r\nb", UrlError::Host("a\r\nb".to_owned())),
            ("http://host/a,b", UrlError::Namespace),
        ];
        for (url, error) in table {
            assert_eq!(Target::parse(url), Err(error), "{url}");
        }
    }

    #[test]
    fn no_longer_than_the_limit() {
        let url = format!("http://host/{}", "é".repeat(MAX_LENGTH - 12));
        assert!(Target::parse(&url).is_ok());
        assert_eq!(Target::parse(&(url + "x")), Err(UrlError::TooLong));
    }

    #[test]
    fn written_out() {
        let table = [
            ("http://host", "host", "host:80"),
            ("http://host:443", "host:443", "host:443"),
            ("https://host:443", "host", "host:443"),
            ("https://[::1]", "[::1]", "[::1]:443"),
            ("http://[::1]:3000", "[::1]:3000", "[::1]:3000"),
        ];
        for (url, header, authority) in table {
            let origin = Target::parse(url).unwrap().origin;
            assert_eq!((&*origin.host_header(), &*origin.authority()), (header, authority), "{url}");
        }
    }

    #[test]
    fn pairs_as_in_javascript() {
        assert_eq!(encode_pair("a b&c=d", "-_.!~*'()/?é"), "a%20b%26c%3Dd=-_.!~*'()%2F%3F%C3%A9");
    }
}
