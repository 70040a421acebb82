//! Requests and the replies to them: written from templates, and checked against templates.

use core::iter;
use std::collections::VecDeque;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::client::{Opcode, WebSocket};
use crate::payload::Record;

/// The first sequence number. All have eight digits, and none begins with a zero, so that one also serves as ack id.
const FIRST: u64 = 10_000_000;
/// How many digits a sequence number has.
const DIGITS: usize = 8;
/// Stands for the sequence number where a template is made.
const MARK: &str = "@@@@@@@@";

/// What a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// A JSON string of so many bytes.
    Text(usize),
    /// A [`Record`].
    Object,
    /// A binary attachment of so many bytes.
    Binary(usize),
}

/// One message with holes where the sequence number goes.
#[derive(Debug)]
struct Template {
    opcode: Opcode,
    pieces: Vec<Vec<u8>>,
}

impl Template {
    fn new(opcode: Opcode, text: &str) -> Self {
        Self { opcode, pieces: text.split(MARK).map(|piece| piece.as_bytes().to_vec()).collect() }
    }

    fn bytes(&self, seq: u64) -> Vec<u8> {
        self.pieces.join(&digits(seq)[..])
    }

    /// The sequence number, if `bytes` are exactly this message.
    fn read(&self, mut bytes: &[u8]) -> Option<u64> {
        let mut digits: Option<&[u8]> = None;
        for (i, piece) in self.pieces.iter().enumerate() {
            if i > 0 {
                let (found, rest) = bytes.split_at_checked(DIGITS)?;
                if digits.is_some_and(|digits| digits != found) {
                    return None;
                }
                digits = Some(found);
                bytes = rest;
            }
            bytes = bytes.strip_prefix(piece.as_slice())?;
        }
        if bytes.is_empty() { core::str::from_utf8(digits?).ok()?.parse().ok() } else { None }
    }

    /// Whether `bytes` are this message in other words: JSON may be written in many ways.
    fn means(&self, bytes: &[u8], seq: u64) -> bool {
        if self.opcode == Opcode::Binary {
            return self.bytes(seq) == bytes;
        }
        parse(&self.bytes(seq)).is_some_and(|expected| Some(expected) == parse(bytes))
    }
}

/// A packet's head and its arguments.
fn parse(packet: &[u8]) -> Option<(&[u8], Value)> {
    let (head, json) = packet.split_at(packet.iter().position(|&byte| byte == b'[')?);
    Some((head, serde_json::from_slice(json).ok()?))
}

/// A kind of request, with what must come back.
#[derive(Debug)]
pub struct Wire {
    request: Vec<Template>,
    reply: Vec<Template>,
}

impl Wire {
    /// An event that comes back as the same event; for a broadcast, that comes to everybody.
    #[must_use]
    pub fn echo(event: &str, body: Body) -> Self {
        let frames = || match body {
            Body::Binary(size) => vec![
                Template::new(
                    Opcode::Text,
                    &format!("451-[\"{event}\",{{\"_placeholder\":true,\"num\":0}}]"),
                ),
                Template::new(Opcode::Binary, &fill(size)),
            ],
            Body::Text(_) | Body::Object => {
                vec![Template::new(Opcode::Text, &format!("42[\"{event}\",{}]", json(body)))]
            }
        };
        Self { request: frames(), reply: frames() }
    }

    /// An event whose acknowledgement carries its argument back.
    #[must_use]
    pub fn ack(event: &str, body: Body) -> Self {
        let json = json(body);
        Self {
            request: vec![Template::new(Opcode::Text, &format!("42{MARK}[\"{event}\",{json}]"))],
            reply: vec![Template::new(Opcode::Text, &format!("43{MARK}[{json}]"))],
        }
    }

    /// The same request to a server that knows nothing but to send back what it gets.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.reply = core::mem::take(&mut self.request);
        self.request =
            self.reply.iter().map(|t| Template { opcode: t.opcode, pieces: t.pieces.clone() }).collect();
        self
    }

    /// Pushes one request.
    pub fn push(&self, socket: &mut WebSocket, seq: u64) {
        let digits = digits(seq);
        for template in &self.request {
            let (first, others) = template.pieces.split_first().map_or((&[][..], &[][..]), |(a, b)| (a, b));
            let others = others.iter().flat_map(|piece| [&digits[..], piece]);
            socket.push(template.opcode, iter::once(first).chain(others));
        }
    }

    /// The request as text, for a polling body.
    ///
    /// # Panics
    /// If the request is binary.
    #[must_use]
    pub fn text(&self, seq: u64) -> String {
        String::from_utf8(self.request[0].bytes(seq)).expect("only text goes by polling")
    }
}

fn digits(mut seq: u64) -> [u8; DIGITS] {
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit += (seq % 10) as u8;
        seq /= 10;
    }
    digits
}

