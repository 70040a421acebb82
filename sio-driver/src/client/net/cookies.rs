//! The cookies of one server.
//!
//! As in the reference, all of them are for one origin, so a cookie's domain and path do not matter. Unlike there, their number and size
//! are bounded, and a cookie that is `Secure` is kept only over TLS.

use std::time::{SystemTime, UNIX_EPOCH};

use cookie::Cookie;
use http::{HeaderMap, HeaderValue, header};

/// Cookies that are kept.
const MAX_COUNT: usize = 100;
/// Bytes of the header that they make.
const MAX_BYTES: usize = 16 << 10;

/// Cookies in the order in which their names first came.
#[derive(Debug)]
pub(crate) struct Jar {
    secure: bool,
    cookies: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    value: String,
    /// The second at which it is gone; nothing if it is for as long as the client lives.
    expires: Option<i64>,
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

impl Jar {
    /// For a server with which we speak TLS, or not.
    pub(crate) fn new(secure: bool) -> Self {
        Self { secure, cookies: Vec::new() }
    }

    /// Takes the cookies of an answer. What cannot be understood is left out, and so is what is too much.
    pub(crate) fn store(&mut self, headers: &HeaderMap, now: i64) {
        for value in headers.get_all(header::SET_COOKIE) {
            if let Ok(text) = std::str::from_utf8(value.as_bytes()) {
                self.set(text, now);
            }
        }
    }

    fn set(&mut self, text: &str, now: i64) {
        let Ok(cookie) = Cookie::parse(text) else { return };
        if cookie.secure() == Some(true) && !self.secure {
            return;
        }
        let expires = expiry(&cookie, text, now);
        let entry =
            Entry { name: cookie.name().to_owned(), value: cookie.value_trimmed().to_owned(), expires };
        self.sweep(now);
        let place = self.cookies.iter().position(|other| other.name == entry.name);
        if entry.is_expired(now) {
            place.map(|index| self.cookies.remove(index));
            return;
        }
        let others = self.cookies.iter().filter(|other| other.name != entry.name);
        let (count, bytes) = others.fold((0, 0), |(count, bytes), other| (count + 1, bytes + other.len()));
        if count >= MAX_COUNT || bytes + entry.len() > MAX_BYTES {
            tracing::debug!(name = entry.name, "too many cookies");
            // Rather none than an old one.
            place.map(|index| self.cookies.remove(index));
            return;
        }
        match place {
            Some(index) => self.cookies[index] = entry,
            None => self.cookies.push(entry),
        }
    }

    /// The header that takes the cookies back.
    pub(crate) fn header(&mut self, now: i64) -> Option<HeaderValue> {
        self.sweep(now);
        let mut text = String::new();
        for Entry { name, value, .. } in &self.cookies {
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.extend([name, "=", value]);
        }
        if text.is_empty() { None } else { HeaderValue::try_from(text).ok() }
    }

