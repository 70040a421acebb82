//! How the body of an answer is packed: what the client takes, by its `Accept-Encoding`.

/// A content coding of HTTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Coding {
    /// `br`; only for files that were packed beforehand.
    Brotli,
    /// `gzip`.
    Gzip,
    /// `deflate`: the zlib format.
    Deflate,
}

impl Coding {
    /// The name in `Content-Encoding`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// The coding of `offered`, best first, that a client with this `Accept-Encoding` likes best; `None` if it likes the plain body at
    /// least as much, or takes no other. Linear in the header's length.
    #[must_use]
    pub fn negotiate(accept_encoding: &str, offered: &[Self]) -> Option<Self> {
        // In thousandths. What is not named counts as `*`; the plain body is taken unless it is refused, but liked least.
        let mut stated = [None; 3];
        let (mut any, mut identity) = (None, None);
        for item in accept_encoding.split(',') {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let weight = Some(weight(parameters));
            let name = name.trim();
            let known = [Self::Brotli, Self::Gzip, Self::Deflate].into_iter().find(|coding| {
                name.eq_ignore_ascii_case(coding.name())
                    || (*coding == Self::Gzip && name.eq_ignore_ascii_case("x-gzip"))
            });
            match (known, name) {
                (Some(coding), _) => stated[coding as usize] = weight,
                (None, "*") => any = weight,
                (None, name) if name.eq_ignore_ascii_case("identity") => identity = weight,
                _ => {}
            }
        }
        let mut best = (identity.unwrap_or(0), None);
        for coding in offered {
            let weight = stated[*coding as usize].or(any).unwrap_or(0);
            if weight > best.0 {
                best = (weight, Some(*coding));
            }
        }
        best.1
    }
}

/// The weight, 0 to 1000. One that is not as it should be is 0.
fn weight(parameters: &str) -> u16 {
    let mut parameters = parameters.split(';').map(str::trim).filter(|parameter| !parameter.is_empty());
    let Some(first) = parameters.next() else { return 1000 };
    let value = first.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    let Some((_, value)) = value else { return 0 };
    let value = value.trim();
    let (whole, rest) = value.split_once('.').unwrap_or((value, ""));
    if rest.len() > 3 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    let thousandths = rest.bytes().fold(0, |sum, byte| sum * 10 + u16::from(byte - b'0'));
    let thousandths = thousandths * [1000, 100, 10, 1][rest.len()];
    match whole {
        "0" => thousandths,
        "1" if thousandths == 0 => 1000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::Coding::{self, Brotli, Deflate, Gzip};

    #[test]
    fn the_client_chooses() {
        for (header, expected) in [
            ("", None),
            ("gzip", Some(Gzip)),
            ("GZIP", Some(Gzip)),
            ("x-gzip", Some(Gzip)),
            ("deflate", Some(Deflate)),
            ("gzip, deflate, br, zstd", Some(Gzip)),
            ("deflate, gzip", Some(Gzip)),
            ("gzip;q=0.5, deflate;q=0.6", Some(Deflate)),
            ("gzip;q=0", None),
            ("gzip;q=0, *", Some(Deflate)),
            ("*", Some(Gzip)),
            ("*;q=0", None),
            ("identity", None),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip;q=0.501", Some(Gzip)),
            ("br", None),
            ("gzip ; q = 0.001", Some(Gzip)),
            ("gzip;q=2", None),
            ("gzip;q=1.001", None),
            ("gzip;q=-1", None),
            ("gzip;q=0.0001", None),
            ("gzip;q=", None),
            ("gzip;level=9", None),
            (";q=1,,=;", None),
        ] {
            assert_eq!(Coding::negotiate(header, &[Gzip, Deflate]), expected, "{header}");
        }
        assert_eq!(Coding::negotiate("gzip, br", &[Brotli, Gzip]), Some(Brotli));
    }
}
