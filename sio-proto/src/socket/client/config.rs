//! Settings of a client's socket.

use core::fmt;
use core::time::Duration;

use crate::Str;

/// Settings of one namespace of a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SocketConfig {
    /// What the client shows when it joins. Default: nothing.
    pub auth: AuthSource,
    /// How many times an event is sent again when its acknowledgement does not come; it is then given up. With this set, events
    /// that are not volatile go out one at a time, each after the one before was acknowledged: at least once, in order. Default:
    /// none, events are sent at most once.
    pub retries: Option<u32>,
    /// How long an acknowledgement may take, for events that name no time of their own. Default: no limit; with
    /// [`retries`](Self::retries) 10 s, because without one a lost acknowledgement would hold up the queue for ever.
    pub ack_timeout: Option<Duration>,
    /// Most bytes of events that are kept while the client is not connected, and in the queue of `retries`; each event counts a few dozen
    /// bytes beside its content. One event is always kept, unless this is 0: nothing is kept then. Default: 16 MiB; the
    /// reference has no limit.
    pub max_send_buffer: usize,
    /// What happens when that is full. Default: [`BufferOverflow::Refuse`].
    pub send_buffer_overflow: BufferOverflow,
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self {
            auth: AuthSource::None,
            retries: None,
            ack_timeout: None,
            max_send_buffer: 16 << 20,
            send_buffer_overflow: BufferOverflow::Refuse,
        }
    }
}

impl SocketConfig {
    pub(super) fn time_for_ack(&self, own: Option<Duration>) -> Option<Duration> {
        let default = self.retries.is_some().then_some(Duration::from_secs(10));
        own.or(self.ack_timeout).or(default)
    }
}

/// Where the `auth` of a client comes from.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum AuthSource {
    /// There is none.
    #[default]
    None,
    /// Always this JSON object.
    Value(Str),
    /// The application is asked at each connection (B144): see [`ClientConnEvent::Authenticate`](super::ClientConnEvent::Authenticate).
    Ask,
}

impl fmt::Debug for AuthSource {
    /// Without the value, which is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Value(_) => "Value",
            Self::Ask => "Ask",
        })
    }
}

/// What happens to events that do not fit into the send buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum BufferOverflow {
    /// The new event is given back.
    #[default]
    Refuse,
    /// The oldest events make room; who waits for their acknowledgement is told [`AckError::Dropped`](crate::socket::AckError::Dropped).
    /// Not with `retries`, where events in the queue are never dropped.
    DropOldest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_not_shown() {
        let auth = AuthSource::Value(r#"{"token":"secret"}"#.into());
        let shown = alloc::format!("{:?}", SocketConfig { auth, ..SocketConfig::default() });
        assert!(shown.contains("Value") && !shown.contains("secret"), "{shown}");
    }
}
