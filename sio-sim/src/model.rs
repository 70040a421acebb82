//! The reference model: what must be true, told in the simplest way.
//!
//! The world tells it what was asked of the library and what the library did; it says when the two do not fit. The law of delivery, as
//! it is put here:
//!
//! - *Server to client.* What is emitted to a session is owed to it, in order. The client sees exactly that, from the first on, without gaps,
//!   until the session ends. If it was sent away, it has seen all.
//! - *Client to server.* The events of a client are numbered. Each session sees consecutive numbers, and no number comes twice, nor to an
//!   older session than a smaller one. A number may be missing only if a session that could have carried it was lost; not if the client
//!   took its leave, and not if it was emitted between two sessions.
//! - *Acknowledgements.* Each comes to an end: with the right answer, at its deadline, or because the session is over.
//! - *Recovery.* A session that was lost may come back. Then it is owed what it had not seen, and what was emitted to it and to its rooms
//!   meanwhile, but for volatile events and questions. For what clients send, it is another session.
//! - *Rooms.* A session is in the rooms that it was put into.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use sio_driver::DisconnectReason;

/// A client, by its number, and a namespace, by its index.
pub(crate) type Seat = (u64, usize);

/// One stay of a client in a namespace over one connection, as the server sees it. The first one of an id has that for its key; one that was
/// recovered has a key of its own.
pub(crate) struct Session {
    pub(crate) seat: Seat,
    /// The public id.
    pub(crate) id: String,
    /// The how many-eth of its seat.
    order: usize,
    pub(crate) ended: Option<DisconnectReason>,
    /// The server has sent it away, and its handlers may not know yet.
    pub(crate) sent_away: bool,
    pub(crate) rooms: BTreeSet<String>,
    /// The smallest and the largest number that came from the client.
    first: Option<u64>,
    last: Option<u64>,
}

struct Owed {
    message: u64,
    size: usize,
    /// It may be missing: volatile, or skipped because too much waited.
    optional: bool,
    /// It comes again if the session is recovered.
    kept: bool,
}

/// An event of a client that the server has not seen.
struct Sent {
    /// The first session that can have carried it, by its order.
    carrier: usize,
    /// It was emitted while this session was joined.
    during: Option<String>,
    size: usize,
    /// The client has given it up, at its deadline: it may be missing.
    void: bool,
}

/// What a client does in a namespace, over all sessions.
#[derive(Default)]
pub(crate) struct Track {
    next: u64,
    unseen: BTreeMap<u64, Sent>,
    sessions: Vec<String>,
    /// The session whose events the client sees.
    current: Option<String>,
    /// How many sessions there were when the client was seen in its last one, that one included.
    known: usize,
    last_volatile: Option<u64>,
}

/// Counts of what was done: a run that did nothing proves nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Sessions that began.
    pub sessions: u64,
    /// Sessions that were recovered.
    pub recovered: u64,
    /// Events of the server that clients saw and that were emitted while they were away.
    pub caught_up: u64,
    /// Sessions that ended otherwise than by somebody's wish.
    pub lost_sessions: u64,
    /// Events of clients that the server saw.
    pub ups: u64,
    /// Events of clients that were lost with a connection.
    pub lost_ups: u64,
    /// Events of the server that clients saw.
    pub downs: u64,
    /// Acknowledgements that came.
    pub acks: u64,
    /// Acknowledgements that did not: timeouts and disconnects.
    pub silences: u64,
    /// Emits that were refused because too much waited.
    pub full: u64,
}

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) sessions: BTreeMap<String, Session>,
    /// By public id: the key of its last session, and what that is owed.
    latest: BTreeMap<String, String>,
    owed: BTreeMap<String, VecDeque<Owed>>,
    /// Clients that have dropped what waited to be sent.
    pub(crate) cleared: BTreeSet<Seat>,
    tracks: BTreeMap<Seat, Track>,
    next_message: u64,
    /// Who waits for what, by a number.
    pub(crate) pending: BTreeMap<u64, (Seat, String)>,
    next_pending: u64,
    pub(crate) violation: Option<String>,
    pub(crate) counts: Counts,
}

