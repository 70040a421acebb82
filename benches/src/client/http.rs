//! HTTP/1.1 requests over one kept-alive connection: what polling and the WebSocket handshake need.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Target;

/// Headers in an answer; no server sends nearly as many.
const MAX_HEADERS: usize = 32;

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

/// How an answer's body ends.
#[derive(Clone, Copy, Debug)]
enum Body {
    Length(usize),
    Chunked,
}

/// A connection that carries requests one after the other.
#[derive(Debug)]
pub struct HttpConnection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl HttpConnection {
    /// Connects.
    ///
    /// # Errors
    /// Those of connecting.
    pub async fn open(target: &Target) -> Result<Self> {
        let stream = TcpStream::connect(target.addr).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends a GET request.
    ///
    /// # Errors
    /// Those of writing.
    pub async fn get(&mut self, target: &Target, query: &str) -> Result<()> {
        let head =
            format!("GET {}?{query} HTTP/1.1\r\nhost: {}\r\naccept: */*\r\n\r\n", target.path, target.addr);
        Ok(self.stream.write_all(head.as_bytes()).await?)
    }

    /// Sends a POST request, head and body in one write.
    ///
    /// # Errors
    /// Those of writing.
    pub async fn post(&mut self, target: &Target, query: &str, body: &[u8]) -> Result<()> {
        let mut request = format!(
            "POST {}?{query} HTTP/1.1\r\nhost: {}\r\naccept: */*\r\ncontent-type: text/plain;charset=UTF-8\r\n\
             content-length: {}\r\n\r\n",
            target.path,
            target.addr,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        Ok(self.stream.write_all(&request).await?)
    }

    /// Waits for the answer to the oldest request.
    ///
    /// # Errors
    /// If the connection ends, or what comes is not HTTP.
    pub async fn response(&mut self) -> Result<Response> {
        let (status, body) = self.head().await?;
        let body = match body {
            Body::Length(length) => {
                while self.received.len() < length {
                    self.fill().await?;
                }
                self.received.drain(..length).collect()
            }
            Body::Chunked => self.chunks().await?,
        };
        Ok(Response { status, body })
    }

    /// Asks for a WebSocket, and gives the connection away once the server has agreed, with what it sent since.
    ///
    /// # Errors
    /// If the server refuses, or the connection ends.
    pub async fn upgrade(mut self, target: &Target, query: &str) -> Result<(TcpStream, Vec<u8>)> {
        let head = format!(
            "GET {}?{query} HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            target.path, target.addr
        );
        self.stream.write_all(head.as_bytes()).await?;
        let (status, _) = self.head().await?;
        ensure!(status == 101, "the server answers {status} to a WebSocket handshake");
        Ok((self.stream, self.received))
    }

    /// Reads the head of an answer and removes it from what was received.
    async fn head(&mut self) -> Result<(u16, Body)> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut response = httparse::Response::new(&mut headers);
            if let httparse::Status::Complete(length) = response.parse(&self.received)? {
                let status = response.code.context("no status")?;
                let mut body = Body::Length(0);
                for header in response.headers {
                    let value = core::str::from_utf8(header.value).unwrap_or_default();
                    if header.name.eq_ignore_ascii_case("content-length") {
                        body = Body::Length(value.trim().parse().context("content-length is no number")?);
                    } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                        ensure!(value.eq_ignore_ascii_case("chunked"), "transfer-encoding {value}");
                        body = Body::Chunked;
                    } else if header.name.eq_ignore_ascii_case("sec-websocket-accept") {
                        // What RFC 6455 §1.3 gives as the answer to the key of `upgrade`.
                        ensure!(value == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "a wrong sec-websocket-accept");
                    }
                }
                self.received.drain(..length);
                return Ok((status, body));
            }
            self.fill().await?;
        }
    }

    async fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            match httparse::parse_chunk_size(&self.received) {
                Ok(httparse::Status::Complete((head, size))) => {
                    let end = head + usize::try_from(size)?;
                    while self.received.len() < end + 2 {
                        self.fill().await?;
                    }
                    body.extend_from_slice(&self.received[head..end]);
                    self.received.drain(..end + 2);
                    if size == 0 {
                        return Ok(body);
                    }
                }
                Ok(httparse::Status::Partial) => self.fill().await?,
                Err(_) => bail!("a body with a broken chunk"),
            }
        }
    }

    async fn fill(&mut self) -> Result<()> {
        self.received.reserve(4096);
        let count = self.stream.read_buf(&mut self.received).await?;
        ensure!(count > 0, "the server closed the connection");
        Ok(())
    }
}
