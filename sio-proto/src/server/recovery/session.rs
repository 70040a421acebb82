//! A session, while its client is there, while it is away, and on its way to another connection.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;

use super::rooms::Changes;
use crate::engine::Encoded;
use crate::hub::{NamespaceId, Offset, RecoveryLog, Room};
use crate::{Instant, Pid, SocketId, Str};

/// Longest offset that is taken for one, in bytes. Ours have at most 19; official clients may show any string (B131).
const MAX_OFFSET: usize = 128;

/// A client's wish to have its session recovered, from its CONNECT.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RecoveryRequest {
    /// The session's secret id.
    pub pid: Pid,
    /// The last event that the client has seen; `None` if it has seen none since it got the `pid`.
    pub offset: Option<Str>,
}

impl RecoveryRequest {
    /// Finds it in a CONNECT's data. What else is in there does not matter.
    pub(in crate::server) fn find(auth: &str) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Auth<'a> {
            #[serde(borrow)]
            pid: alloc::borrow::Cow<'a, str>,
            #[serde(borrow, default)]
            offset: Option<alloc::borrow::Cow<'a, str>>,
        }
        let Auth { pid, offset } = serde_json::from_str(auth).ok()?;
        let too_long = offset.as_ref().is_some_and(|offset| offset.len() > MAX_OFFSET);
        let pid = pid.parse().ok().filter(|_| !too_long)?;
        Some(Self { pid, offset: offset.map(|offset| Str::from(&*offset)) })
    }
}

/// Something that the owner keeps for a session.
#[derive(Clone)]
pub struct Kept(pub Arc<dyn Any + Send + Sync>);

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept(..)")
    }
}

/// A session that was taken from the connection, or the shard, where it was: to be given to a new socket by
/// [`resume`](crate::server::Server::resume). Dropping it ends the session.
#[derive(Debug)]
#[must_use = "dropping it ends the session"]
pub struct Session {
    pub(super) pid: Pid,
    pub(super) id: SocketId,
    pub(super) namespace: NamespaceId,
    pub(super) rooms: Vec<Room>,
    /// What its client has seen, as the client says.
    pub(super) anchor: Option<Str>,
    /// The events after that.
    pub(super) missed: Vec<(Offset, Encoded)>,
    pub(super) takeovers: u32,
    pub(super) kept: Option<Kept>,
}

impl Session {
    /// The public id of the socket that it was, and will be.
    #[must_use]
    pub fn id(&self) -> SocketId {
        self.id
    }

    /// How many events its client has missed.
    #[must_use]
    pub fn missed(&self) -> usize {
        self.missed.len()
    }
}

/// What events take that are kept for one session.
pub(super) fn weight(events: &[(Offset, Encoded)]) -> usize {
    events.iter().map(|(_, packet)| packet.len() + size_of::<(Offset, Encoded)>()).sum()
}

/// What has been sent to the client of a session, and may be asked for again.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) pid: Pid,
    /// What the client had seen when this stream began, as it said; `None` for a new session.
    pub(super) anchor: Option<Str>,
    /// What it was sent first: events of an earlier connection.
    pub(super) carried: Vec<(Offset, Encoded)>,
    /// Whether those are still there. They go when they have arrived, or for want of room.
    pub(super) from_anchor: bool,
    /// Whether they went before it was certain that they had arrived.
    pub(super) pruned: bool,
    /// Its place among those that carry something.
    pub(super) laden: Option<Laden>,
    /// When the client was let in and sent what it had missed.
    pub(super) welcomed: Option<Instant>,
    /// Then what the log has from this position on.
    pub(super) since: u64,
    /// When the last event was sent, and which it was.
    pub(super) last: Option<(Offset, Instant)>,
    pub(super) changes: Changes,
    /// How often it was taken from a connection that seemed to live, since what was sent has arrived for certain.
    pub(super) takeovers: u32,
    pub(super) kept: Option<Kept>,
    /// Whether it is the stream of an earlier socket too.
    pub(super) recovered: bool,
}

/// Whether its client is there, and since when; or until when it is awaited.
pub(super) type Laden = (bool, Instant);

