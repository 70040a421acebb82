//! Settings of a client and of its sockets.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sio_proto::client::{Client as Machine, Config};
use sio_proto::engine::{ClientConfig, Transport};
use sio_proto::socket::{Args, BufferOverflow, Codec, ConnectionError, Parser, Payload, SocketConfig};
use sio_proto::{Seed, Str};

#[cfg(feature = "tls")]
use crate::client::Tls;
use crate::client::auth::Auth;
use crate::client::core::{Core, Life};
use crate::client::hooks::{Hook, Hooks};
use crate::client::net::error::NetError;
use crate::client::outgoing::Watchers;
use crate::client::pump::Pump;
use crate::client::requests::{Network, Plan, Requests};
use crate::client::socket::{ClientSocket, SocketInner};
use crate::client::{Client, add_socket};
use crate::error::Error;
use crate::handlers::{EventHandler, EventName, Handler, Live, States, Table};
use crate::runtime::{BoxFuture, Runtime};

/// What every namespace has for itself.
#[derive(Default)]
struct Settings {
    config: SocketConfig,
    auth: Auth,
    table: Table<ClientSocket>,
    hooks: Hooks,
    watchers: Watchers,
}

impl Settings {
    /// The namespace, found or made with these settings.
    fn add(self, life: &Arc<Life>, namespace: &str) -> Result<ClientSocket, String> {
        let Self { mut config, auth, table, hooks, watchers } = self;
        config.auth = auth.source()?;
        let retries = config.retries.is_some();
        let make = |slot, name| {
            SocketInner::new(slot, name, auth, retries, Live::new(table), Live::new(hooks), watchers)
        };
        let inner = add_socket(life, namespace, make, config);
        Ok(ClientSocket { life: life.clone(), inner, answers: None })
    }
}

