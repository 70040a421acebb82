//! Sessions over HTTP long polling.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{HttpConnection, Target, WebSocket};

/// What stands between the packets of one body.
pub const SEPARATOR: &str = "\x1e";

/// A polling session: one connection for the GETs, one for the POSTs, as a browser does it.
#[derive(Debug)]
pub struct Polling {
    target: Target,
    query: String,
    sid: String,
    get: HttpConnection,
    post: Option<HttpConnection>,
    /// Whether a ping waits for its answer.
    pinged: bool,
}

impl Polling {
    /// Opens an Engine.IO session.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn open(target: &Target) -> Result<Self> {
        let mut get = HttpConnection::open(target).await?;
        get.get(target, "EIO=4&transport=polling").await?;
        let answer = get.response().await?;
        ensure!(answer.status == 200, "the server answers {} to a handshake", answer.status);
        let json = answer.body.strip_prefix(b"0").context("no handshake packet")?;
        let handshake: Value = serde_json::from_slice(json).context("the handshake is not JSON")?;
        let sid = handshake["sid"].as_str().context("no session id")?.to_owned();
        let query = format!("EIO=4&transport=polling&sid={sid}");
        Ok(Self { target: target.clone(), query, sid, get, post: None, pinged: false })
    }

    /// Opens a session and connects to the main namespace.
    ///
    /// # Errors
    /// If either fails.
    pub async fn connect(target: &Target) -> Result<Self> {
        let mut session = Self::open(target).await?;
        session.send("40").await?;
        loop {
            session.poll().await?;
            if let Some(answer) = session.polled().await?.first() {
                ensure!(answer.starts_with("40{"), "a namespace was expected, {answer:?} came");
                return Ok(session);
            }
        }
    }

    /// Sends packets, and the answer to a ping, and waits until the server has taken them.
    ///
    /// # Errors
    /// If the server does not answer `ok`.
    pub async fn send(&mut self, body: &str) -> Result<()> {
        let post = match &mut self.post {
            Some(post) => post,
            none => none.insert(HttpConnection::open(&self.target).await?),
        };
        let answered = core::mem::take(&mut self.pinged).then(|| format!("3{SEPARATOR}{body}"));
        let body = answered.as_deref().unwrap_or(body);
        post.post(&self.target, &self.query, body.as_bytes()).await?;
        let answer = post.response().await?;
        ensure!(
            answer.status == 200 && answer.body == b"ok",
            "the server answers {} to a POST",
            answer.status
        );
        Ok(())
    }

    /// Asks for packets.
    ///
    /// # Errors
    /// Those of writing.
    pub async fn poll(&mut self) -> Result<()> {
        self.get.get(&self.target, &self.query).await
    }

    /// Waits for the packets that were asked for. Pings are not among them; the next [`send`](Self::send) answers.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn polled(&mut self) -> Result<Vec<String>> {
        let answer = self.get.response().await?;
        let body = String::from_utf8(answer.body)?;
        ensure!(answer.status == 200, "the server answers {} to a GET: {body}", answer.status);
        let mut packets: Vec<String> = body.split(SEPARATOR).map(str::to_owned).collect();
        packets.retain(|packet| packet != "2");
        self.pinged |= body.split(SEPARATOR).any(|packet| packet == "2");
        Ok(packets)
    }

    /// Upgrades to WebSocket, with a GET pending meanwhile as in a browser. A server releases that GET with a noop, or
    /// had answered it before with a ping.
    ///
    /// # Errors
    /// If the server does not go along.
    pub async fn upgrade(mut self) -> Result<WebSocket> {
        self.poll().await?;
        let query = format!("EIO=4&transport=websocket&sid={}", self.sid);
        let mut socket = WebSocket::open(&self.target, &query).await?;
        socket.send("2probe").await?;
        socket.expect("3probe").await?;
        let released = self.polled().await?;
        ensure!(released.iter().all(|packet| packet == "6"), "a noop was expected, {released:?} came");
        socket.send("5").await?;
        if self.pinged {
            socket.send("3").await?;
        }
        Ok(socket)
    }

    /// Ends the session.
    ///
    /// # Errors
    /// If the server does not answer `ok`.
    pub async fn close(mut self) -> Result<()> {
        self.send("1").await
    }
}