fn fill(size: usize) -> String {
    format!("{MARK}{}", "x".repeat(size.saturating_sub(DIGITS)))
}

fn json(body: Body) -> String {
    match body {
        Body::Text(size) => format!("\"{}\"", fill(size)),
        Body::Object => serde_json::to_string(&Record::sample(MARK)).expect("the sample is JSON"),
        Body::Binary(_) => unreachable!("attachments are frames of their own"),
    }
}

/// How a reply stands to the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The reply has further frames.
    Partial,
    /// The reply to the oldest request, complete.
    InOrder,
    /// The reply to another request, complete.
    OutOfOrder,
}

/// The requests of one connection that are under way.
#[derive(Debug)]
pub struct Pending {
    next: u64,
    waiting: VecDeque<u64>,
    /// Which frame of a reply is due.
    due: usize,
    answered: u64,
}

impl Default for Pending {
    fn default() -> Self {
        Self { next: FIRST, waiting: VecDeque::new(), due: 0, answered: FIRST }
    }
}

impl Pending {
    /// The sequence number for one more request.
    pub fn start(&mut self) -> u64 {
        let seq = self.next;
        self.next += 1;
        self.waiting.push_back(seq);
        seq
    }

    /// Whether every request was answered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Which request was answered last, counted from zero.
    #[must_use]
    pub const fn answered(&self) -> u64 {
        self.answered - FIRST
    }

    /// Checks one frame of a reply.
    ///
    /// # Errors
    /// If it answers none of the requests under way.
    pub fn answer(&mut self, wire: &Wire, opcode: Opcode, bytes: &[u8]) -> Result<Verdict> {
        let template = &wire.reply[self.due];
        let last = self.due + 1 == wire.reply.len();
        if opcode == template.opcode {
            if !last {
                // The head of a binary event: it carries no number, only its meaning counts.
                if template.pieces[0] == bytes || template.means(bytes, FIRST) {
                    self.due += 1;
                    return Ok(Verdict::Partial);
                }
            } else if let Some(place) = self.place(template, bytes) {
                self.due = 0;
                self.answered = self.waiting.remove(place).unwrap_or(FIRST);
                return Ok(if place == 0 { Verdict::InOrder } else { Verdict::OutOfOrder });
            }
        }
        let shown = bytes[..bytes.len().min(120)].escape_ascii();
        bail!("a wrong reply of {} bytes: {shown}", bytes.len())
    }

    /// Which of the waiting requests `bytes` answer.
    fn place(&self, template: &Template, bytes: &[u8]) -> Option<usize> {
        match template.read(bytes) {
            Some(seq) => self.waiting.iter().position(|&waiting| waiting == seq),
            None => self.waiting.iter().position(|&waiting| template.means(bytes, waiting)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(count: usize) -> Pending {
        let mut pending = Pending::default();
        for _ in 0..count {
            pending.start();
        }
        pending
    }

    #[test]
    fn replies_are_matched_by_number() {
        let wire = Wire::echo("echo", Body::Text(12));
        let mut pending = pending(3);
        let mut answer = |text: &str| pending.answer(&wire, Opcode::Text, text.as_bytes()).ok();
        assert_eq!(answer("42[\"echo\",\"10000001xxxx\"]"), Some(Verdict::OutOfOrder));
        assert_eq!(answer("42[\"echo\",\"10000001xxxx\"]"), None, "answered before");
        assert_eq!(answer("42[\"echo\",\"10000000xxxx\"]"), Some(Verdict::InOrder));
        assert_eq!(answer("42[\"echo\",\"10000002xxx\"]"), None, "too short");
        assert_eq!(answer("42[\"echo\",\"10000007xxxx\"]"), None, "never sent");
        assert_eq!(answer("42[\"echo\", \"10000002xxxx\"]"), Some(Verdict::InOrder), "JSON in other words");
    }

    #[test]
    fn acks_carry_their_id() {
        let wire = Wire::ack("ack", Body::Text(8));
        let mut pending = pending(2);
        assert!(pending.answer(&wire, Opcode::Text, b"4310000000[\"10000001\"]").is_err());
        let verdict = pending.answer(&wire, Opcode::Text, b"4310000000[\"10000000\"]");
        assert_eq!(verdict.ok(), Some(Verdict::InOrder));
    }

    #[test]
    fn binary_replies_have_two_frames() {
        let wire = Wire::echo("bin", Body::Binary(10));
        let mut pending = pending(1);
        let head = b"451-[\"bin\",{\"num\":0,\"_placeholder\":true}]";
        assert_eq!(pending.answer(&wire, Opcode::Text, head).ok(), Some(Verdict::Partial));
        assert!(pending.answer(&wire, Opcode::Text, head).is_err());
        assert_eq!(pending.answer(&wire, Opcode::Binary, b"10000000xx").ok(), Some(Verdict::InOrder));
        assert!(pending.is_empty());
    }
}