macro_rules! settings_of_a_socket {
    () => {
        /// What the client shows when it joins the namespace: anything that serialises as a JSON object. Default: nothing.
        #[must_use]
        pub fn auth(mut self, auth: &(impl Serialize + ?Sized)) -> Self {
            self.settings().auth = Auth::value(auth);
            self
        }

        /// As [`auth`](Self::auth), but asked for at each connection: a token may have expired meanwhile. While the answer is awaited, the
        /// connection goes on. An error is reported as [`ConnectionError::Auth`], and ends the attempts.
        #[must_use]
        pub fn auth_with<F, Fut, T>(mut self, auth: F) -> Self
        where
            F: Fn() -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<T, Error>> + Send + 'static,
            T: Serialize,
        {
            self.settings().auth = Auth::ask(auth);
            self
        }

        /// Sends events until the server has acknowledged them, each at most this many times again: at least once, in order, one at a time.
        /// The server must acknowledge every event, for example by a handler that returns a value. Volatile events are not concerned. An event that was given up
        /// is logged, and told to who awaits its acknowledgement. Default: off, events are sent at most once.
        #[must_use]
        pub fn retries(mut self, retries: u32) -> Self {
            self.settings().config.retries = Some(retries);
            self
        }

        /// How long acknowledgements may take, unless the event says otherwise. Default: as long as the socket is connected; with
        /// [`retries`](Self::retries) 10 s.
        #[must_use]
        pub fn ack_timeout(mut self, timeout: Duration) -> Self {
            self.settings().config.ack_timeout = Some(timeout);
            self
        }

        /// Most bytes of events that are kept while the client is not connected, or until it is their turn. 0 keeps none. Default: 16 MiB.
        #[must_use]
        pub fn max_send_buffer(mut self, bytes: usize) -> Self {
            self.settings().config.max_send_buffer = bytes;
            self
        }

        /// What happens to events that do not fit. Default: they are given back.
        #[must_use]
        pub fn send_buffer_overflow(mut self, overflow: BufferOverflow) -> Self {
            self.settings().config.send_buffer_overflow = overflow;
            self
        }

        /// See [`ClientSocket::on`]. Added here, it is there before the first event.
        #[must_use]
        pub fn on<E: EventName, M>(
            mut self,
            event: E,
            handler: impl EventHandler<E, M, ClientSocket>,
        ) -> Self {
            self.settings().table.on(event, handler);
            self
        }

        /// See [`ClientSocket::once`].
        #[must_use]
        pub fn once<E: EventName, M>(
            mut self,
            event: E,
            handler: impl EventHandler<E, M, ClientSocket>,
        ) -> Self {
            self.settings().table.once(event, handler);
            self
        }

        /// See [`ClientSocket::on_any`].
        #[must_use]
        pub fn on_any<M>(mut self, handler: impl Handler<M, ClientSocket>) -> Self {
            self.settings().table.on_any(handler);
            self
        }

        /// See [`ClientSocket::on_any_outgoing`].
        #[must_use]
        pub fn on_any_outgoing(
            mut self,
            watcher: impl Fn(&ClientSocket, &Payload) + Send + Sync + 'static,
        ) -> Self {
            self.settings().watchers.add(watcher);
            self
        }

        /// See [`ClientSocket::on_error`].
        #[must_use]
        pub fn on_error(mut self, handler: impl Fn(&ClientSocket, &Error) + Send + Sync + 'static) -> Self {
            self.settings().table.on_error(handler);
            self
        }

        /// See [`ClientSocket::ack_errors`].
        #[must_use]
        pub fn ack_errors<A: Args>(mut self, answer: impl Fn(&Error) -> A + Send + Sync + 'static) -> Self {
            self.settings().table.ack_errors(answer);
            self
        }

        /// See [`ClientSocket::on_connect`].
        #[must_use]
        pub fn on_connect<M>(mut self, handler: impl Handler<M, ClientSocket>) -> Self {
            self.settings().hooks.add(Hook::Connect, handler);
            self
        }

        /// See [`ClientSocket::on_connect_error`].
        #[must_use]
        pub fn on_connect_error<M>(mut self, handler: impl Handler<M, ClientSocket>) -> Self {
            self.settings().hooks.add(Hook::ConnectError, handler);
            self
        }

        /// See [`ClientSocket::on_disconnect`].
        #[must_use]
        pub fn on_disconnect<M>(mut self, handler: impl Handler<M, ClientSocket>) -> Self {
            self.settings().hooks.add(Hook::Disconnect, handler);
            self
        }
    };
}

/// Settings of one namespace: [`Client::socket_with`].
pub struct SocketBuilder(Settings);

impl fmt::Debug for SocketBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketBuilder").field("auth", &self.0.auth).finish_non_exhaustive()
    }
}

impl SocketBuilder {
    pub(crate) fn new() -> Self {
        Self(Settings::default())
    }

    fn settings(&mut self) -> &mut Settings {
        &mut self.0
    }

    pub(crate) fn add(self, life: &Arc<Life>, namespace: &str) -> Result<ClientSocket, ConnectionError> {
        self.0.add(life, namespace).map_err(|error| ConnectionError::Auth(error.into()))
    }

    settings_of_a_socket!();
}

/// Settings of a client, with the reference's defaults. `C` is the type that is built: the client of the runtime's crate.
pub struct ClientBuilder<C = Client> {
    start: Box<Start>,
    settings: Settings,
    network: Network,
    engine: ClientConfig,
    config: Config,
    auto_connect: bool,
    seed: Option<[u8; 32]>,
    state: States,
    client: PhantomData<fn() -> C>,
}

/// Starts the client's task, which needs the runtime's type.
type Start = dyn FnOnce(Machine, States, Plan) -> Result<Arc<Life>, NetError> + Send + Sync;

