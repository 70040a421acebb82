//! A session, while its client is there, while it is away, and on its way to another connection.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;

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

/// What has been sent to the client of a session, and may be asked for again.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) pid: Pid,
    /// What the client had seen when this stream began, as it said; `None` for a new session.
    pub(super) anchor: Option<Str>,
    /// What it was sent first: events of an earlier connection.
    pub(super) carried: Vec<(Offset, Encoded)>,
    /// Whether those are still there. They go when they have certainly arrived.
    pub(super) from_anchor: bool,
    /// Then what the log has from this position on.
    pub(super) since: u64,
    /// The last event that was sent.
    pub(super) last: Option<(Offset, Instant)>,
    pub(super) kept: Option<Kept>,
    /// Whether it is the stream of an earlier socket too.
    pub(super) recovered: bool,
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
    /// Events sent before this time have certainly arrived: a ping after them was answered. `None` if that says nothing, because
    /// packets still waited to be sent.
    pub(super) arrived: Option<Instant>,
    pub(super) until: Instant,
}

impl Lost {
    /// What the client has missed, if it has seen the events up to `offset`. `None` if that cannot be said for certain: then it
    /// must begin anew. A session that is recovered has lost nothing.
    pub(super) fn missed(&self, offset: Option<&Str>, log: &RecoveryLog) -> Option<Vec<(Offset, Encoded)>> {
        let Self { stream, arrived, end, .. } = self;
        let carried = |from: usize| stream.carried[from..].to_vec();
        let logged = |mut missed: Vec<_>, from: u64| {
            let entries = log.since(from, &self.id, &self.rooms);
            missed.extend(entries.map(|(offset, packet)| (offset, packet.clone())));
            Some(missed)
        };
        // Events that are gone by their age have arrived; others may have been missed.
        let nothing_lost = arrived.is_some_and(|arrived| log.kept_all_since(arrived));
        let complete = log.start() <= stream.since || nothing_lost;

        if stream.from_anchor && offset == stream.anchor.as_ref() {
            return if complete { logged(carried(0), stream.since) } else { None };
        }
        let seen = offset.and_then(|text| Offset::parse(text));
        if let Some(seen) = seen {
            if let Some(at) = stream.carried.iter().position(|(offset, _)| *offset == seen) {
                return if complete { logged(carried(at + 1), stream.since) } else { None };
            }
            if let Some(at) = log.find(seen).filter(|at| *at >= stream.since) {
                return logged(Vec::new(), at + 1);
            }
        }
        // The client's last event is not in the log any more, or its offset is none.
        let (arrived, last_at) = (arrived.as_ref()?, stream.last.map(|(_, at)| at));
        let seen_all = match (seen, stream.last) {
            (Some(seen), Some((last, _))) if seen == last => true,
            // Whatever the client says, it has everything.
            _ => last_at.is_none_or(|at| at < *arrived),
        };
        if seen_all {
            return if log.start() <= *end { logged(Vec::new(), *end) } else { None };
        }
        if nothing_lost && stream.carried.is_empty() && seen.is_some_and(|seen| log.is_before(seen)) {
            return logged(Vec::new(), stream.since);
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