impl Model {
    pub(crate) fn fail(&mut self, what: impl fmt::Display) {
        self.violation.get_or_insert_with(|| what.to_string());
    }

    // ---- Sessions -----------------------------------------------------------------------------------------------

    pub(crate) fn joined(&mut self, sid: &str, seat: Seat) {
        let track = self.tracks.entry(seat).or_default();
        let session = Session {
            seat,
            id: sid.to_owned(),
            order: track.sessions.len(),
            ended: None,
            sent_away: false,
            rooms: BTreeSet::from([sid.to_owned()]),
            first: None,
            last: None,
        };
        self.latest.insert(sid.to_owned(), sid.to_owned());
        track.sessions.push(sid.to_owned());
        self.counts.sessions += 1;
        if self.sessions.insert(sid.to_owned(), session).is_some() {
            self.fail(format!("{sid} has joined twice"));
        }
    }

    /// A session is back. Gives its key.
    pub(crate) fn recovered(&mut self, id: &str, seat: Seat) -> String {
        let track = self.tracks.entry(seat).or_default();
        let order = track.sessions.len();
        let key = format!("{id}#{order}");
        let before = self.latest.insert(id.to_owned(), key.clone());
        let Some(before) = before.and_then(|before| self.sessions.get(&before)).filter(|it| it.seat == seat)
        else {
            self.fail(format!("{seat:?} has {id} back, which it never had"));
            return key;
        };
        if !before.ended.is_some_and(DisconnectReason::is_recoverable) {
            let ended = before.ended;
            self.fail(format!("{seat:?} has {id} back, which has not been lost: {ended:?}"));
            return key;
        }
        let (id, rooms) = (id.to_owned(), before.rooms.clone());
        track.sessions.push(key.clone());
        let session =
            Session { seat, id, order, ended: None, sent_away: false, rooms, first: None, last: None };
        self.forgive(&session.id);
        self.sessions.insert(key.clone(), session);
        self.counts.sessions += 1;
        self.counts.recovered += 1;
        key
    }

    /// The connection of the session with this public id is lost: what does not come again may be missing.
    fn forgive(&mut self, id: &str) {
        for owed in self.owed.get_mut(id).into_iter().flatten().filter(|owed| !owed.kept) {
            owed.optional = true;
        }
    }

    /// The key of the last session with this public id.
    pub(crate) fn key(&self, id: &str) -> String {
        self.latest.get(id).map_or(id, |key| key).to_owned()
    }

    /// Whether a session is the last one with its id, and was lost, or may have been.
    pub(crate) fn may_come_back(&self, key: &str) -> bool {
        self.sessions.get(key).is_some_and(|session| {
            self.latest.get(&session.id).is_some_and(|latest| latest == key)
                && !session.sent_away
                && session.ended.is_none_or(DisconnectReason::is_recoverable)
        })
    }

    /// The session in which a client is that shows this id, as far as it knows.
    pub(crate) fn of_client(&self, seat: Seat, id: Option<String>) -> Option<String> {
        let current = self.tracks.get(&seat).and_then(|track| track.current.clone());
        let id = id?;
        let same = |key: &String| self.sessions.get(key).is_some_and(|session| session.id == id);
        current.filter(same).or(Some(id))
    }

    /// The client has dropped what waits to be sent.
    pub(crate) fn clear(&mut self, seat: Seat) {
        self.cleared.insert(seat);
        for sent in self.tracks.entry(seat).or_default().unseen.values_mut() {
            sent.void = true;
        }
    }

