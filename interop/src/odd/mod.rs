//! A server that does what no Socket.IO server should do, as a test says.
//!
//! [`Odd::start`] takes a function from requests to [`Reply`]s; [`session`] makes one from a script. Everything is counted
//! with its time, so that a test can tell a patient client from one that hammers.

mod frames;

use core::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout},
};

pub use self::frames::{Play, frame};

/// Bound of everything that is waited for.
const LIMIT: Duration = Duration::from_secs(30);

/// What is done with a connection before anything is read from it.
#[derive(Clone, Debug)]
pub enum Accept {
    /// Requests are read and answered.
    Serve,
    /// It is closed.
    Close,
    /// It is reset.
    Reset,
    /// These bytes are written, then it is closed.
    Raw(Vec<u8>),
    /// It is left alone.
    Hang,
}

/// What is done with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// An HTTP answer, after which the connection is kept.
    Http {
        /// The status code.
        status: u16,
        /// Header lines, each ending in CRLF; `Content-Length` is added.
        headers: String,
        /// The body.
        body: Vec<u8>,
    },
    /// These bytes, then the connection is closed.
    Raw(Vec<u8>),
    /// The connection is closed.
    Close,
    /// The connection is reset.
    Reset,
    /// No answer, ever.
    Hang,
    /// Another reply, after so long.
    Later(Duration, Box<Self>),
    /// The request is answered as a WebSocket handshake, and this happens on it. Afterwards it is left open.
    WebSocket(Vec<Play>),
    /// As [`WebSocket`](Self::WebSocket), but the accept key is this.
    WrongKey(String),
}

impl Reply {
    /// 200 with this body, in the type of polling answers.
    #[must_use]
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200, body)
    }

    /// Any status with this body.
    #[must_use]
    pub fn status(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let headers = "Content-Type: text/plain; charset=UTF-8\r\n".to_owned();
        Self::Http { status, headers, body: body.into() }
    }

    /// A redirect.
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::Http { status, headers: format!("Location: {location}\r\n"), body: Vec::new() }
    }
}

/// An open packet: a session that is called `odd`, with these upgrades.
#[must_use]
pub fn open_packet(upgrades: &[&str]) -> String {
    let upgrades = serde_json::json!(upgrades);
    format!(
        r#"0{{"sid":"odd","upgrades":{upgrades},"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}}"#
    )
}

/// The open packet of a WebSocket session, as a thing to do.
#[must_use]
pub fn open() -> Play {
    Play::Text(open_packet(&[]))
}

/// The answers to the requests of a session, by kind: each GET takes the next of `polls`, the first one opens the session;
/// each POST takes the next of `posts`; all WebSockets do the same. A new session begins anew. Polls that nothing was said
/// about are not answered, POSTs are taken.
pub fn session(
    polls: impl Into<Vec<Reply>>,
    posts: impl Into<Vec<Reply>>,
    websocket: Option<Reply>,
) -> impl FnMut(&Request) -> Reply + Send + 'static {
    let (polls, posts) = (polls.into(), posts.into());
    let (mut polled, mut posted) = (0, 0);
    move |request| {
        if request.parameter("transport") == Some("websocket") {
            return websocket.clone().unwrap_or(Reply::Close);
        }
        if request.method == "POST" {
            posted += 1;
            return posts.get(posted - 1).cloned().unwrap_or_else(|| Reply::ok("ok"));
        }
        if request.parameter("sid").is_none() {
            (polled, posted) = (0, 0);
        }
        polled += 1;
        polls.get(polled - 1).cloned().unwrap_or(Reply::Hang)
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Request {
    /// On which connection, counted from 0.
    pub connection: usize,
    /// When its head had come.
    pub at: Instant,
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter of the query, as it came.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

/// Everything that came.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// When connections were made.
    pub connections: Vec<Instant>,
    /// All requests, in the order in which they had been read.
    pub requests: Vec<Request>,
    /// All messages on WebSockets; those that are not text, lossily. A close frame is `close` and its code.
    pub messages: Vec<String>,
}

/// A server that runs until this is dropped.
pub struct Odd {
    addr: SocketAddr,
    seen: Arc<watch::Sender<Seen>>,
    accepting: JoinHandle<()>,
}

type Answer = Box<dyn FnMut(&Request) -> Reply + Send>;

/// What the connections share.
#[derive(Clone)]
struct Shared {
    answer: Arc<Mutex<Answer>>,
    seen: Arc<watch::Sender<Seen>>,
}

impl Odd {
    /// Answers requests.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start(answer: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        Self::accepting(Accept::Serve, answer).await
    }

    /// Treats all connections like this.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn treating(accept: Accept) -> Self {
        Self::accepting(accept, |_| Reply::Close).await
    }

    async fn accepting(accept: Accept, answer: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let seen = Arc::new(watch::Sender::new(Seen::default()));
        let shared = Shared { answer: Arc::new(Mutex::new(Box::new(answer))), seen: Arc::clone(&seen) };
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let mut number = 0;
                shared.seen.send_modify(|seen| {
                    number = seen.connections.len();
                    seen.connections.push(Instant::now());
                });
                let (accept, shared) = (accept.clone(), shared.clone());
                connections.spawn(async move {
                    let _ = connection(stream, accept, number, shared).await;
                });
            }
        });
        Self { addr, seen, accepting }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Everything that came so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until what came is as it should be, and gives it.
    ///
    /// # Panics
    /// After half a minute.
    pub async fn until(&self, condition: impl Fn(&Seen) -> bool) -> Seen {
        let mut receiver = self.seen.subscribe();
        let found =
            timeout(LIMIT, receiver.wait_for(|seen| condition(seen))).await.map(|found| found.is_ok());
        assert_eq!(found, Ok(true), "{:?}", self.seen());
        self.seen()
    }
}

