//! [`Offset`]: the place of an event among those of its namespace.

use core::fmt;

/// Milliseconds that seven digits can say; until the year 2109.
const DIGITS: usize = 7;
const ALPHABET: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

/// Where a client stands in the events of its namespace: the last argument of each event that connection state recovery can send
/// again. A client shows the last one that it has seen when it comes back.
///
/// It looks like those of the reference, seven digits of base 64 for the time and a number after a dot, because clients that are
/// careful about strings look at the time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Offset {
    millis: u64,
    number: u64,
}

impl Offset {
    /// `unix_millis`: milliseconds since 1970 by any clock, modulo 2^42; only clients look at it. `number`: counts the events of one
    /// namespace, and is the same in all shards. No two events may have the same offset.
    #[must_use]
    pub const fn new(unix_millis: u64, number: u64) -> Self {
        Self { millis: unix_millis & ((1 << 42) - 1), number }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.number
    }

    /// Reads an offset that [`Display`](fmt::Display) wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (time, number) = text.split_once('.')?;
        // One spelling for each offset.
        let canonical = time.len() == DIGITS
            && (1..=11).contains(&number.len())
            && (number.len() == 1 || !number.starts_with('0'));
        if !canonical {
            return None;
        }
        Some(Self { millis: value(time)?, number: value(number)? })
    }
}

fn value(digits: &str) -> Option<u64> {
    digits.bytes().try_fold(0_u64, |value, byte| {
        let digit = ALPHABET.iter().position(|digit| *digit == byte)?;
        value.checked_mul(64)?.checked_add(u64::try_from(digit).ok()?)
    })
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |value: u64| char::from(ALPHABET[(value & 63) as usize]);
        let write = |f: &mut fmt::Formatter<'_>, value: u64, digits: u32| {
            (0..digits).rev().try_for_each(|at| fmt::Write::write_char(f, digit(value >> (6 * at))))
        };
        write(f, self.millis, 7)?;
        f.write_str(".")?;
        write(f, self.number, (u64::BITS - self.number.leading_zeros()).div_ceil(6).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn offsets_are_short_and_parse_back() {
        // 2026-11-22 20:00:00 UTC.
        let at = 1_795_377_600_000;
        assert_eq!(Offset::new(at, 0).to_string(), "Q84s1O0.0");
        for number in [0, 1, 63, 64, 4095, 4096, u64::from(u32::MAX), u64::MAX] {
            let offset = Offset::new(at, number);
            assert_eq!(Offset::parse(&offset.to_string()), Some(offset), "{number}");
            assert_eq!(Offset::parse(&offset.to_string()).map(Offset::number), Some(number));
        }
    }

    #[test]
    fn everything_else_is_none() {
        for text in [
            "",
            ".",
            "hello",
            "Q83-Z00",
            "Q83-Z00.",
            "Q83-Z00.00",
            "Q83-Z00.01",
            "Q83-Z0.1",
            "Q83-Z000.1",
            "Q83-Z00.G0000000000",
            "Q83-Z00.000000000000",
            "Q83-Z0 .1",
            "Q83-Zä.1",
            "1795000000000-0",
        ] {
            assert_eq!(Offset::parse(text), None, "{text}");
        }
    }
}
