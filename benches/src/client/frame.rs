//! WebSocket frames (RFC 6455) as a client writes and reads them, with no more than the load needs: no fragments, no
//! extensions.

use core::ops::Range;

use anyhow::{Result, bail, ensure};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// How much is asked for in one read: enough for a full window of the 1 KiB scenarios, so that reading does not tear
/// apart what the server sent together.
const READ: usize = 16 * 1024;

/// A client must mask what it sends; which key it takes makes no difference to what the server has to do.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The kinds of frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A text message.
    Text = 1,
    /// A binary message.
    Binary = 2,
    /// The end, or the answer to it.
    Close = 8,
    /// A question for a sign of life.
    Ping = 9,
    /// The sign of life.
    Pong = 10,
}

impl Opcode {
    fn from_bits(bits: u8) -> Result<Self> {
        Ok(match bits {
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            other => bail!("a frame with opcode {other}: fragments are not supported"),
        })
    }
}

/// A received frame: its payload lies in the [`FrameReader`] until the next [`fill`](FrameReader::fill).
#[derive(Clone, Debug)]
pub struct Frame {
    /// What kind of frame this is.
    pub opcode: Opcode,
    payload: Range<usize>,
}

/// The bytes that were received, and how many of them were taken as frames.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: Vec<u8>,
    taken: usize,
    wanted: usize,
}

impl FrameReader {
    /// A reader that begins with bytes which came together with the handshake.
    #[must_use]
    pub const fn new(buffer: Vec<u8>) -> Self {
        Self { buffer, taken: 0, wanted: 0 }
    }

    /// Reads once from `stream`; the frames taken so far are gone afterwards. Nothing is lost if the future is
    /// dropped. Returns how many bytes came, zero at the end of the stream.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn fill(&mut self, stream: &mut TcpStream) -> Result<usize> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.reserve(READ.max(self.wanted.saturating_sub(self.buffer.len())));
        Ok(stream.read_buf(&mut self.buffer).await?)
    }

    /// The next frame, if all of it is here.
    ///
    /// # Errors
    /// If the server broke the rules of framing.
    pub fn next_frame(&mut self) -> Result<Option<Frame>> {
        let bytes = &self.buffer[self.taken..];
        let &[first, second, ..] = bytes else { return Ok(None) };
        ensure!(first & 0x70 == 0, "a frame with reserved bits, though no extension was agreed on");
        ensure!(first & 0x80 != 0, "a fragment: not supported");
        ensure!(second & 0x80 == 0, "a masked frame from a server");
        let (head, length) = match second {
            126 => match bytes.get(2..4) {
                Some(length) => (4, usize::from(u16::from_be_bytes([length[0], length[1]]))),
                None => return Ok(None),
            },
            127 => match bytes.get(2..10).and_then(|length| length.try_into().ok()) {
                Some(length) => (10, usize::try_from(u64::from_be_bytes(length))?),
                None => return Ok(None),
            },
            length => (2, usize::from(length)),
        };
        self.wanted = head + length;
        if bytes.len() < self.wanted {
            return Ok(None);
        }
        let opcode = Opcode::from_bits(first & 0x0f)?;
        let start = self.taken + head;
        self.taken = start + length;
        self.wanted = 0;
        Ok(Some(Frame { opcode, payload: start..start + length }))
    }

    /// What the frame carries.
    #[must_use]
    pub fn payload(&self, frame: &Frame) -> &[u8] {
        &self.buffer[frame.payload.clone()]
    }
}

/// The frames that wait to be written together.
#[derive(Debug, Default)]
pub struct FrameWriter {
    buffer: Vec<u8>,
}

impl FrameWriter {
    /// Adds one frame, its payload given in pieces.
    pub fn push<'a>(&mut self, opcode: Opcode, pieces: impl Iterator<Item = &'a [u8]> + Clone) {
        let length: usize = pieces.clone().map(<[u8]>::len).sum();
        self.buffer.reserve(14 + length);
        self.buffer.push(0x80 | opcode as u8);
        if let Ok(short @ 0..=125) = u8::try_from(length) {
            self.buffer.push(0x80 | short);
        } else if let Ok(medium) = u16::try_from(length) {
            self.buffer.push(0x80 | 126);
            self.buffer.extend(medium.to_be_bytes());
        } else {
            self.buffer.push(0x80 | 127);
            self.buffer.extend((length as u64).to_be_bytes());
        }
        self.buffer.extend(MASK);
        let start = self.buffer.len();
        for piece in pieces {
            self.buffer.extend_from_slice(piece);
        }
        let mut chunks = self.buffer[start..].chunks_exact_mut(4);
        for chunk in &mut chunks {
            for (byte, mask) in chunk.iter_mut().zip(MASK) {
                *byte ^= mask;
            }
        }
        for (byte, mask) in chunks.into_remainder().iter_mut().zip(MASK) {
            *byte ^= mask;
        }
    }

    /// Whether nothing waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Forgets what was written.
    pub fn clear(&mut self) {
        self.buffer.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_form_are_read() {
        for length in [0_usize, 1, 125, 126, 65_535, 65_536] {
            let mut bytes = vec![0x82];
            match length {
                0..=125 => bytes.push(u8::try_from(length).expect("small")),
                126..=65_535 => {
                    bytes.push(126);
                    bytes.extend(u16::try_from(length).expect("16 bits").to_be_bytes());
                }
                _ => {
                    bytes.push(127);
                    bytes.extend((length as u64).to_be_bytes());
                }
            }
            bytes.extend((0..length).map(|i| i as u8));
            let cut = bytes.len() - 1;
            assert!(FrameReader::new(bytes[..cut].to_vec()).next_frame().expect("no fault").is_none());
            let mut reader = FrameReader::new(bytes);
            let frame = reader.next_frame().expect("no fault").expect("a whole frame");
            assert_eq!(frame.opcode, Opcode::Binary);
            assert!(reader.payload(&frame).iter().enumerate().all(|(i, &byte)| byte == i as u8));
            assert_eq!(reader.payload(&frame).len(), length);
        }
    }

    #[test]
    fn written_frames_are_masked() {
        let mut writer = FrameWriter::default();
        writer.push(Opcode::Text, [&b"4"[..], b"0abcd"].into_iter());
        let bytes = writer.bytes();
        assert_eq!(bytes[..6], [0x81, 0x86, 0x37, 0xfa, 0x21, 0x3d]);
        let plain: Vec<u8> = bytes[6..].iter().zip(MASK.iter().cycle()).map(|(a, b)| a ^ b).collect();
        assert_eq!(plain, b"40abcd");
    }
}
