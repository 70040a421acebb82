//! What a client must remember for its session to be recovered: the session's secret id, and the offset of the last event.

use core::time::Duration;

use crate::socket::payload::Payload;
use crate::{Instant, Str};

/// How far the clocks of a cluster's nodes, and the time on the way, may differ.
const SLACK: Duration = Duration::from_secs(60);

/// Longest offset that is noted, in bytes; those of all known servers have less than 40. It may be anything that a server passes on, and
/// goes into every CONNECT until one is accepted: a server that finds them too large would never let us in again.
const MAX_OFFSET: usize = 128;

/// Longest session id that is kept, in bytes, for the same reason.
const MAX_PID: usize = 512;

/// The server appends an offset to most of its events, as a last argument, but does not say to which: a volatile event whose last
/// argument is a string looks the same (B131), and recovery from an offset that is none fails. Offsets of all known servers hold
/// the time at which they were made. So an offset counts only if its time fits to that of the one before it.
#[derive(Default)]
pub(super) struct Recovery {
    pid: Option<Str>,
    offset: Option<Str>,
    /// The form and time of that offset, and when it came.
    seen: Option<(Form, Duration, Instant)>,
}

impl core::fmt::Debug for Recovery {
    /// Without the session's id, which is a secret.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Recovery").field("offset", &self.offset).finish_non_exhaustive()
    }
}

/// The forms of offsets, with the adapters that make them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// Milliseconds in base 64, seven digits; more in the same millisecond after a dot. In-memory.
    Yeast,
    /// Milliseconds and a number, `1526919030474-55`. Redis streams.
    Stream,
    /// 24 hexadecimal digits, the first eight are seconds. MongoDB.
    ObjectId,
}

impl Recovery {
    /// The server gave this session id. Says whether it is the one that we had.
    pub(super) fn connected(&mut self, pid: Option<Str>) -> bool {
        let pid = pid.filter(|pid| pid.len() <= MAX_PID);
        let same = pid.is_some() && pid == self.pid;
        if !same {
            *self = Self { pid, ..Self::default() };
        }
        same
    }

    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(super) fn pid(&self) -> Option<&str> {
        self.pid.as_deref()
    }

    pub(super) fn offset(&self) -> Option<&str> {
        self.offset.as_deref()
    }

    /// An event came that was not to be acknowledged; others have no offset (B130).
    pub(super) fn note(&mut self, payload: &Payload, now: Instant) {
        if self.pid.is_none() {
            return;
        }
        let Some(offset) = payload.last_plain_str().filter(|offset| offset.len() <= MAX_OFFSET) else {
            return;
        };
        match (parse(offset), self.seen) {
            (Some((form, time)), Some((known, last, at))) => {
                let elapsed = now - at;
                if form != known || time + SLACK < last || time > last + elapsed + SLACK {
                    return;
                }
                self.seen = Some((form, time, now));
            }
            (Some((form, time)), None) => self.seen = Some((form, time, now)),
            // Some other server's form: taken on trust, until one that is known comes.
            (None, None) => {}
            (None, Some(_)) => return,
        }
        // The offset outlives the event and must not keep it.
        self.offset = Some(Str::from(offset));
    }
}

fn parse(offset: &str) -> Option<(Form, Duration)> {
    /// From 2020 to 2100.
    const PLAUSIBLE: core::ops::Range<u64> = 1_577_836_800_000..4_102_444_800_000;
    let (form, millis) = if let Some((millis, number)) = offset.split_once('-').filter(|_| offset.len() > 13)
    {
        number.parse::<u64>().ok()?;
        (Form::Stream, millis.parse().ok()?)
    } else if offset.len() == 24 {
        if !offset.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        (Form::ObjectId, u64::from_str_radix(&offset[..8], 16).ok()? * 1000)
    } else {
        let (digits, more) = offset.split_once('.').unwrap_or((offset, "0"));
        if digits.len() != 7 || !more.bytes().all(|byte| digit(byte).is_some()) {
            return None;
        }
        let mut millis = 0;
        for byte in digits.bytes() {
            millis = millis * 64 + digit(byte)?;
        }
        (Form::Yeast, millis)
    };
    PLAUSIBLE.contains(&millis).then_some((form, Duration::from_millis(millis)))
}

