//! [`RemoteSocket`]: a client of any server of the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sio_proto::Str;
use sio_proto::cluster::SocketInfo;
use sio_proto::hub::{Room, Scope};
use sio_proto::socket::{Args, EncodeError, Payload};

use super::RemoteEmitWithAck;
use crate::error::EmitError;
use crate::handlers::{Asks, Emits};
use crate::server::{IntoRooms, Namespace, Operator, Socket};

/// What other servers see of the data of sockets.
#[derive(Clone)]
pub(crate) struct Share(Arc<ToJson>);

type ToJson = dyn Fn(&Socket) -> Option<String> + Send + Sync;

impl Share {
    pub(crate) fn of<T: Serialize + Send + Sync + 'static>() -> Self {
        Self(Arc::new(|socket| {
            let data = socket.data::<T>()?;
            let json = serde_json::to_string(&*data);
            json.inspect_err(|error| tracing::warn!(socket = %socket.id(), %error, "data is not shared")).ok()
        }))
    }

    /// JSON; an empty object if there is none, as in JavaScript.
    pub(super) fn data_of(&self, socket: &Socket) -> Str {
        (self.0)(socket).map_or(Str::from_static("{}"), Str::from)
    }
}

/// A client of any server of the cluster, as it was when it was [fetched](Operator::fetch_sockets).
#[derive(Debug, Clone)]
pub struct RemoteSocket {
    namespace: Namespace,
    info: SocketInfo,
}

impl RemoteSocket {
    pub(crate) fn new(namespace: Namespace, info: SocketInfo) -> Self {
        Self { namespace, info }
    }

    /// The public id.
    #[must_use]
    pub fn id(&self) -> &Str {
        &self.info.id
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The rooms that it was in.
    #[must_use]
    pub fn rooms(&self) -> &[Room] {
        &self.info.rooms
    }

    /// What was known about it from the request that opened its session.
    ///
    /// # Errors
    /// If its server says something odd.
    pub fn handshake(&self) -> Result<RemoteHandshake, serde_json::Error> {
        serde_json::from_str(&self.info.handshake)
    }

    /// What its server shares of the socket's data, as `T`: see
    /// [`share_socket_data`](crate::ServerBuilder::share_socket_data). If nothing is shared, an empty object.
    ///
    /// # Errors
    /// If it does not parse as `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.info.data)
    }

    /// Sends it an event, wherever it is. Nobody knows whether it arrives.
    ///
    /// # Errors
    /// [`EmitError::Encode`] only.
    pub fn emit<A: Args + ?Sized>(&self, event: impl Emits<A>, args: &A) -> Result<(), EmitError> {
        self.operator().emit(event, args).map(drop)
    }

    /// Sends it an event, wherever it is, and waits for its acknowledgement when awaited: `T` is what it answers, as for
    /// [`Socket::emit_with_ack`].
    ///
    /// ```
    /// # use sio_driver::RemoteSocket;
    /// # async fn ask(socket: &RemoteSocket) -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::time::Duration;
    /// let answer: String = socket.emit_with_ack("question", "?").timeout(Duration::from_secs(5)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn emit_with_ack<T, A: Args + ?Sized>(
        &self,
        event: impl Asks<A, T>,
        args: &A,
    ) -> RemoteEmitWithAck<T> {
        let payload = Payload::from_event(event.as_name(), args).map_err(EncodeError::from);
        RemoteEmitWithAck::new(self.operator(), self.id(), payload.map_err(EmitError::from))
    }

    /// Puts it into a room, or into several.
    pub fn join(&self, room: impl IntoRooms) {
        self.operator().sockets_join(room);
    }

    /// Takes it out of a room, or out of several.
    pub fn leave(&self, room: impl IntoRooms) {
        self.operator().sockets_leave(room);
    }

    /// Sends it away; with `close`, closes its connection.
    pub fn disconnect(&self, close: bool) {
        self.operator().disconnect_sockets(close);
    }

    /// It alone, for the other things that can be done to a selection.
    pub fn operator(&self) -> Operator {
        Operator::new(self.namespace.clone(), Scope::all().to(self.info.id.clone()))
    }
}

/// What a server says of the request that opened a session.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RemoteHandshake {
    /// The request's headers, with names in lower case; a value is a string, or a list of them.
    pub headers: BTreeMap<String, Value>,
    /// When it came, by the server's clock and in its own words.
    pub time: String,
    /// The address of the peer; empty if it is not known.
    pub address: String,
    /// Whether the client named an origin.
    pub xdomain: bool,
    /// Whether it came over TLS.
    pub secure: bool,
    /// When it came: milliseconds since 1970, by the server's clock.
    pub issued: u64,
    /// Path and query.
    pub url: String,
    /// The query's parameters; a value is a string, or a list of them.
    pub query: BTreeMap<String, Value>,
    /// What the client sent as `auth`.
    pub auth: Value,
}

impl Default for RemoteHandshake {
    fn default() -> Self {
        Self {
            headers: BTreeMap::new(),
            time: String::new(),
            address: String::new(),
            xdomain: false,
            secure: false,
            issued: 0,
            url: String::new(),
            query: BTreeMap::new(),
            auth: Value::Null,
        }
    }
}

/// The object `handshake` of the JavaScript server, as JSON.
pub(super) fn handshake(socket: &Socket) -> Str {
    let handshake = socket.handshake();
    let mut headers: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in &handshake.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        // As Node joins them.
        let separator = if name == http::header::COOKIE { "; " } else { ", " };
        let all = headers.entry(name.as_str()).or_default();
        if !all.is_empty() {
            all.push_str(separator);
        }
        all.push_str(&value);
    }
    let query: BTreeMap<_, _> = handshake.query_params().collect();
    let issued = handshake.issued.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let json = json!({
        "headers": headers,
        "time": http_date(handshake.issued),
        "address": handshake.remote_addr.map(|addr| addr.ip().to_string()).unwrap_or_default(),
        "xdomain": handshake.is_cross_domain(),
        "secure": handshake.secure,
        "issued": u64::try_from(issued).unwrap_or_default(),
        "url": handshake.uri.to_string(),
        "query": query,
        "auth": socket.auth::<Value>().unwrap_or_else(|_| json!({})),
    });
    json.to_string().into()
}

fn http_date(time: SystemTime) -> String {
    httpdate::fmt_http_date(time)
}
