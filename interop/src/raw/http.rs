//! An HTTP/1.1 client that sends exactly the bytes it is given, and never waits longer than [`LIMIT`].

use core::{fmt, net::SocketAddr, time::Duration};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

/// How long a read or a write may take.
pub const LIMIT: Duration = Duration::from_secs(5);

/// One connection.
pub struct Http {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer.
#[derive(PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, without its framing.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        core::str::from_utf8(&self.body).expect("a body in UTF-8")
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?}", self.status, self.headers, String::from_utf8_lossy(&self.body))
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The server closed it.
    Closed,
    /// The server reset it.
    Reset,
}

impl Http {
    /// Connects.
    ///
    /// # Panics
    /// If nobody listens.
    #[must_use]
    pub fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&addr, LIMIT).expect("the server accepts");
        stream.set_read_timeout(Some(LIMIT)).expect("a read timeout");
        stream.set_write_timeout(Some(LIMIT)).expect("a write timeout");
        stream.set_nodelay(true).expect("nodelay");
        Self { stream, buffer: Vec::new() }
    }

    /// Sends bytes as they are. A server that has closed already is no failure: the answer is what matters.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Sends a request with these extra header lines (each ending in CRLF) and this body.
    pub fn request(&mut self, method: &str, target: &str, headers: &str, body: &[u8]) {
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{length}{headers}\r\n");
        self.send([head.as_bytes(), body].concat());
    }

    /// Reads an answer.
    ///
    /// # Panics
    /// If there is none in time, or it is not HTTP.
    #[must_use]
    pub fn response(&mut self) -> Response {
        self.try_response(false).unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// Reads an answer to HEAD, which has no body.
    ///
    /// # Panics
    /// If there is none in time, or it is not HTTP.
    #[must_use]
    pub fn head_response(&mut self) -> Response {
        self.try_response(true).unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// Reads an answer, or says why there is none.
    ///
    /// # Errors
    /// The connection ended, or the time did.
    ///
    /// # Panics
    /// If the answer is not HTTP.
    pub fn try_response(&mut self, head_only: bool) -> io::Result<Response> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            self.fill()?;
        };
        let head = String::from_utf8(self.buffer.drain(..end + 4).collect()).expect("a head in UTF-8");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap_or_default();
        let status = status.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no HTTP/1.1 answer: {head:?}"));
        let headers: Vec<_> = lines
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no header: {line:?}"));
                (name.to_ascii_lowercase(), value.trim().to_owned())
            })
            .collect();
        let mut response = Response { status, headers, body: Vec::new() };
        if head_only || status == 101 || status == 204 || status == 304 {
            return Ok(response);
        }
        if response.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            loop {
                let line = self.line()?;
                let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16);
                let size = size.unwrap_or_else(|_| panic!("no chunk size: {line:?}"));
                let chunk = self.take(size)?;
                response.body.extend_from_slice(&chunk);
                assert_eq!(self.take(2)?, b"\r\n", "end of a chunk");
                if size == 0 {
                    return Ok(response);
                }
            }
        }
        if let Some(length) = response.header("content-length") {
            let length = length.parse().expect("a length");
            response.body = self.take(length)?;
        } else {
            while self.fill().is_ok() {}
            response.body = core::mem::take(&mut self.buffer);
        }
        Ok(response)
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.fill()?;
        }
    }

    fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            self.fill()?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.buffer.extend_from_slice(&chunk[..count]);
                Ok(())
            }
        }
    }

    /// Reads to the end and tells how it came.
    ///
    /// # Panics
    /// If the server keeps the connection.
    #[must_use]
    pub fn end(&mut self) -> End {
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::UnexpectedEof => return End::Closed,
                    io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => return End::Reset,
                    _ => panic!("the server keeps the connection: {error}"),
                },
            }
        }
    }

    /// Whether nothing arrives for this long.
    #[must_use]
    pub fn is_silent(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).expect("a read timeout");
        let result = self.fill();
        self.stream.set_read_timeout(Some(LIMIT)).expect("a read timeout");
        result.is_err_and(|error| matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
    }

    /// Gives up the stream, and what was read of it beyond the last answer.
    #[must_use]
    pub fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.buffer)
    }
}

/// One request on a connection of its own.
#[must_use]
pub fn fetch(addr: SocketAddr, method: &str, target: &str, headers: &str, body: &[u8]) -> Response {
    let mut http = Http::connect(addr);
    http.request(method, target, headers, body);
    if method == "HEAD" { http.head_response() } else { http.response() }
}