impl<C> fmt::Debug for ClientBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl<C: From<Client>> ClientBuilder<C> {
    /// A client on this runtime, for a server at this URL: `http`, `https`, `ws` and `wss` are the same as to what they mean for TLS, and
    /// `http` is assumed where there is none. The URL's path is the namespace, not [`path`](Self::path); its query is sent with
    /// every request (B146).
    #[must_use]
    pub fn new(runtime: impl Runtime, url: impl Into<String>) -> Self {
        let start = move |machine, states, plan| {
            let requests = Requests::new(runtime.clone(), plan)?;
            let core = Arc::new(Core::new(machine, Arc::new(runtime.clone()), states));
            let life = Arc::new(Life(core.clone()));
            let pump = Pump::new(core, Arc::downgrade(&life), runtime.clone(), requests);
            runtime.spawn(pump);
            Ok(life)
        };
        Self {
            start: Box::new(start),
            settings: Settings::default(),
            network: Network::new(url.into()),
            engine: ClientConfig::default(),
            config: Config::default(),
            auto_connect: true,
            seed: None,
            state: States::default(),
            client: PhantomData,
        }
    }

    fn settings(&mut self) -> &mut Settings {
        &mut self.settings
    }

    settings_of_a_socket!();

    /// See [`ClientSocket::on_reconnect_attempt`].
    #[must_use]
    pub fn on_reconnect_attempt<M>(mut self, handler: impl Handler<M, ClientSocket>) -> Self {
        self.settings.hooks.add(Hook::ReconnectAttempt, handler);
        self
    }

    /// See [`ClientSocket::on_reconnect`].
    #[must_use]
    pub fn on_reconnect<M>(mut self, handler: impl Handler<M, ClientSocket>) -> Self {
        self.settings.hooks.add(Hook::Reconnect, handler);
        self
    }

    /// See [`ClientSocket::on_reconnect_error`].
    #[must_use]
    pub fn on_reconnect_error<M>(mut self, handler: impl Handler<M, ClientSocket>) -> Self {
        self.settings.hooks.add(Hook::ReconnectError, handler);
        self
    }

    /// See [`ClientSocket::on_reconnect_failed`].
    #[must_use]
    pub fn on_reconnect_failed<M>(mut self, handler: impl Handler<M, ClientSocket>) -> Self {
        self.settings.hooks.add(Hook::ReconnectFailed, handler);
        self
    }

    /// See [`ClientSocket::on_upgrade`].
    #[must_use]
    pub fn on_upgrade<M>(mut self, handler: impl Handler<M, ClientSocket>) -> Self {
        self.settings.hooks.add(Hook::Upgrade, handler);
        self
    }

    // ---- Transports ---------------------------------------------------------------------------------------------

    /// The transports, in the order in which they are tried. Default: polling, then WebSocket.
    #[must_use]
    pub fn transports(mut self, transports: impl IntoIterator<Item = Transport>) -> Self {
        self.engine.transports = transports.into_iter().collect();
        self
    }

    /// Whether the other transports are tried when the first cannot connect. Default: no.
    #[must_use]
    pub fn try_all_transports(mut self, try_all: bool) -> Self {
        self.engine.try_all_transports = try_all;
        self
    }

    /// Whether a connection that begins with polling moves to WebSocket if the server offers it. Default: yes.
    #[must_use]
    pub fn upgrade(mut self, upgrade: bool) -> Self {
        self.engine.upgrade = upgrade;
        self
    }

    /// Whether a connection begins with WebSocket if the last one could be moved to it. Default: no.
    #[must_use]
    pub fn remember_upgrade(mut self, remember: bool) -> Self {
        self.config.remember_upgrade = remember;
        self
    }

    /// Whether binary data is sent as base64 also over WebSocket, by the server at least. Default: no.
    #[must_use]
    pub fn force_base64(mut self, force: bool) -> Self {
        self.engine.force_base64 = force;
        self
    }

    /// Whether requests carry a random parameter that keeps caches from answering them. Default: with polling only.
    #[must_use]
    pub fn timestamp_requests(mut self, timestamp: bool) -> Self {
        self.engine.timestamp_requests = Some(timestamp);
        self
    }

    /// The name of that parameter. Default: `t`.
    #[must_use]
    pub fn timestamp_param(mut self, name: impl Into<String>) -> Self {
        self.engine.timestamp_param = name.into();
        self
    }

