//! What is set for the HTTP front.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Response};
use sio_proto::engine::Cookie;

use super::{Files, RefusedRequest, RequestHead};
use crate::server::{Body, Server, ServerBuilder};

/// HTTP: who is let in, and what is answered.
impl<S: From<Server>> ServerBuilder<S> {
    /// Decides who may open a session; on either transport, and for the handshake only, not for what follows in a session. An error
    /// refuses the client with code 4, status 403, and this message; an empty one is `Forbidden`. A later call replaces the function.
    ///
    /// It comes after the checks of the request itself, but for the protocol's revision. If the client leaves meanwhile, the future is
    /// dropped. A panic refuses the client, and so does [`hook_timeout`](Self::hook_timeout).
    ///
    /// ```no_run
    /// # use std::sync::Arc;
    /// # use sio_driver::{RequestHead, Server, ServerBuilder};
    /// # fn with(builder: ServerBuilder<Server>) -> ServerBuilder<Server> {
    /// builder.allow_request(async |request: Arc<RequestHead>| match request.header("x-api-key") {
    ///     Some("secret") => Ok(()),
    ///     _ => Err("who are you?".to_owned()),
    /// })
    /// # }
    /// ```
    ///
    /// What it finds out it can hand to the sockets of the session:
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use sio_driver::{RequestHead, Server, ServerBuilder, Socket};
    /// # #[derive(Clone)]
    /// # struct Users;
    /// # impl Users { async fn of(&self, _: &str) -> Option<User> { None } }
    /// #[derive(Clone)]
    /// struct User { name: String }
    ///
    /// # fn with(builder: ServerBuilder<Server>) {
    /// let io = builder
    ///     .state(Users)
    ///     .allow_request(async |request: Arc<RequestHead>| {
    ///         let (Some(users), Some(key)) = (request.state::<Users>(), request.header("x-api-key")) else {
    ///             return Err(String::new());
    ///         };
    ///         request.attach(users.of(key).await.ok_or("who are you?")?);
    ///         Ok(())
    ///     })
    ///     .build();
    /// io.of("/").on_connect(async |socket: Socket| {
    ///     if let Some(user) = socket.handshake().extensions.get::<User>() {
    ///         println!("{} is here", user.name);
    ///     }
    /// });
    /// # }
    /// ```
    #[must_use]
    pub fn allow_request<F, Fut>(mut self, allow: F) -> Self
    where
        F: Fn(Arc<RequestHead>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.front.hooks.allow = Some(Box::new(move |request| Box::pin(allow(request))));
        self
    }

