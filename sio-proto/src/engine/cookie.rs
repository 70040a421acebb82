//! The cookie that load balancers go by.

use alloc::format;
use alloc::string::String;
use core::fmt::Write as _;
use core::time::Duration;

use crate::Sid;

/// Which requests of other sites a cookie goes along with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SameSite {
    /// Those of the same site only.
    Strict,
    /// Also when the user follows a link.
    Lax,
    /// All; browsers ask for [`secure`](Cookie::secure) then.
    None,
}

/// A cookie that the answer to a polling handshake sets, with the session's id as its value (B19). Sticky sessions can go by it.
///
/// The defaults are the reference's: name `io`, `Path=/; HttpOnly; SameSite=Lax`.
///
/// ```
/// use sio_proto::engine::Cookie;
///
/// let cookie = Cookie::new("node").secure(true);
/// # let _ = cookie;
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cookie {
    name: String,
    path: Option<String>,
    domain: Option<String>,
    max_age: Option<Duration>,
    http_only: bool,
    same_site: Option<SameSite>,
    secure: bool,
    partitioned: bool,
}

impl Default for Cookie {
    fn default() -> Self {
        Self::new("io")
    }
}

impl Cookie {
    /// A cookie of this name, with the default attributes.
    ///
    /// # Panics
    /// If the name is empty or has characters that the name of a cookie cannot have (RFC 6265: a token).
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        assert!(!name.is_empty() && name.bytes().all(is_token), "not the name of a cookie: {name:?}");
        Self {
            name,
            path: Some("/".into()),
            domain: None,
            max_age: None,
            http_only: true,
            same_site: Some(SameSite::Lax),
            secure: false,
            partitioned: false,
        }
    }

    /// The path under which it is sent; `None` for that of the request. Default: `/`.
    ///
    /// # Panics
    /// If there are control characters or semicolons in it.
    #[must_use]
    pub fn path(mut self, path: impl Into<Option<&'static str>>) -> Self {
        self.path = path.into().map(attribute);
        self
    }

    /// The domain with whose hosts it is shared. Default: none, that host only.
    ///
    /// # Panics
    /// If there are control characters or semicolons in it.
    #[must_use]
    pub fn domain(mut self, domain: impl AsRef<str>) -> Self {
        self.domain = Some(attribute(domain.as_ref()));
        self
    }

    /// How long the browser keeps it, in whole seconds. Default: until the browser is closed.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Whether scripts cannot read it. Default: yes; the session's id is a secret.
    #[must_use]
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// Which requests of other sites it goes along with; `None` for the browser's default. Default: [`SameSite::Lax`].
    #[must_use]
    pub fn same_site(mut self, same_site: impl Into<Option<SameSite>>) -> Self {
        self.same_site = same_site.into();
        self
    }

    /// Whether it is sent over TLS only. Default: no.
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Whether each site that embeds the server has one of its own. Default: no.
    #[must_use]
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }

    /// The value of `Set-Cookie`.
    pub(super) fn set(&self, sid: Sid) -> String {
        let mut text = format!("{}={}", self.name, sid.as_str());
        let mut attribute = |name: &str, value: &str| {
            let _ = write!(text, "; {name}{}{value}", if value.is_empty() { "" } else { "=" });
        };
        if let Some(age) = self.max_age {
            attribute("Max-Age", &format!("{}", age.as_secs()));
        }
        if let Some(domain) = &self.domain {
            attribute("Domain", domain);
        }
        if let Some(path) = &self.path {
            attribute("Path", path);
        }
        for (is_set, name) in
            [(self.http_only, "HttpOnly"), (self.secure, "Secure"), (self.partitioned, "Partitioned")]
        {
            if is_set {
                attribute(name, "");
            }
        }
        match self.same_site {
            Some(SameSite::Strict) => attribute("SameSite", "Strict"),
            Some(SameSite::Lax) => attribute("SameSite", "Lax"),
            Some(SameSite::None) => attribute("SameSite", "None"),
            None => {}
        }
        text
    }
}

fn attribute(value: &str) -> String {
    let is_plain = |byte: u8| (b' '..0x7f).contains(&byte) && byte != b';';
    assert!(value.bytes().all(is_plain), "not the value of an attribute: {value:?}");
    value.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SID: &str = "AAECAwQFBgcICQoLDA0O";

    fn set(cookie: &Cookie) -> String {
        cookie.set(SID.parse().unwrap())
    }

    #[test]
    fn b19_attributes() {
        let default = format!("io={SID}; Path=/; HttpOnly; SameSite=Lax");
        assert_eq!(set(&Cookie::default()), default);
        let bare = Cookie::new("io").path(None).http_only(false).same_site(None);
        assert_eq!(set(&bare), format!("io={SID}"));
        let full = Cookie::new("a-b")
            .path("/x")
            .domain("example.com")
            .max_age(Duration::from_millis(90_500))
            .same_site(SameSite::None)
            .secure(true)
            .partitioned(true);
        let expected =
            "Max-Age=90; Domain=example.com; Path=/x; HttpOnly; Secure; Partitioned; SameSite=None";
        assert_eq!(set(&full), format!("a-b={SID}; {expected}"));
        assert!(set(&Cookie::new("io").same_site(SameSite::Strict)).ends_with("SameSite=Strict"));
    }

    #[test]
    #[should_panic(expected = "name of a cookie")]
    fn a_name_cannot_bring_attributes() {
        let _ = Cookie::new("io; Domain=evil.example");
    }

    #[test]
    #[should_panic(expected = "value of an attribute")]
    fn nor_can_a_domain_bring_headers() {
        let _ = Cookie::new("io").domain("a\r\nset-cookie: b=c");
    }
}