    /// The server has noticed the end of a session.
    pub(crate) fn left(&mut self, sid: &str, reason: DisconnectReason) {
        let Some(session) = self.sessions.get_mut(sid) else {
            return self.fail(format!("{sid} leaves and never joined"));
        };
        if let Some(before) = session.ended.replace(reason) {
            return self.fail(format!("{sid} leaves twice: {before}, {reason}"));
        }
        let seat = session.seat;
        match reason {
            DisconnectReason::ClientNamespaceDisconnect => {
                let unseen = &self.tracks[&seat].unseen;
                let missing =
                    unseen.iter().find(|(_, sent)| !sent.void && sent.during.as_deref() == Some(sid));
                if let Some((number, _)) = missing {
                    self.fail(format!(
                        "{seat:?} has taken its leave from {sid}, but its event {number} did not arrive"
                    ));
                }
            }
            DisconnectReason::Connection(_) => self.counts.lost_sessions += 1,
            _ => {}
        }
    }

    /// The sessions of a namespace that have not ended.
    pub(crate) fn alive(&self, namespace: usize) -> impl Iterator<Item = (&String, &Session)> {
        self.sessions
            .iter()
            .filter(move |(_, session)| session.seat.1 == namespace && session.ended.is_none())
    }

    // ---- Server to client ---------------------------------------------------------------------------------------

    /// A number for an event of the server.
    pub(crate) fn message(&mut self) -> u64 {
        self.next_message += 1;
        self.next_message
    }

    /// `kept`: whether it comes again if the session is recovered.
    pub(crate) fn owe(&mut self, sid: &str, message: u64, size: usize, optional: bool, kept: bool) {
        if let Some(session) = self.sessions.get(sid) {
            let owed = self.owed.entry(session.id.clone()).or_default();
            owed.push_back(Owed { message, size, optional, kept });
        }
    }

    /// The first event of a session tells the client which it is.
    pub(crate) fn greeted(&mut self, seat: Seat, sid: &str) {
        let Some(order) =
            self.sessions.get(sid).filter(|session| session.seat == seat).map(|session| session.order)
        else {
            return self.fail(format!("{seat:?} is greeted as {sid}, which is another's"));
        };
        let track = self.tracks.entry(seat).or_default();
        track.known = track.known.max(order + 1);
        let before = track.current.replace(sid.to_owned());
        if before.as_ref().is_some_and(|before| self.sessions[before].order >= order) {
            self.fail(format!("{seat:?} goes back from {before:?} to {sid}"));
        }
    }

    /// `is_there`: whether the server has this session, as far as its handlers know.
    pub(crate) fn client_saw(&mut self, seat: Seat, message: u64, is_there: impl Fn(&str) -> bool) {
        let Some(sid) = self.tracks.get(&seat).and_then(|track| track.current.clone()) else {
            return self.fail(format!("{seat:?} sees {message} before it is greeted"));
        };
        let id = self.sessions[&sid].id.clone();
        if !is_there(&self.key(&id)) {
            // Lost, or back already, and its handlers do not know yet.
            self.forgive(&id);
        }
        self.counts.downs += 1;
        let session = self.sessions.get(&sid).expect("it was greeted");
        let away = session.ended.is_some();
        let all = self.owed.entry(session.id.clone()).or_default();
        while let Some(owed) = all.pop_front() {
            if owed.message == message {
                self.counts.caught_up += u64::from(away);
                return;
            }
            if !owed.optional {
                let owed = owed.message;
                return self.fail(format!("{seat:?} as {sid} sees {message}, and is owed {owed}"));
            }
        }
        self.fail(format!("{seat:?} as {sid} sees {message}, and is owed nothing"));
    }

    /// The client was told that it was sent away, in the session that it is in.
    pub(crate) fn sent_away(&mut self, seat: Seat) {
        let Some(sid) = self.tracks.get(&seat).and_then(|track| track.current.clone()) else { return };
        // A session that was sent away at once was never greeted.
        if self.sessions[&sid].ended != Some(DisconnectReason::ServerNamespaceDisconnect) {
            return;
        }
        if let Some(missing) = self.first_owed(&sid) {
            self.fail(format!("{seat:?} as {sid} was sent away before it has seen {missing}"));
        }
    }

