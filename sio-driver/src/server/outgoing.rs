//! Watching what is sent: [`Socket::on_any_outgoing`].

use std::sync::Arc;

use sio_proto::hub::Scope;
use sio_proto::socket::{Args, Payload};

use crate::handlers::catch;
use crate::server::{Namespace, Socket};

/// Told of every event on its way to a socket.
pub(crate) type Watcher = Arc<dyn Fn(&Socket, &Payload) + Send + Sync>;

impl Socket {
    /// Tells those who watch this socket of an event that it is sent.
    pub(super) fn watch<A: Args + ?Sized>(&self, event: &str, args: &A) {
        if self.namespace().is_watched()
            && let Ok(payload) = Payload::from_event(event, args)
        {
            self.sent(&payload);
        }
    }

    fn sent(&self, payload: &Payload) {
        let own = self.0.own.get().map(|own| own.extra.get());
        let own = own.iter().flat_map(|own| &own.watchers);
        for watcher in self.0.handlers.watchers.iter().chain(own) {
            if let Err(error) = catch(|| watcher(self, payload)) {
                tracing::error!(socket = %self.id(), %error, "in on_any_outgoing");
            }
        }
    }
}

impl Namespace {
    /// Tells those who watch sockets of an event that all these are sent.
    pub(super) fn watch<A: Args + ?Sized>(&self, scope: &Scope, event: &str, args: &A) {
        if self.is_watched()
            && let Ok(payload) = Payload::from_event(event, args)
        {
            self.select(scope).iter().for_each(|socket| socket.sent(&payload));
        }
    }
}
