//! Sessions over WebSocket.

use core::iter;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{Frame, FrameReader, FrameWriter, HttpConnection, Opcode, Target};

/// The close code of a normal end.
const NORMAL: &[u8] = &1000_u16.to_be_bytes();

/// A WebSocket connection. Pings, of Engine.IO and of WebSocket, are answered on the way.
#[derive(Debug)]
pub struct WebSocket {
    stream: TcpStream,
    reader: FrameReader,
    writer: FrameWriter,
}

impl WebSocket {
    /// Opens a WebSocket; `query` goes after the `?`.
    ///
    /// # Errors
    /// If the server cannot be reached or refuses.
    pub async fn open(target: &Target, query: &str) -> Result<Self> {
        let (stream, received) = HttpConnection::open(target).await?.upgrade(target, query).await?;
        Ok(Self { stream, reader: FrameReader::new(received), writer: FrameWriter::default() })
    }

    /// Opens a session: WebSocket, Engine.IO handshake, connection to the main namespace.
    ///
    /// # Errors
    /// If any of these fails.
    pub async fn connect(target: &Target) -> Result<Self> {
        let mut socket = Self::open(target, "EIO=4&transport=websocket").await?;
        socket.expect("0{").await?;
        socket.connect_namespace().await?;
        Ok(socket)
    }

    /// Connects to the main namespace.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn connect_namespace(&mut self) -> Result<()> {
        self.send("40").await?;
        self.expect("40{").await?;
        Ok(())
    }

    /// Joins the room of the broadcasts.
    ///
    /// # Errors
    /// If the server does not acknowledge it.
    pub async fn join(&mut self) -> Result<()> {
        self.send("421[\"join\"]").await?;
        self.expect("431[").await?;
        Ok(())
    }

    /// Disconnects as the JavaScript client does, and waits until the server has closed its side.
    ///
    /// # Errors
    /// If the server sends something else than the end.
    pub async fn disconnect(mut self) -> Result<()> {
        self.push(Opcode::Text, iter::once(&b"41"[..]));
        self.push(Opcode::Close, iter::once(NORMAL));
        self.flush().await?;
        loop {
            while let Some(frame) = self.reader.next_frame()? {
                if frame.opcode == Opcode::Close {
                    return Ok(());
                }
            }
            match self.reader.fill(&mut self.stream).await {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(error.context("while disconnecting")),
            }
        }
    }

    /// Ends the connection without waiting for anything.
    ///
    /// # Errors
    /// Those of writing.
    pub async fn close(mut self) -> Result<()> {
        self.push(Opcode::Close, iter::once(NORMAL));
        self.flush().await
    }

    /// Adds a frame to what the next [`flush`](Self::flush) writes.
    pub fn push<'a>(&mut self, opcode: Opcode, pieces: impl Iterator<Item = &'a [u8]> + Clone) {
        self.writer.push(opcode, pieces);
    }

    /// Writes all that was pushed, at once.
    ///
    /// # Errors
    /// Those of writing.
    pub async fn flush(&mut self) -> Result<()> {
        if !self.writer.is_empty() {
            self.stream.write_all(self.writer.bytes()).await?;
            self.writer.clear();
        }
        Ok(())
    }

    /// Reads once. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// Those of reading, and if the server closed the connection.
    pub async fn fill(&mut self) -> Result<()> {
        ensure!(self.reader.fill(&mut self.stream).await? > 0, "the server closed the connection");
        Ok(())
    }

    /// The next frame that carries a message, among those that were read. Answers to pings are only pushed.
    ///
    /// # Errors
    /// If the server breaks the rules of framing, or closes the WebSocket.
    pub fn next_message(&mut self) -> Result<Option<Frame>> {
        while let Some(frame) = self.reader.next_frame()? {
            let payload = self.reader.payload(&frame);
            match frame.opcode {
                // A noop that had no polling request to release.
                Opcode::Text if payload == b"6" => {}
                Opcode::Text if payload == b"2" => self.writer.push(Opcode::Text, iter::once(&b"3"[..])),
                Opcode::Text | Opcode::Binary => return Ok(Some(frame)),
                Opcode::Ping => self.writer.push(Opcode::Pong, iter::once(payload)),
                Opcode::Pong => {}
                Opcode::Close => {
                    bail!("the server closed the WebSocket: {:?}", payload.escape_ascii().to_string())
                }
            }
        }
        Ok(None)
    }

    /// What a message carries.
    #[must_use]
    pub fn payload(&self, frame: &Frame) -> &[u8] {
        self.reader.payload(frame)
    }

    /// Sends one text message.
    ///
    /// # Errors
    /// Those of writing.
    pub async fn send(&mut self, text: &str) -> Result<()> {
        self.push(Opcode::Text, iter::once(text.as_bytes()));
        self.flush().await
    }

    /// Waits for the next message, which must begin so.
    ///
    /// # Errors
    /// If another message comes, or the connection ends.
    pub async fn expect(&mut self, start: &str) -> Result<String> {
        loop {
            if let Some(frame) = self.next_message()? {
                let text = core::str::from_utf8(self.payload(&frame)).context("binary instead of text")?;
                ensure!(text.starts_with(start), "{start:?} was expected, {text:?} came");
                return Ok(text.to_owned());
            }
            self.flush().await?;
            self.fill().await?;
        }
    }
}