    /// The first event that a session is owed without fail.
    pub(crate) fn first_owed(&self, sid: &str) -> Option<u64> {
        let owed = self.owed.get(&self.sessions.get(sid)?.id)?;
        owed.iter().find(|owed| !owed.optional).map(|owed| owed.message)
    }

    // ---- Client to server ---------------------------------------------------------------------------------------

    /// The number of the next event of a client.
    pub(crate) fn number(&self, seat: Seat) -> u64 {
        self.tracks.get(&seat).map_or(0, |track| track.next)
    }

    /// The library has accepted the event with the next number; `during` which session.
    pub(crate) fn accepted(&mut self, seat: Seat, during: Option<String>, size: usize) {
        let track = self.tracks.entry(seat).or_default();
        let carrier = match during.as_ref().and_then(|sid| self.sessions.get(sid)) {
            Some(session) => {
                track.known = track.known.max(session.order + 1);
                session.order
            }
            // The server may be ahead of the client: there may be a session of which the client will only hear.
            None => track.known,
        };
        let number = track.next;
        track.next += 1;
        track.unseen.insert(number, Sent { carrier, during, size, void: false });
    }

    /// The client has given an event up.
    pub(crate) fn gave_up(&mut self, seat: Seat, number: u64) {
        if let Some(sent) = self.tracks.get_mut(&seat).and_then(|track| track.unseen.get_mut(&number)) {
            sent.void = true;
        }
    }

    /// Whether an event may be missing in a session of this order: one that could have carried it was lost.
    fn may_be_lost(&self, track: &Track, sent: &Sent, order: usize) -> bool {
        let carriers = track.sessions.iter().take(order).skip(sent.carrier);
        let is_lost = |sid| {
            let ended = self.sessions.get(sid).and_then(|session| session.ended);
            // Not noticed yet by the server, which has the client twice: the client has.
            ended != Some(DisconnectReason::ClientNamespaceDisconnect)
        };
        sent.void || carriers.into_iter().any(|sid: &String| is_lost(sid))
    }

    pub(crate) fn server_saw(&mut self, sid: &str, number: u64) {
        self.counts.ups += 1;
        let Some(session) = self.sessions.get(sid) else {
            return self.fail(format!("an event of {sid}, which never joined"));
        };
        let (seat, order, first, last) = (session.seat, session.order, session.first, session.last);
        if let Some(reason) = session.ended {
            return self.fail(format!("event {number} of {sid}, which has left: {reason}"));
        }
        let mut track = self.tracks.remove(&seat).expect("it has joined");
        if track.unseen.remove(&number).is_none() {
            self.fail(format!("event {number} of {seat:?} comes twice, or was never sent"));
        }
        for other in &track.sessions {
            let other = &self.sessions[other];
            let wrong = match other.order.cmp(&order) {
                std::cmp::Ordering::Less => other.last.is_some_and(|last| last >= number),
                std::cmp::Ordering::Greater => other.first.is_some_and(|first| first <= number),
                std::cmp::Ordering::Equal => last.is_some_and(|last| last >= number),
            };
            if wrong {
                self.violation
                    .get_or_insert_with(|| format!("event {number} of {seat:?} in {sid} is out of order"));
            }
        }
        // Within a session there are no gaps; before its first event there may be what older ones have lost.
        let (from, order) = (last.map_or(0, |last| last + 1), if last.is_some() { 0 } else { order });
        let missing = (from <= number)
            .then(|| {
                track.unseen.range(from..number).find(|(_, sent)| !self.may_be_lost(&track, sent, order))
            })
            .flatten();
        if let Some((missing, _)) = missing {
            let missing = *missing;
            let sent = &track.unseen[&missing];
            let sessions: Vec<_> = track
                .sessions
                .iter()
                .map(|sid| (sid, self.sessions[sid].ended.map(DisconnectReason::as_str)))
                .collect();
            let (carrier, during) = (sent.carrier, &sent.during);
            let about = format!(
                "emitted in {during:?}, can have gone out in the sessions from {carrier} on of {sessions:?}"
            );
            self.fail(format!(
                "event {number} of {seat:?} comes in {sid}, but {missing} is missing: {about}"
            ));
        }
        self.tracks.insert(seat, track);
        let session = self.sessions.get_mut(sid).expect("as above");
        session.first = first.or(Some(number));
        session.last = Some(number);
    }

