//! Handlers for what happens to the connection.

use crate::client::socket::ClientSocket;
use crate::handlers::{Erased, Handler};

/// When a handler is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hook {
    Connect,
    ConnectError,
    Disconnect,
    ReconnectAttempt,
    Reconnect,
    ReconnectError,
    ReconnectFailed,
    Upgrade,
}

impl Hook {
    /// What the JavaScript client calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::ConnectError => "connect_error",
            Self::Disconnect => "disconnect",
            Self::ReconnectAttempt => "reconnect_attempt",
            Self::Reconnect => "reconnect",
            Self::ReconnectError => "reconnect_error",
            Self::ReconnectFailed => "reconnect_failed",
            Self::Upgrade => "upgrade",
        }
    }
}

/// The handlers of one socket.
#[derive(Clone, Default)]
pub(crate) struct Hooks(Vec<(Hook, Erased<ClientSocket>)>);

impl Hooks {
    pub(crate) fn add<M>(&mut self, hook: Hook, handler: impl Handler<M, ClientSocket>) {
        self.0.push((hook, Erased::new(handler)));
    }

    pub(crate) fn of(&self, hook: Hook) -> Vec<Erased<ClientSocket>> {
        self.0.iter().filter(|(of, _)| *of == hook).map(|(_, handler)| handler.clone()).collect()
    }
}