    /// Chooses how the ids of sessions begin: with at most 16 characters of `A-Z a-z 0-9 - _`. The rest is random, so that an id stays a
    /// secret and is not used twice. `generateId` in JavaScript. Proxies and logs can tell by it where a session lives; to find clients
    /// again, use rooms or [socket data](crate::Socket::data) instead. Whoever returns more than 8 characters must choose them at
    /// random: who guesses an id has the session. Ids of sockets are not chosen; they are others, and public.
    ///
    /// It is asked after [`allow_request`](Self::allow_request), for each new session. An error, a panic, or text that cannot begin an
    /// id refuses the client with code 3, `ID_GENERATION_ERROR`, and is logged. A later call replaces the function.
    ///
    /// ```
    /// # use sio_driver::{Server, ServerBuilder};
    /// # fn with(builder: ServerBuilder<Server>) -> ServerBuilder<Server> {
    /// builder.generate_id(async |_| Ok("eu-1".to_owned()))
    /// # }
    /// ```
    #[must_use]
    pub fn generate_id<F, Fut>(mut self, generate: F) -> Self
    where
        F: Fn(Arc<RequestHead>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, Box<dyn StdError + Send + Sync>>> + Send + 'static,
    {
        self.front.hooks.generate_id = Some(Box::new(move |request| Box::pin(generate(request))));
        self
    }

    /// Adds a function that sees every request of the server, WebSocket handshakes included, before anything else but CORS preflights
    /// and client files; `engine.use` in JavaScript. An error is the answer. Several run in the order in which they were added.
    ///
    /// A panic refuses the request with code 3. With tower, layers around the server's do this as well.
    #[must_use]
    pub fn on_request<F, Fut>(mut self, pass: F) -> Self
    where
        F: Fn(Arc<RequestHead>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Response<Body>>> + Send + 'static,
    {
        self.front.hooks.request.push(Box::new(move |request| Box::pin(pass(request))));
        self
    }

    /// Adds a function that may change the headers of the answer that opens a session, once for each: of the first poll, or of the
    /// WebSocket handshake. `initial_headers` in JavaScript. Several `Set-Cookie` can be appended.
    #[must_use]
    pub fn on_initial_headers(
        mut self,
        amend: impl Fn(&mut HeaderMap, &RequestHead) + Send + Sync + 'static,
    ) -> Self {
        self.front.hooks.initial_headers.push(Box::new(amend));
        self
    }

    /// Adds a function that may change the headers of every answer, refusals and WebSocket handshakes included, after those of
    /// [`on_initial_headers`](Self::on_initial_headers). `headers` in JavaScript, where refusals are left out.
    #[must_use]
    pub fn on_headers(
        mut self,
        amend: impl Fn(&mut HeaderMap, &RequestHead) + Send + Sync + 'static,
    ) -> Self {
        self.front.hooks.headers.push(Box::new(amend));
        self
    }

    /// Adds a function that is told of each request that the server refuses, once for each; `connection_error` in JavaScript. What
    /// [`on_request`](Self::on_request) answered itself does not count. A WebSocket can be refused
    /// [after its handshake](RefusedRequest::after_handshake) as well.
    #[must_use]
    pub fn on_connection_error(mut self, tell: impl Fn(&RefusedRequest<'_>) + Send + Sync + 'static) -> Self {
        self.front.hooks.connection_error.push(Box::new(tell));
        self
    }

    /// Whether pages of foreign origins are refused, on either transport. Default: yes.
    ///
    /// Browsers let every page open a WebSocket to every server, with the server's cookies. A request with an `Origin` opens a session
    /// only if that is the server's own, which means that it names the same host as `Host` does, or if [`cors`](Self::cors) allows it.
    /// Behind a proxy that changes `Host`, and for applications that are not served by name (`file://`, `capacitor://…`), allow the
    /// origins by `cors`. Other programs send no `Origin`.
    #[must_use]
    pub fn check_origin(mut self, check: bool) -> Self {
        self.engine.check_origin = check;
        self
    }

    /// The cookie that a polling handshake sets, for load balancers that go by cookies: `Cookie::default()` is the reference's
    /// `cookie: true`. Default: none.
    #[must_use]
    pub fn cookie(mut self, cookie: Cookie) -> Self {
        self.engine.cookie = Some(cookie);
        self
    }

    /// From which size on, in bytes, answers to polls are compressed for clients that take gzip or deflate; `None`: never. Default:
    /// 1024. Needs the feature `compression`, which is on by default.
    ///
    /// Over TLS, the length of what is compressed can tell an eavesdropper about secrets in it that stand beside text of an attacker's
    /// choice (BREACH).
    #[must_use]
    pub fn http_compression(mut self, threshold: impl Into<Option<usize>>) -> Self {
        self.engine.http_compression = threshold.into();
        self
    }

    /// Whether the path must be followed by `/`. Default: yes. When off, requests for the bare path are the server's too.
    #[must_use]
    pub fn add_trailing_slash(mut self, add: bool) -> Self {
        self.engine.add_trailing_slash = add;
        self
    }

    /// Serves the bundles of the JavaScript client from a directory, that is `client-dist` of the npm package `socket.io`, under the
    /// server's path: `/socket.io/socket.io.js`. Only the eight names of that package are served. They are read here, once; with `.br`
    /// and `.gz` beside them, if there are any.
    ///
    /// # Errors
    /// If a file cannot be read, or there is none.
    pub fn serve_client(mut self, directory: impl AsRef<Path>) -> io::Result<Self> {
        self.front.files = Files::read(directory.as_ref())?;
        Ok(self)
    }

    /// Most connections at a time; further handshakes are answered with 503. Default: no limit.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.front.gate.limit = Some(connections);
        self
    }

    /// Most connections at a time from one IPv4 address, or from one /64 of IPv6 addresses; further handshakes are answered with 503.
    /// Default: no limit. Behind a proxy all clients have the proxy's address, unless it is told otherwise. Connections whose address is
    /// not known are not counted, which is logged once: other HTTP servers, such as axum's, must be told to say it.
    #[must_use]
    pub fn max_connections_per_address(mut self, connections: usize) -> Self {
        self.front.gate.limit_per_address = Some(connections);
        self
    }

    /// Most network connections at a time, whether or not there is a session on them; further ones are closed as soon as they are accepted,
    /// which is logged as a warning once. `server.maxConnections` of Node. Default: no limit but that of the operating system.
    ///
    /// A client that polls has up to three at times, one with a WebSocket has one; connections between requests and other people's requests
    /// count as well. So allow more than twice [`max_connections`](Self::max_connections). For `listen`, `serve` and `serve_connection`; of
    /// no concern to servers of others, such as axum's.
    #[must_use]
    pub fn max_tcp_connections(mut self, connections: usize) -> Self {
        self.front.slots.limit = Some(connections);
        self
    }

    /// How long a client may take to send the head of a request, and how long a connection may be idle between two. Default: 30 s. Of
    /// no concern to servers of others, such as axum's.
    #[must_use]
    pub fn header_read_timeout(mut self, timeout: Duration) -> Self {
        self.front.timeouts.header_read = timeout;
        self
    }

    /// How long a client may take to send the body of a POST, from when the server reads it; then it is answered with 408, and its
    /// session ends, unless it goes on over a WebSocket. Default: 60 s. Without a WebSocket the session's pings end it sooner, for their
    /// answers cannot come while a body does.
    #[must_use]
    pub fn body_read_timeout(mut self, timeout: Duration) -> Self {
        self.front.timeouts.body_read = timeout;
        self
    }

    /// How long [`on_request`](Self::on_request), [`allow_request`](Self::allow_request) and [`generate_id`](Self::generate_id) may
    /// take for one request, together. Then the future is dropped, which is logged, and the request refused as after a panic. Default: 30 s.
    #[must_use]
    pub fn hook_timeout(mut self, timeout: Duration) -> Self {
        self.front.timeouts.hook = timeout;
        self
    }

    /// How long a client may take nothing of an answer that the network does not hold; its connection is dropped then, also while the
    /// server closes. Each piece that it takes gives it the same time again. Default: 30 s. Over TLS a piece is what rustls keeps, by
    /// default 64 KiB. Not for WebSockets, whose pings do the same, and of no concern to servers of others, such as axum's.
    #[must_use]
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.front.timeouts.write = timeout;
        self
    }
}