    pub(crate) fn server_saw_volatile(&mut self, sid: &str, number: u64) {
        let Some(seat) = self.sessions.get(sid).map(|session| session.seat) else {
            return self.fail(format!("a volatile event of {sid}, which never joined"));
        };
        let last = &mut self.tracks.get_mut(&seat).expect("it has joined").last_volatile;
        if last.is_some_and(|last| last >= number) {
            self.fail(format!("volatile event {number} of {seat:?} comes twice or late"));
        } else {
            *last = Some(number);
        }
    }

    // ---- Waiting ------------------------------------------------------------------------------------------------

    /// Somebody begins to wait for something that must come to an end.
    pub(crate) fn waits(&mut self, seat: Seat, what: impl fmt::Display) -> u64 {
        self.next_pending += 1;
        self.pending.insert(self.next_pending, (seat, what.to_string()));
        self.next_pending
    }

    pub(crate) fn waited(&mut self, wait: u64) {
        if self.pending.remove(&wait).is_none() {
            self.fail(format!("the wait {wait} has ended twice"));
        }
    }

    // ---- Sums ---------------------------------------------------------------------------------------------------

    /// Bytes that a session is owed.
    pub(crate) fn owed_bytes(&self, sid: &str) -> usize {
        let owed = self.sessions.get(sid).and_then(|session| self.owed.get(&session.id));
        owed.into_iter().flatten().map(|owed| owed.size).sum()
    }

    /// Bytes of events of a client that may still arrive.
    pub(crate) fn unseen_bytes(&self, seat: Seat) -> usize {
        let Some(track) = self.tracks.get(&seat) else { return 0 };
        let order = track.sessions.len().saturating_sub(1);
        let waiting = track.unseen.values().filter(|sent| !self.may_be_lost(track, sent, order));
        waiting.map(|sent| sent.size).sum()
    }

    /// What is still missing of a seat that is connected, and should not be once all is quiet.
    pub(crate) fn missing(&self, seat: Seat, sid: &str) -> Option<String> {
        let session = self.sessions.get(sid)?;
        if let Some(message) = self.first_owed(sid) {
            return Some(format!("{seat:?} as {sid} is owed {message}"));
        }
        let track = self.tracks.get(&seat)?;
        let lost = |sent: &Sent| self.may_be_lost(track, sent, session.order);
        if let Some((number, _)) = track.unseen.iter().find(|(_, sent)| !lost(sent)) {
            return Some(format!("event {number} of {seat:?} has not arrived in {sid}"));
        }
        let waiting = self.pending.values().find(|(of, _)| *of == seat);
        waiting.map(|(_, what)| format!("{seat:?} still waits for {what}"))
    }

    /// Counts what is lost for good, at the end.
    pub(crate) fn count_losses(&mut self) {
        let lost = |track: &Track| track.unseen.values().filter(|sent| !sent.void).count() as u64;
        self.counts.lost_ups = self.tracks.values().map(lost).sum();
    }
}

#[cfg(test)]
mod tests {
    use sio_driver::DisconnectReason::{ClientNamespaceDisconnect, ServerNamespaceDisconnect};

    use super::*;

    const SEAT: Seat = (1, 0);