    // ---- Requests -----------------------------------------------------------------------------------------------

    /// The path of all requests, as the server has it. Default: `/socket.io`.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.network.path = path.into();
        self
    }

    /// Whether a slash is added to the path. Default: yes.
    #[must_use]
    pub fn add_trailing_slash(mut self, add: bool) -> Self {
        self.network.trailing_slash = add;
        self
    }

    /// Adds a parameter to the query of every request, after those of the URL.
    #[must_use]
    pub fn query(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.network.query.push((name.as_ref().into(), value.as_ref().into()));
        self
    }

    /// Adds a header to every request, also to those for WebSockets. A name or value that is none is an error of
    /// [`build`](Self::build).
    #[must_use]
    pub fn extra_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.network.headers.push((name.into(), value.into()));
        self
    }

    /// Whether cookies of the server are kept and sent back, as a load balancer with sticky sessions needs it; `withCredentials` in JavaScript. Default: no.
    #[must_use]
    pub fn cookies(mut self, cookies: bool) -> Self {
        self.network.cookies = cookies;
        self
    }

    /// How long one polling request may take. Default: without end, because a poll waits.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.engine.request_timeout = Some(timeout);
        self
    }

    /// The proxy that all connections go through, by CONNECT: `http://host:port` or `https://host:port`, with `user:password@` if it
    /// asks for it. Default: none; the environment is not looked at.
    #[must_use]
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.network.proxy = Some(url.into());
        self
    }

    /// Subprotocols that are offered when a WebSocket is opened; the server must choose one of them. Default: none.
    #[must_use]
    pub fn protocols(mut self, protocols: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.network.protocols = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// How `https` and `wss` servers are to be trusted, and what is shown to them. Default: the roots of Mozilla.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.network.tls = Some(tls);
        self
    }

    // ---- Connecting ---------------------------------------------------------------------------------------------

    /// How long a connection may take to open, with all that belongs to it. Default: 20 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.config.timeout = Some(timeout);
        self
    }

    /// Lets a connection take as long as it will to open.
    #[must_use]
    pub fn no_timeout(mut self) -> Self {
        self.config.timeout = None;
        self
    }

    /// How long a namespace may take to let the client in, before that is reported. Default: 45 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.config.socket.connect_timeout = timeout;
        self
    }

    /// Whether [`build`](Self::build) connects. Default: yes; otherwise [`ClientSocket::connect`] does.
    #[must_use]
    pub fn auto_connect(mut self, auto_connect: bool) -> Self {
        self.auto_connect = auto_connect;
        self
    }

    /// Whether the client connects again when a connection is lost or cannot be made. Default: yes.
    #[must_use]
    pub fn reconnection(mut self, reconnection: bool) -> Self {
        self.config.reconnection = reconnection;
        self
    }

    /// How often it tries, until a namespace lets it in. Default: without end.
    #[must_use]
    pub fn reconnection_attempts(mut self, attempts: u32) -> Self {
        self.config.reconnection_attempts = Some(attempts);
        self
    }

    /// How long it waits before the first attempt; twice as long before each further one. Default: 1 s.
    #[must_use]
    pub fn reconnection_delay(mut self, delay: Duration) -> Self {
        self.config.backoff.delay = delay;
        self
    }

    /// The longest wait. Default: 5 s.
    #[must_use]
    pub fn reconnection_delay_max(mut self, delay: Duration) -> Self {
        self.config.backoff.delay_max = delay;
        self
    }

    /// Which part of the wait is added or taken away at random, from 0 to 1. Default: 0.5.
    #[must_use]
    pub fn randomization_factor(mut self, factor: f64) -> Self {
        self.config.backoff.randomization_factor = factor;
        self
    }

    /// How long closing may take to send what waits. Default: 5 s.
    #[must_use]
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.engine.close_timeout = timeout;
        self
    }

    // ---- Limits -------------------------------------------------------------------------------------------------

    /// Largest message or answer of the server, in bytes. Default: 64 MiB.
    #[must_use]
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.engine.max_message_size = bytes;
        self
    }

    /// Most attachments of one packet from the server. Default: 10.
    #[must_use]
    pub fn max_attachments(mut self, count: usize) -> Self {
        self.config.socket.max_attachments = count;
        self
    }

    /// Most bytes of one packet from the server with its attachments, and of what arrives before the namespace is joined. Default: 64 MiB.
    #[must_use]
    pub fn max_packet_bytes(mut self, bytes: usize) -> Self {
        self.config.socket.max_packet_bytes = bytes;
        self
    }

    /// The form in which packets travel, in place of text with attachments: `Msgpack`, with the feature `msgpack`, or a
    /// [`Parser`] of your own. The server must use the same: one that does not closes the connection at the first packet, and the
    /// client tries again as after any loss.
    #[must_use]
    pub fn parser(mut self, parser: impl Parser + 'static) -> Self {
        self.config.socket.codec = Codec::custom(parser);
        self
    }

    /// Most bytes of events that may wait to be sent while connected. Default: 16 MiB.
    #[must_use]
    pub fn max_outbox(mut self, bytes: usize) -> Self {
        self.config.max_outbox = bytes;
        self
    }

    /// How many events may wait for handlers or for [`recv`](ClientSocket::recv), before nothing more is read; a server that gets no answer to its
    /// pings then ends the connection. Default: 65,536, with 64 MiB at most.
    #[must_use]
    pub fn max_inbox(mut self, events: usize) -> Self {
        self.config.max_inbox = events;
        self
    }

    /// A value for handlers that ask for [`State<T>`](crate::State); one for each type.
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, state: T) -> Self {
        self.state.insert(state);
        self
    }

    /// Where the jitter between attempts and the random parameter of requests come from, for tests and simulations that must be repeatable.
    /// Default: the randomness of the operating system.
    ///
    /// The masks and keys of WebSockets are not concerned.
    #[must_use]
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    // ---- The end ------------------------------------------------------------------------------------------------

    /// The client, which connects in the background. `emit` may be used at once: events wait for the connection.
    ///
    /// # Errors
    /// [`ConnectionError::Settings`] if something that was given cannot be used, such as the URL; [`ConnectionError::Auth`] if the `auth`
    /// is no object.
    ///
    /// # Panics
    /// If the operating system has no randomness to give.
    pub fn build(self) -> Result<C, ConnectionError> {
        self.make().map(C::from)
    }

    /// The client, once it is connected.
    ///
    /// # Errors
    /// The first failure: the client does not go on trying then. For one that does, take [`build`](Self::build).
    pub fn connect(self) -> BoxFuture<Result<C, ConnectionError>>
    where
        C: 'static,
    {
        let client = self.auto_connect(true).make();
        Box::pin(async move {
            let client = client?;
            // Not what has failed since now: the task may have been faster.
            client.connected_after(0).await?;
            Ok(C::from(client))
        })
    }

    fn make(self) -> Result<Client, ConnectionError> {
        let Self { start, settings, network, mut engine, mut config, auto_connect, seed, state, .. } = self;
        let wrong = |what: String| ConnectionError::Settings(Str::from(what));
        if engine.transports.is_empty() {
            return Err(wrong("no transport".into()));
        }
        let plan = network.plan(engine.max_message_size).map_err(wrong)?;
        let namespace = plan.namespace.clone();
        engine.query.clone_from(&plan.query);
        config.engine = Arc::new(engine);
        let seed = seed.unwrap_or_else(|| {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).expect("the operating system gives randomness");
            seed
        });
        // Before the task is started: a client that cannot be made leaves nothing behind.
        let auth = |what: String| ConnectionError::Auth(Str::from(what));
        settings.auth.source().map_err(auth)?;
        let life =
            start(Machine::new(config, Seed(seed)), state, plan).map_err(|error| wrong(error.to_string()))?;
        let socket = settings.add(&life, &namespace).map_err(auth)?;
        if auto_connect {
            socket.connect();
        }
        Ok(Client { socket })
    }
}