impl Stream {
    pub(super) fn new(pid: Pid, since: u64) -> Self {
        Self {
            pid,
            anchor: None,
            carried: Vec::new(),
            from_anchor: true,
            pruned: false,
            laden: None,
            welcomed: None,
            since,
            last: None,
            changes: Changes::default(),
            takeovers: 0,
            kept: None,
            recovered: false,
        }
    }
}

/// A stream whose connection is lost.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) stream: Stream,
    pub(super) id: SocketId,
    pub(super) namespace: NamespaceId,
    pub(super) rooms: Vec<Room>,
    /// The end of the log when the connection was lost.
    pub(super) end: u64,
    /// Events sent before this time have arrived: see [`ServerSession::confirmed`](crate::engine::ServerSession::confirmed).
    pub(super) arrived: Option<Instant>,
    pub(super) until: Instant,
}

impl Lost {
    /// What the client has missed, if it has seen the events up to `offset`. `None` if that cannot be said for certain: then it
    /// must begin anew. A session that is recovered has lost nothing. `None`, too, if it is more than `max` bytes.
    pub(super) fn missed(
        &self,
        offset: Option<&Str>,
        log: &RecoveryLog,
        max: usize,
    ) -> Option<Vec<(Offset, Encoded)>> {
        self.after(offset, log, max).filter(|missed| weight(missed) <= max)
    }

    fn after(&self, offset: Option<&Str>, log: &RecoveryLog, max: usize) -> Option<Vec<(Offset, Encoded)>> {
        let Self { stream, arrived, end, .. } = self;
        let logged = |from: u64| {
            let (events, certain) = stream.changes.replay(log, from, &self.id, &self.rooms, max);
            certain.then_some(events)
        };
        // Events that are not in the log any more have arrived, or may have been missed.
        let nothing_lost = arrived.is_some_and(|arrived| log.has_all_since(arrived));
        let complete = log.start() <= stream.since || nothing_lost;
        let carried = |from: usize| {
            let mut missed = stream.carried[from..].to_vec();
            missed.extend(if complete { logged(stream.since)? } else { return None });
            Some(missed)
        };

        if stream.from_anchor && offset == stream.anchor.as_ref() {
            return carried(0);
        }
        let seen = offset.and_then(|text| Offset::parse(text));
        if let Some(seen) = seen {
            if let Some(at) = stream.carried.iter().position(|(offset, _)| *offset == seen) {
                return carried(at + 1);
            }
            if let Some(at) = log.find(seen).filter(|at| *at >= stream.since) {
                return logged(at + 1);
            }
        }
        // The client's last event is not in the log any more, or its offset is none.
        stream.welcomed?;
        let seen_all = match (seen, stream.last) {
            (_, None) => true,
            (Some(seen), Some((last, _))) if seen == last => true,
            // Whatever the client says, it has everything.
            (_, Some((_, at))) => arrived.is_some_and(|arrived| at < arrived),
        };
        if seen_all {
            return if log.start() <= *end { logged(*end) } else { None };
        }
        let all_kept = nothing_lost && stream.carried.is_empty() && !stream.pruned;
        if all_kept && seen.is_some_and(|seen| log.is_before(seen)) {
            return logged(stream.since);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_found_among_other_things() {
        let find = RecoveryRequest::find;
        let pid = "AAAAAAAAAAAAAAAAAAAA";
        let request = |offset: Option<&str>| {
            Some(RecoveryRequest { pid: pid.parse().unwrap(), offset: offset.map(Str::from) })
        };
        assert_eq!(find(r#"{"pid":"AAAAAAAAAAAAAAAAAAAA"}"#), request(None));
        assert_eq!(find(r#"{"token":[1],"pid":"AAAAAAAAAAAAAAAAAAAA","offset":null}"#), request(None));
        assert_eq!(find(r#"{"pid":"AAAAAAAAAAAAAAAAAAAA","offset":"x\n"}"#), request(Some("x\n")));
        for none in [
            "{}",
            "[]",
            "",
            r#"{"pid":""}"#,
            r#"{"pid":1}"#,
            r#"{"pid":"AAAAAAAAAAAAAAAAAAAA","offset":1}"#,
            r#"{"pid":"AAAAAAAAAAAAAAAAAAA="}"#,
            &alloc::format!(r#"{{"pid":"{pid}","offset":"{}"}}"#, "x".repeat(129)),
        ] {
            assert_eq!(find(none), None, "{none}");
        }
    }
}
