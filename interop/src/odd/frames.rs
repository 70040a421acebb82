//! WebSockets by hand.

use core::time::Duration;
use std::{io, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::sleep,
};

use super::Seen;

/// What happens on a WebSocket.
#[derive(Clone, Debug)]
pub enum Play {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// These bytes, as they are; [`frame`] makes some.
    Raw(Vec<u8>),
    /// A message is waited for.
    Receive,
    /// A close frame with this code; 0 is one without a code.
    Close(u16),
    /// The connection is closed.
    Drop,
    /// The connection is reset.
    Reset,
    /// Nothing, for so long.
    Wait(Duration),
}

/// A server's frame: the first byte as given (FIN, RSV, opcode), then the length and the payload.
#[must_use]
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(length as u8),
        length @ 126..=0xffff => {
            bytes.push(126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

pub(super) async fn play(
    mut stream: TcpStream,
    mut buffer: Vec<u8>,
    plays: Vec<Play>,
    seen: &Arc<watch::Sender<Seen>>,
) -> io::Result<()> {
    for play in plays {
        let bytes = match play {
            Play::Text(text) => frame(0x81, text.as_bytes()),
            Play::Binary(bytes) => frame(0x82, &bytes),
            Play::Raw(bytes) => bytes,
            Play::Receive => {
                if !receive(&mut stream, &mut buffer, seen).await? {
                    return Ok(());
                }
                continue;
            }
            Play::Close(0) => frame(0x88, b""),
            Play::Close(code) => frame(0x88, &code.to_be_bytes()),
            Play::Drop => return Ok(()),
            Play::Reset => return stream.set_zero_linger(),
            Play::Wait(time) => {
                sleep(time).await;
                continue;
            }
        };
        stream.write_all(&bytes).await?;
    }
    while receive(&mut stream, &mut buffer, seen).await? {}
    Ok(())
}

/// Records the next message. False at the end.
async fn receive(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    seen: &Arc<watch::Sender<Seen>>,
) -> io::Result<bool> {
    loop {
        let Some((opcode, payload)) = read_frame(stream, buffer).await? else { return Ok(false) };
        let text = match opcode {
            8 => {
                let code = payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code));
                format!("close {code}")
            }
            9 | 10 => continue,
            _ => String::from_utf8_lossy(&payload).into_owned(),
        };
        seen.send_modify(|seen| seen.messages.push(text));
        return Ok(opcode != 8);
    }
}

/// A client's frame.
async fn read_frame(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<(u8, Vec<u8>)>> {
    let Some(head) = take(stream, buffer, 2).await? else { return Ok(None) };
    let length = match head[1] & 0x7f {
        126 => take(stream, buffer, 2).await?,
        127 => take(stream, buffer, 8).await?,
        short => Some(vec![short]),
    };
    let Some(length) = length else { return Ok(None) };
    let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let Some(mask) = take(stream, buffer, if head[1] & 0x80 == 0 { 0 } else { 4 }).await? else {
        return Ok(None);
    };
    let Some(mut payload) = take(stream, buffer, length).await? else { return Ok(None) };
    if !mask.is_empty() {
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    }
    Ok(Some((head[0] & 0x0f, payload)))
}

async fn take(stream: &mut TcpStream, buffer: &mut Vec<u8>, count: usize) -> io::Result<Option<Vec<u8>>> {
    while buffer.len() < count {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(buffer.drain(..count).collect()))
}
