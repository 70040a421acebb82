//! The two servers that the tests run against, behind one handle.

use core::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{
    collections::HashMap,
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, OnceLock, PoisonError, mpsc},
    thread::{self, JoinHandle},
};

use crate::{app::App, node};

/// What the tests vary of the server's options. The default is the reference's default.
#[derive(Debug, Clone)]
pub struct Config {
    /// Time between two pings.
    pub ping_interval: Duration,
    /// How long a pong is waited for.
    pub ping_timeout: Duration,
    /// How long a probe of the WebSocket may take.
    pub upgrade_timeout: Duration,
    /// How long a connection may be without a namespace.
    pub connect_timeout: Duration,
    /// Limit of a request body and of a WebSocket message, in bytes.
    pub max_http_buffer_size: usize,
    /// The one origin that CORS headers admit; none means no CORS at all.
    pub cors_origin: Option<&'static str>,
    /// Connection state recovery.
    pub recovery: bool,
    /// Whether clients of Socket.IO 2 are served, and JSONP.
    pub allow_eio3: bool,
    /// Packets are MessagePack.
    pub msgpack: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(45),
            max_http_buffer_size: 1_000_000,
            cors_origin: None,
            recovery: false,
            allow_eio3: false,
            msgpack: false,
        }
    }
}

/// The sets of options in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// The defaults.
    Default,
    /// Heartbeats within a second, for `heartbeat.test.js` and the raw cases about timeouts.
    Quick,
    /// CORS for `http://friend.example`.
    Cors,
    /// Connection state recovery.
    Recovery,
    /// Clients of Socket.IO 2.
    Eio3,
    /// The same, with heartbeats within a second.
    Eio3Quick,
    /// MessagePack.
    Msgpack,
    /// MessagePack, with connection state recovery.
    MsgpackRecovery,
    /// MessagePack, also for clients of Socket.IO 2.
    MsgpackEio3,
}

impl Profile {
    /// The options of this profile.
    #[must_use]
    pub fn config(self) -> Config {
        let config = Config::default();
        match self {
            Self::Default => config,
            Self::Quick => Config {
                ping_interval: Duration::from_millis(300),
                // Long enough for a busy machine.
                ping_timeout: Duration::from_millis(600),
                upgrade_timeout: Duration::from_millis(300),
                connect_timeout: Duration::from_millis(400),
                ..config
            },
            Self::Eio3 => Config { allow_eio3: true, ..config },
            Self::Eio3Quick => Config { allow_eio3: true, ..Self::Quick.config() },
            Self::Cors => Config { cors_origin: Some("http://friend.example"), ..config },
            Self::Recovery => Config { recovery: true, ..config },
            Self::Msgpack => Config { msgpack: true, ..config },
            Self::MsgpackRecovery => Config { msgpack: true, ..Self::Recovery.config() },
            Self::MsgpackEio3 => Config { msgpack: true, ..Self::Eio3.config() },
        }
    }
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Our server, in this process.
    Ours,
    /// `js/reference-server.js`, a child process.
    Reference,
}

/// A server that runs until this is dropped.
pub struct Target {
    /// Which of the two.
    pub kind: Kind,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Where it takes the commands `stop` and `start`, each answered with `ok`.
    pub control: SocketAddr,
    _running: Running,
}

enum Running {
    Ours { _control: Control },
    Reference { _child: KillOnDrop },
}

