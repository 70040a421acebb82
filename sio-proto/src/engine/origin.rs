//! Which pages may open a session.
//!
//! A browser lets every page open a WebSocket to every server, and sends the server's cookies along. Whoever knows its users by
//! cookies would serve them to any page that they visit (cross-site WebSocket hijacking), so the `Origin` is compared here.

/// Whether a page of `origin` was served under the name by which it now asks for this server.
///
/// The scheme does not count: a proxy may have taken TLS off, and some clients that are no browsers name themselves `ws://…`. Nor
/// does the port where `host` has none: proxies leave it out, and cookies are shared between the ports of a host anyway.
pub(super) fn is_same(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match () {
        () if ["http", "ws"].iter().any(|name| scheme.eq_ignore_ascii_case(name)) => 80,
        () if ["https", "wss"].iter().any(|name| scheme.eq_ignore_ascii_case(name)) => 443,
        () => return false,
    };
    let (Some((page, page_port)), Some((server, server_port))) = (split(authority), split(host)) else {
        return false;
    };
    page.eq_ignore_ascii_case(server)
        && server_port.is_none_or(|port| port == page_port.unwrap_or(default_port))
}

/// The name, with the brackets of an IPv6 address, and the port.
fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (name, rest) = authority.split_at(end);
    let port = match rest.strip_prefix(':') {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
        None if rest.is_empty() => None,
        _ => return None,
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=[]:".contains(&byte);
    (!name.is_empty() && name.bytes().all(is_name)).then_some((name, port))
}

#[cfg(test)]
mod tests {
    use super::is_same;

    #[test]
    fn pages_of_the_server_itself() {
        for (origin, host) in [
            ("http://a.example", "a.example"),
            ("https://a.example", "a.example"),
            ("https://A.Example", "a.eXample"),
            ("https://a.example", "a.example:443"),
            ("http://a.example", "a.example:80"),
            ("http://localhost:3000", "localhost:3000"),
            ("ws://localhost:3000", "localhost:3000"),
            ("wss://a.example", "a.example"),
            ("http://[::1]:3000", "[::1]:3000"),
            ("http://[::1]", "[::1]"),
            ("http://a.example:8080", "a.example"),
            ("https://xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            assert!(is_same(origin, host), "{origin} {host}");
        }
    }

    #[test]
    fn foreign_pages() {
        for (origin, host) in [
            ("null", "null"),
            ("", ""),
            ("a.example", "a.example"),
            ("file://", ""),
            ("://a.example", "a.example"),
            ("http://", ""),
            ("http://b.example", "a.example"),
            ("http://a.example.evil.example", "a.example"),
            ("http://evil-a.example", "a.example"),
            ("http://sub.a.example", "a.example"),
            ("http://a.example", "sub.a.example"),
            ("http://localhost:3001", "localhost:3000"),
            ("http://localhost", "localhost:3000"),
            ("https://a.example", "a.example:80"),
            ("http://a.example:", "a.example:"),
            ("http://a.example:65616", "a.example:80"),
            ("http://a.example:+80", "a.example:80"),
            ("http://a.example:80@evil.example", "a.example"),
            ("http://a.example@evil.example", "a.example"),
            ("http://evil.example@a.example", "a.example"),
            ("http://a.example/", "a.example"),
            ("http://a.example/http://a.example", "a.example"),
            ("http://evil.example#://a.example", "a.example"),
            ("http://evil.example://a.example", "a.example"),
            ("http://a.example http://evil.example", "a.example"),
            ("http://a.example, http://evil.example", "a.example"),
            ("http://a.example\\evil.example", "a.example"),
            ("http://b\u{fc}cher.example", "b\u{fc}cher.example"),
            ("http://[::1", "[::1"),
            ("http://[::1]x", "[::1]x"),
            ("http://a.example.", "a.example"),
            ("chrome-extension://abc", "abc"),
            ("capacitor://localhost", "localhost"),
        ] {
            assert!(!is_same(origin, host), "{origin} {host}");
        }
    }
}
