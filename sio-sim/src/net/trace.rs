//! A record of what was written, in a form that the seed alone decides.
//!
//! Three things are not the driver's to decide: the date in answers of HTTP, the key with which a WebSocket begins (and its echo), and the masks
//! of what a client writes to it. They are blanked out; the frames under the masks are not. None has another length than another.

use sio_driver::Instant;

use super::link::Side;

/// Adds one write to the record.
pub(super) fn record(
    log: &mut Vec<u8>,
    now: Instant,
    link: u64,
    side: Side,
    data: &[u8],
    canon: impl FnOnce(&[u8]) -> Vec<u8>,
) {
    let arrow = if side == Side::Client { '>' } else { '<' };
    log.extend_from_slice(format!("\n{now:?} {link}{arrow} {} ", data.len()).as_bytes());
    log.extend(canon(data));
}

/// Follows the bytes of one direction.
#[derive(Default)]
pub(crate) struct Canon {
    client: bool,
    phase: Phase,
}

#[derive(Default)]
enum Phase {
    #[default]
    Idle,
    /// In a line of a head: what there is of it, what was said in the lines before.
    Head { line: Vec<u8>, body: u64, upgrade: bool },
    /// So much of a body is still to come.
    Body(u64),
    /// In a frame's head: what there is of it.
    Frame(Vec<u8>),
    /// In a frame: the mask, where in it, and how much is still to come.
    Masked { mask: [u8; 4], at: usize, left: u64 },
    /// Nothing to hide.
    Plain,
}

impl Canon {
    pub(crate) fn new(side: Side) -> Self {
        Self { client: side == Side::Client, phase: Phase::Idle }
    }

    /// The bytes, without what is to be blanked out.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes.iter().map(|byte| self.byte(*byte)).collect()
    }

    fn byte(&mut self, byte: u8) -> u8 {
        let phase = std::mem::take(&mut self.phase);
        let (phase, shown) = self.next(phase, byte);
        self.phase = phase;
        shown
    }

    fn next(&self, phase: Phase, byte: u8) -> (Phase, u8) {
        match phase {
            Phase::Idle => self.next(Phase::Head { line: Vec::new(), body: 0, upgrade: false }, byte),
            Phase::Head { line, body, upgrade } => self.head(line, body, upgrade, byte),
            Phase::Body(left) => (if left > 1 { Phase::Body(left - 1) } else { Phase::Idle }, byte),
            Phase::Frame(mut head) => {
                head.push(byte);
                let extended = match head.get(1).map(|length| length & 0x7f) {
                    Some(126) => 2,
                    Some(127) => 8,
                    _ => 0,
                };
                let mask_at = 2 + extended;
                let shown = if head.len() > mask_at { 0 } else { byte };
                if head.len() < mask_at + 4 {
                    return (Phase::Frame(head), shown);
                }
                let length = match extended {
                    0 => u64::from(head[1] & 0x7f),
                    _ => head[2..mask_at].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
                };
                let mask = head[mask_at..].try_into().expect("four bytes");
                let next = if length == 0 {
                    Phase::Frame(Vec::new())
                } else {
                    Phase::Masked { mask, at: 0, left: length }
                };
                (next, shown)
            }
            Phase::Masked { mask, at, left } => {
                let next = if left > 1 {
                    Phase::Masked { mask, at: at + 1, left: left - 1 }
                } else {
                    Phase::Frame(Vec::new())
                };
                (next, byte ^ mask[at % 4])
            }
            Phase::Plain => (Phase::Plain, byte),
        }
    }

    fn head(&self, mut line: Vec<u8>, mut body: u64, mut upgrade: bool, byte: u8) -> (Phase, u8) {
        if byte != b'\n' {
            let secret = [&b"date:"[..], b"sec-websocket-key:", b"sec-websocket-accept:"];
            let blank = byte != b'\r'
                && secret
                    .iter()
                    .any(|name| line.len() >= name.len() && line[..name.len()].eq_ignore_ascii_case(name));
            line.push(byte);
            return (Phase::Head { line, body, upgrade }, if blank { b'*' } else { byte });
        }
        let text = String::from_utf8_lossy(&line).trim().to_ascii_lowercase();
        if let Some(length) = text.strip_prefix("content-length:") {
            body = length.trim().parse().unwrap_or_default();
        }
        upgrade |= text == "upgrade: websocket";
        let next = match (text.is_empty(), upgrade, body) {
            (false, ..) => Phase::Head { line: Vec::new(), body, upgrade },
            (true, true, _) if self.client => Phase::Frame(Vec::new()),
            (true, true, _) => Phase::Plain,
            (true, false, 0) => Phase::Idle,
            (true, false, body) => Phase::Body(body),
        };
        (next, byte)
    }
}