impl Target {
    /// Starts a server on a free port.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(kind: Kind, profile: Profile) -> Self {
        match kind {
            Kind::Ours => Self::ours(profile.config()),
            Kind::Reference => Self::reference(&profile.config()),
        }
    }

    /// One server of the reference for all callers with this profile. It ends with this process.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn shared_reference(profile: Profile) -> Arc<Self> {
        static SHARED: OnceLock<Mutex<HashMap<Profile, Arc<Target>>>> = OnceLock::new();
        let mut shared = SHARED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = shared.get(&profile).filter(|target| target.is_running()) {
            return Arc::clone(target);
        }
        let target = Arc::new(Self::start(Kind::Reference, profile));
        shared.insert(profile, Arc::clone(&target));
        target
    }

    /// Whether somebody still accepts connections: a case may have crashed the reference.
    fn is_running(&self) -> bool {
        TcpStream::connect_timeout(&self.addr, Duration::from_secs(5)).is_ok()
    }

    fn ours(config: Config) -> Self {
        let app = App::start(&config, 0).expect("our server starts");
        let addr = app.addr();
        let control = Control::spawn(app, config).expect("the control port opens");
        Self { kind: Kind::Ours, addr, control: control.addr, _running: Running::Ours { _control: control } }
    }

    fn reference(config: &Config) -> Self {
        node::install();
        let options = serde_json::json!({
            "pingInterval": config.ping_interval.as_millis() as u64,
            "pingTimeout": config.ping_timeout.as_millis() as u64,
            "upgradeTimeout": config.upgrade_timeout.as_millis() as u64,
            "connectTimeout": config.connect_timeout.as_millis() as u64,
            "maxHttpBufferSize": config.max_http_buffer_size,
            "corsOrigin": config.cors_origin,
            "recovery": config.recovery,
            "allowEIO3": config.allow_eio3,
            "msgpack": config.msgpack,
        });
        let child = Command::new(node::node())
            .arg("reference-server.js")
            .current_dir(node::js_dir())
            .env("SIO_CONFIG", options.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the reference server starts");
        let mut child = KillOnDrop(child);
        let lines = child.lines();
        let addr = expect_line(&lines, "listening on http://");
        let control = expect_line(&lines, "control ");
        Self { kind: Kind::Reference, addr, control, _running: Running::Reference { _child: child } }
    }
}

/// The address behind `prefix` in the next line that a server prints.
///
/// # Panics
/// If the line does not come in time, or is another one.
#[must_use]
pub fn expect_line(lines: &mpsc::Receiver<String>, prefix: &str) -> SocketAddr {
    let line =
        lines.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| panic!("no line \"{prefix}...\""));
    let rest = line.strip_prefix(prefix).unwrap_or_else(|| panic!("\"{line}\" instead of \"{prefix}...\""));
    rest.parse().unwrap_or_else(|_| panic!("no address in \"{line}\""))
}

/// A child process that does not outlive its handle.
pub struct KillOnDrop(pub Child);

impl KillOnDrop {
    /// The lines that it prints, read by a thread so that waiting for one can have a bound.
    ///
    /// # Panics
    /// If its output was not piped.
    pub fn lines(&mut self) -> mpsc::Receiver<String> {
        let stdout = BufReader::new(self.0.stdout.take().expect("a piped stdout"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // Nobody listening is no reason to stop reading: the child must not block on a full pipe.
                let _ = sender.send(line);
            }
        });
        lines
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Stops and starts our server on command, as `reference-server.js` does for itself.
struct Control {
    addr: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    fn spawn(app: App, config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        let ended = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            let port = app.addr().port();
            let mut app = Some(app);
            for stream in listener.incoming() {
                if seen.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                if let Err(error) = obey(stream, &mut app, &config, port) {
                    eprintln!("control: {error}");
                }
            }
            if let Some(app) = app {
                app.stop();
            }
        });
        Ok(Self { addr, ended, thread: Some(thread) })
    }
}

fn obey(stream: TcpStream, app: &mut Option<App>, config: &Config, port: u16) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    match line.trim_end() {
        "stop" => {
            if let Some(app) = app.take() {
                app.stop();
            }
        }
        "start" if app.is_none() => *app = Some(App::start(config, port)?),
        other => return Err(io::Error::other(format!("unknown command \"{other}\""))),
    }
    (&stream).write_all(b"ok\n")
}

impl Drop for Control {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread from `accept`.
        let _ = TcpStream::connect(self.addr);
        if let Some(thread) = self.thread.take() {
            let stopped = thread.join().is_ok();
            assert!(stopped || thread::panicking(), "the server does not stop");
        }
    }
}