fn digit(byte: u8) -> Option<u64> {
    Some(u64::from(match byte {
        b'0'..=b'9' => byte - b'0',
        b'A'..=b'Z' => byte - b'A' + 10,
        b'a'..=b'z' => byte - b'a' + 36,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn event(last: &str) -> Payload {
        Payload::from_event("news", &("x", last)).unwrap()
    }

    fn with_pid() -> Recovery {
        let mut recovery = Recovery::default();
        assert!(!recovery.connected(Some("p1".into())));
        recovery
    }

    const NOW: Instant = Instant::from_micros(1_000_000);

    #[test]
    fn offsets_are_noted_once_there_is_a_session_to_recover() {
        let mut recovery = Recovery::default();
        recovery.note(&event("QMvIfzn"), NOW);
        assert_eq!(recovery.offset(), None, "no pid");
        recovery.connected(Some("p1".into()));
        for offset in ["QMvIfzn", "QMvIfzn.1", "QMvIfzo"] {
            recovery.note(&event(offset), NOW);
            assert_eq!(recovery.offset(), Some(offset));
        }
        assert!(recovery.connected(Some("p1".into())));
        assert_eq!(recovery.offset(), Some("QMvIfzo"), "B129: still that of the last event");
        assert!(!recovery.connected(Some("p2".into())));
        assert_eq!((recovery.pid(), recovery.offset()), (Some("p2"), None));
    }

    #[test]
    fn strings_that_are_no_offsets_leave_it_alone() {
        let mut recovery = with_pid();
        recovery.note(&event("hello"), NOW);
        recovery.note(&event("QMvIfzn"), NOW);
        // B131: words, offsets of other servers, and far-off times, all in the same form or not.
        for other in
            ["hello", "goodbye", "Running", "Running.x", "", "1795000000000-0", "QMvIfzn ", "Ä", "QZZZZZZ"]
        {
            recovery.note(&event(other), NOW);
            assert_eq!(recovery.offset(), Some("QMvIfzn"), "{other}");
        }
        recovery.note(&Payload::from_event("QMvIfzo", &()).unwrap(), NOW);
        recovery.note(&Payload::from_event("a", &[1, 2]).unwrap(), NOW);
        recovery.note(&Payload::from_event("a", &r#"x,"QMvIfzo"#).unwrap(), NOW);
        assert_eq!(recovery.offset(), Some("QMvIfzn"));
    }

    #[test]
    fn every_known_form_moves_on_with_time() {
        for (first, second) in [
            ("1795000000000-0", "1795000000001-3"),
            ("6a21b5f0aabbccddeeff0011", "6a21b5f1aabbccddeeff0011"),
            ("QMvIfzn", "QMvIg00"),
        ] {
            let mut recovery = with_pid();
            recovery.note(&event(first), NOW);
            recovery.note(&event(second), NOW);
            assert_eq!(recovery.offset(), Some(second));
        }
        let mut recovery = with_pid();
        recovery.note(&event("1795000000000-0"), NOW);
        let hour = 3_600_000u64;
        let later = format!("{}-0", 1_795_000_000_000 + hour);
        recovery.note(&event(&later), NOW);
        assert_eq!(recovery.offset(), Some("1795000000000-0"), "no hour has passed");
        recovery.note(&event(&later), NOW + Duration::from_millis(hour));
        assert_eq!(recovery.offset(), Some(later.as_str()));
    }

    #[test]
    fn what_is_sent_back_is_small() {
        let mut recovery = with_pid();
        recovery.note(&event(&"x".repeat(1_000_000)), NOW);
        assert_eq!(recovery.offset(), None);
        recovery.note(&event("QMvIfzn"), NOW);
        assert_eq!(recovery.offset(), Some("QMvIfzn"));
        let long = Str::from("p".repeat(1_000_000));
        assert!(!recovery.connected(Some(long.clone())) && !recovery.connected(Some(long)));
        assert_eq!((recovery.pid(), recovery.offset()), (None, None));
    }

    #[test]
    fn the_secret_is_not_shown() {
        let mut recovery = Recovery::default();
        recovery.connected(Some("secret".into()));
        assert!(!format!("{recovery:?}").contains("secret"));
    }
}