    fn sweep(&mut self, now: i64) {
        self.cookies.retain(|cookie| !cookie.is_expired(now));
    }
}

impl Entry {
    fn is_expired(&self, now: i64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// With what stands around it.
    fn len(&self) -> usize {
        self.name.len() + self.value.len() + 3
    }
}

/// When a cookie is gone. An age goes before a date (RFC 6265, 5.3); one that cannot be read is long over (§1.9), because a server that
/// wants to take a cookie back must not leave us with it for ever.
fn expiry(cookie: &Cookie<'_>, text: &str, now: i64) -> Option<i64> {
    if let Some(age) = cookie.max_age() {
        return Some(now.saturating_add(age.whole_seconds()));
    }
    if has_attribute(text, "max-age") {
        return Some(i64::MIN);
    }
    match cookie.expires_datetime() {
        Some(date) => Some(date.unix_timestamp()),
        None if has_attribute(text, "expires") => Some(i64::MIN),
        None => None,
    }
}

fn has_attribute(text: &str, name: &str) -> bool {
    let names = text.split(';').skip(1).filter_map(|attribute| attribute.split('=').next());
    names.into_iter().any(|other| other.trim().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22T12:00:00Z
    const NOW: i64 = 1_795_348_800;

    fn header(jar: &mut Jar, now: i64) -> String {
        jar.header(now)
            .map_or_else(String::new, |value| String::from_utf8(value.as_bytes().to_vec()).unwrap())
    }

    fn after(cookies: &[&str]) -> String {
        let mut jar = Jar::new(false);
        jar.set("old=1", NOW);
        for cookie in cookies {
            jar.set(cookie, NOW);
        }
        header(&mut jar, NOW)
    }

    #[test]
    fn kept_and_sent() {
        assert_eq!(Jar::new(false).header(NOW), None);
        assert_eq!(after(&["a=b; Path=/x; HttpOnly; SameSite=Lax; Domain=other.example"]), "old=1; a=b");
        assert_eq!(after(&["a=b=c", "d=\"e f\"", " g = h ", "i="]), "old=1; a=b=c; d=e f; g=h; i=");
        assert_eq!(after(&["a=1", "old=2", "a=3"]), "old=2; a=3", "each name has its place");
        assert_eq!(after(&["", "=x", "x", ";", "; a=b"]), "old=1", "not cookies");
    }

    #[test]
    fn taken_back() {
        for gone in [
            "old=2; Max-Age=0",
            "old=2; max-age=-1",
            "old=2; MAX-AGE=x",
            "old=2;max-age",
            "old=2; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "old=2; expires=Sun, 22 Nov 2026 12:00:00 GMT",
            "old=2; EXPIRES=yesterday",
            "old=2; Expires=Sun, 22 Nov 2099 12:00:00 GMT; Max-Age=0",
        ] {
            assert_eq!(after(&[gone]), "", "{gone}");
        }
        for kept in [
            "old=2; Max-Age=1",
            "old=2; Max-Age=99999999999999999999",
            "old=2; Expires=Sun, 22 Nov 2026 12:00:01 GMT",
            "old=2; Expires=Sun, 22-Nov-2026 12:00:01 GMT",
            "old=2; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=1",
        ] {
            assert_eq!(after(&[kept]), "old=2", "{kept}");
        }
    }

    #[test]
    fn gone_when_its_time_has_come() {
        let mut jar = Jar::new(false);
        jar.set("a=1; Max-Age=10", NOW);
        jar.set("b=1; Expires=Sun, 22 Nov 2026 12:00:20 GMT", NOW);
        assert_eq!(header(&mut jar, NOW + 9), "a=1; b=1");
        assert_eq!(header(&mut jar, NOW + 10), "b=1");
        assert_eq!(header(&mut jar, NOW + 20), "");
    }

    #[test]
    fn secure_ones_need_tls() {
        assert_eq!(after(&["a=1; Secure", "b=1; secure=x"]), "old=1");
        let mut jar = Jar::new(true);
        jar.set("a=1; Secure", NOW);
        assert_eq!(header(&mut jar, NOW), "a=1");
    }

    #[test]
    fn bounded() {
        let mut jar = Jar::new(false);
        for index in 0..2 * MAX_COUNT {
            jar.set(&format!("c{index}=x; Max-Age=10"), NOW);
        }
        assert_eq!(jar.cookies.len(), MAX_COUNT);
        jar.set("c0=y", NOW);
        assert!(header(&mut jar, NOW).starts_with("c0=y; c1=x;"), "there is place for what is there");
        jar.set("late=1", NOW + 10);
        assert_eq!(header(&mut jar, NOW + 10), "c0=y; late=1", "and after the others have expired");

        let mut jar = Jar::new(false);
        jar.set("a=1", NOW);
        jar.set(&format!("b={}", "x".repeat(MAX_BYTES - 9)), NOW);
        assert_eq!(header(&mut jar, NOW).len(), MAX_BYTES - 2);
        jar.set("a=12", NOW);
        assert!(header(&mut jar, NOW).starts_with("b=x"), "neither the old value nor the new one");
    }

    #[test]
    fn outside_ascii() {
        let mut jar = Jar::new(false);
        let mut headers = HeaderMap::new();
        headers.append("set-cookie", HeaderValue::from_bytes("a=é".as_bytes()).unwrap());
        headers.append("set-cookie", HeaderValue::from_bytes(b"b=\xff").unwrap());
        headers.append("set-cookie", HeaderValue::from_static("c=1"));
        jar.store(&headers, NOW);
        assert_eq!(header(&mut jar, NOW), "a=é; c=1");
    }
}