impl Drop for Odd {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn connection(mut stream: TcpStream, accept: Accept, number: usize, shared: Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match accept {
        Accept::Serve => {}
        Accept::Close => return Ok(()),
        Accept::Reset => return reset(stream),
        Accept::Raw(bytes) => return last_words(stream, &bytes).await,
        Accept::Hang => return hang(stream).await,
    }
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer, number).await? {
        let mut reply = {
            let mut answer = shared.answer.lock().unwrap_or_else(PoisonError::into_inner);
            answer(&request)
        };
        let key = request.header("sec-websocket-key").unwrap_or_default().to_owned();
        shared.seen.send_modify(|seen| seen.requests.push(request));
        while let Reply::Later(time, later) = reply {
            sleep(time).await;
            reply = *later;
        }
        match reply {
            Reply::Http { status, headers, body } => {
                let length = body.len();
                let head = format!("HTTP/1.1 {status} Odd\r\n{headers}Content-Length: {length}\r\n\r\n");
                stream.write_all(&[head.as_bytes(), &body].concat()).await?;
            }
            Reply::Raw(bytes) => return last_words(stream, &bytes).await,
            Reply::Close | Reply::Later(..) => return Ok(()),
            Reply::Reset => return reset(stream),
            Reply::Hang => return hang(stream).await,
            Reply::WebSocket(play) => {
                let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
                switch(&mut stream, &accept).await?;
                return frames::play(stream, buffer, play, &shared.seen).await;
            }
            Reply::WrongKey(accept) => {
                switch(&mut stream, &accept).await?;
                return frames::play(stream, buffer, vec![open()], &shared.seen).await;
            }
        }
    }
    Ok(())
}

async fn switch(stream: &mut TcpStream, accept: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await
}

/// Closes without a FIN.
fn reset(stream: TcpStream) -> io::Result<()> {
    stream.set_zero_linger()
}

/// Keeps the connection until the peer ends it.
async fn hang(mut stream: TcpStream) -> io::Result<()> {
    let mut chunk = [0; 1024];
    while stream.read(&mut chunk).await? > 0 {}
    Ok(())
}

/// Closing with something unread would be a reset, in which these bytes could get lost.
async fn last_words(mut stream: TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    hang(stream).await
}

/// Nothing if the peer has ended the connection.
async fn read_request(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    connection: usize,
) -> io::Result<Option<Request>> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let at = Instant::now();
    let head = String::from_utf8_lossy(&buffer.drain(..end + 4).collect::<Vec<_>>()).into_owned();
    let mut lines = head.trim_end().split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Request { connection, at, method, target, headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    request.body = buffer.drain(..length).collect();
    Ok(Some(request))
}