    /// A client in session `a`, to which three events are owed, and which has emitted three.
    fn model() -> Model {
        let mut model = Model::default();
        model.joined("a", SEAT);
        model.greeted(SEAT, "a");
        for _ in 0..3 {
            let message = model.message();
            model.owe("a", message, 1, message == 2, true);
            model.accepted(SEAT, Some("a".into()), 1);
        }
        model
    }

    fn verdict(run: impl FnOnce(&mut Model)) -> String {
        let mut model = model();
        run(&mut model);
        model.violation.unwrap_or_default()
    }

    #[test]
    fn what_is_right_is_accepted() {
        assert_eq!(
            verdict(|model| [1, 2, 3].into_iter().for_each(|message| model.client_saw(
                SEAT,
                message,
                |_| true
            ))),
            ""
        );
        assert_eq!(
            verdict(|model| [1, 3].into_iter().for_each(|message| model.client_saw(SEAT, message, |_| true))),
            ""
        );
        assert_eq!(verdict(|model| (0..3).for_each(|number| model.server_saw("a", number))), "");
        let lost = |model: &mut Model| {
            model.server_saw("a", 0);
            model.left("a", ServerNamespaceDisconnect);
            model.joined("b", SEAT);
            model.accepted(SEAT, None, 1);
            model.server_saw("b", 3);
        };
        assert_eq!(verdict(lost), "");
    }

    #[test]
    fn what_the_client_must_not_see() {
        let see = |messages: &[u64]| {
            verdict(|model| messages.iter().for_each(|message| model.client_saw(SEAT, *message, |_| true)))
        };
        assert!(see(&[1, 1]).contains("is owed 3"), "twice");
        assert!(see(&[2]).contains("is owed 1"), "a gap");
        assert!(see(&[1, 3, 2]).contains("is owed nothing"), "out of order");
        assert!(verdict(|model| model.client_saw((2, 0), 1, |_| true)).contains("before it is greeted"));
        assert!(verdict(|model| model.greeted((2, 0), "a")).contains("another's"));
        let sent_away = verdict(|model| {
            model.left("a", ServerNamespaceDisconnect);
            model.sent_away(SEAT);
        });
        assert!(sent_away.contains("before it has seen 1"));
    }

    #[test]
    fn what_the_server_must_not_see() {
        let see = |numbers: &[u64]| {
            verdict(|model| numbers.iter().for_each(|number| model.server_saw("a", *number)))
        };
        assert!(see(&[0, 0]).contains("comes twice"));
        assert!(see(&[0, 2]).contains("but 1 is missing"));
        assert!(see(&[1]).contains("but 0 is missing"));
        assert!(see(&[7]).contains("never sent"));
        assert!(verdict(|model| model.left("a", ClientNamespaceDisconnect)).contains("did not arrive"));
        let between = verdict(|model| {
            (0..3).for_each(|number| model.server_saw("a", number));
            model.left("a", ServerNamespaceDisconnect);
            model.accepted(SEAT, None, 1);
            model.accepted(SEAT, None, 1);
            model.joined("b", SEAT);
            model.server_saw("b", 4);
        });
        assert!(between.contains("but 3 is missing"), "emitted while nobody was connected: {between}");
        let late = verdict(|model| {
            model.left("a", ServerNamespaceDisconnect);
            model.server_saw("a", 0);
        });
        assert!(late.contains("has left"));
    }

    #[test]
    fn what_is_missing_in_the_end() {
        let mut model = model();
        assert!(model.missing(SEAT, "a").expect("much").contains("is owed 1"));
        [1, 3].into_iter().for_each(|message| model.client_saw(SEAT, message, |_| true));
        assert!(model.missing(SEAT, "a").expect("much").contains("event 0"));
        (0..3).for_each(|number| model.server_saw("a", number));
        let wait = model.waits(SEAT, "an answer");
        assert!(model.missing(SEAT, "a").expect("an answer").contains("still waits for an answer"));
        model.waited(wait);
        assert_eq!((model.missing(SEAT, "a"), model.violation), (None, None));
    }
}
