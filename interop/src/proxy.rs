//! A CONNECT proxy that counts its tunnels, and can cut or hold them.

use core::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicUsize, Ordering},
};
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::{TcpListener, TcpStream},
    select,
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use crate::lab::ServerTls;

/// What is varied. The default asks for no password, and speaks no TLS.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Name and password that are asked for.
    pub auth: Option<(&'static str, &'static str)>,
    /// TLS between the client and the proxy.
    pub tls: Option<ServerTls>,
}

/// A proxy that runs until this is dropped.
pub struct Proxy {
    scheme: &'static str,
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    options: Options,
    asked: Mutex<Asked>,
    open: AtomicUsize,
    /// Grows with each cut.
    cuts: watch::Sender<usize>,
    held: watch::Sender<bool>,
}

/// What was asked of the proxy.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The targets of all tunnels that were opened.
    pub tunnels: Vec<String>,
    /// How often name and password were missing or wrong.
    pub unauthorised: usize,
    /// The request lines of everything that was no CONNECT.
    pub others: Vec<String>,
}

impl Proxy {
    /// Without a password.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    /// As the options say.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn with(options: Options) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let tls = options.tls.as_ref().map(|tls| TlsAcceptor::from(tls.config()));
        let shared = Arc::new(Shared {
            options,
            asked: Mutex::default(),
            open: AtomicUsize::new(0),
            cuts: watch::Sender::new(0),
            held: watch::Sender::new(false),
        });
        let scheme = if tls.is_some() { "https" } else { "http" };
        let accepting = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                let mut tunnels = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    let (shared, tls, mut cuts) = (Arc::clone(&shared), tls.clone(), shared.cuts.subscribe());
                    tunnels.spawn(async move {
                        let serve = async {
                            stream.set_nodelay(true)?;
                            match tls {
                                None => tunnel(stream, &shared).await,
                                Some(tls) => tunnel(tls.accept(stream).await?, &shared).await,
                            }
                        };
                        select! {
                            _ = serve => {}
                            _ = cuts.changed() => {}
                        }
                    });
                }
            }
        });
        Self { scheme, addr, shared, accepting }
    }

    /// Where it listens, without a password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.addr)
    }

    /// Where it listens, with this name and password.
    #[must_use]
    pub fn url_as(&self, name: &str, password: &str) -> String {
        format!("{}://{name}:{password}@{}", self.scheme, self.addr)
    }

    /// What was asked so far.
    #[must_use]
    pub fn asked(&self) -> Asked {
        lock(&self.shared.asked).clone()
    }

    /// How many tunnels are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Ends all connections without a word, and says how many tunnels there were.
    pub fn cut(&self) -> usize {
        let open = self.open();
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
        open
    }

    /// Keeps back everything, in both directions, or lets it go on. Nothing gets lost.
    pub fn hold(&self, held: bool) {
        self.shared.held.send_replace(held);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn tunnel<S: AsyncRead + AsyncWrite + Unpin>(mut client: S, shared: &Shared) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        // Byte by byte, as what follows the head belongs to the tunnel.
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.trim_end().split("\r\n");
    let request = lines.next().unwrap_or_default();
    let Some(target) = request.strip_prefix("CONNECT ").and_then(|rest| rest.strip_suffix(" HTTP/1.1"))
    else {
        lock(&shared.asked).others.push(request.to_owned());
        return refuse(client, "405 Method Not Allowed\r\n").await;
    };
    if let Some((name, password)) = shared.options.auth {
        let wanted = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
        let given = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
            name.eq_ignore_ascii_case("proxy-authorization").then(|| value.trim().to_owned())
        });
        if given != Some(wanted) {
            lock(&shared.asked).unauthorised += 1;
            let status = "407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"tests\"\r\n";
            return refuse(client, status).await;
        }
    }
    let Ok(server) = TcpStream::connect(target).await else {
        return refuse(client, "502 Bad Gateway\r\n").await;
    };
    server.set_nodelay(true)?;
    lock(&shared.asked).tunnels.push(target.to_owned());
    let _open = Open::new(&shared.open);
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;

    let ((from_client, to_client), (from_server, to_server)) = (split(client), server.into_split());
    let up = copy(from_client, to_server, shared.held.subscribe());
    let down = copy(from_server, to_client, shared.held.subscribe());
    tokio::try_join!(up, down).map(|_| ())
}

async fn refuse<S: AsyncWrite + Unpin>(mut client: S, status: &str) -> io::Result<()> {
    client
        .write_all(format!("HTTP/1.1 {status}Content-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())
        .await?;
    client.shutdown().await
}

async fn copy<R, W>(mut from: R, mut to: W, mut held: watch::Receiver<bool>) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut chunk = vec![0; 16 << 10];
    let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    loop {
        held.wait_for(|held| !held).await.map_err(gone)?;
        let count = select! {
            count = from.read(&mut chunk) => count?,
            changed = held.changed() => {
                changed.map_err(gone)?;
                continue;
            }
        };
        if count == 0 {
            return to.shutdown().await;
        }
        held.wait_for(|held| !held).await.map_err(gone)?;
        to.write_all(&chunk[..count]).await?;
    }
}

/// Counts one tunnel while it lives.
struct Open<'a>(&'a AtomicUsize);

impl<'a> Open<'a> {
    fn new(open: &'a AtomicUsize) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Self(open)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
