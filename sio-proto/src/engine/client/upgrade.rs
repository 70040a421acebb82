//! From polling to WebSocket, as the client sees it.

use alloc::vec::Vec;
use core::time::Duration;

use super::error::TransportError;
use super::event::ClientEvent;
use super::{ClientSession, Phase};
use crate::Instant;
use crate::engine::config::Transport;
use crate::engine::event::ChannelId;
use crate::engine::packet::{Message, Packet};

/// How long the WebSocket may take to open, and then again to take the session over. A server gives up as soon.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An attempt to move the session.
///
/// ```text
///   Dialling ── open ──► Asking ── `2probe` is taken ──► Waiting ── `3probe` ──► Switching ── GET and POST have ended ──► `5`
///       └──────────────────┴── failure, any other packet, TIMEOUT ──┴──────────────┴──► polling goes on
/// ```
#[derive(Debug)]
pub(super) struct Upgrade {
    pub(super) channel: ChannelId,
    pub(super) until: Instant,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Dialling,
    Asking,
    Waiting,
    /// B62: the polls are brought to an end. No server should send messages on the WebSocket before it knows of the switch,
    /// but if one does, they come after those of the last poll.
    Switching {
        early: Vec<Message>,
        bytes: usize,
    },
}

impl ClientSession {
    /// Begins to move the session, if both sides want that.
    pub(super) fn begin_upgrade(&mut self, now: Instant) {
        let to = &Transport::WebSocket;
        let offered = self.open.as_ref().is_some_and(|open| open.upgrades.contains(to));
        if offered && self.config.upgrade && self.config.transports.contains(to) && self.websocket.is_none() {
            let channel = self.dial();
            self.upgrade = Some(Upgrade { channel, until: now + TIMEOUT, step: Step::Dialling });
        }
    }

    /// Whether polls and POSTs are brought to an end.
    pub(super) fn is_switching(&self) -> bool {
        matches!(self.upgrade, Some(Upgrade { step: Step::Switching { .. }, .. }))
    }

    pub(super) fn handle_probe_open(&mut self, channel: ChannelId, now: Instant) {
        if let Some(upgrade) = self.upgrade.as_mut().filter(|upgrade| upgrade.channel == channel) {
            if let Step::Dialling = upgrade.step {
                (upgrade.step, upgrade.until) = (Step::Asking, now + TIMEOUT);
            }
        }
    }

    /// Gives the attempt its time again.
    pub(super) fn renew_upgrade(&mut self, now: Instant) {
        if let Some(upgrade) = &mut self.upgrade {
            upgrade.until = now + TIMEOUT;
        }
    }

    /// Whether the probe must be sent now.
    pub(super) fn ask_probe(&mut self, channel: ChannelId) -> bool {
        match &mut self.upgrade {
            Some(Upgrade { channel: of, step: step @ Step::Asking, .. }) if *of == channel => {
                *step = Step::Waiting;
                true
            }
            _ => false,
        }
    }

    /// A message on the WebSocket that should take the session over.
    pub(super) fn handle_probe(&mut self, message: Message, now: Instant) -> Result<(), TransportError> {
        self.watch = now + self.patience();
        self.traffic.receive(1, message.len());
        let limit = self.config.max_message_size;
        let Some(upgrade) = &mut self.upgrade else { return Ok(()) };
        let error = match (&mut upgrade.step, message) {
            (_, message) if message.len() > limit => TransportError::TooLarge { limit },
            (step @ Step::Waiting, Message::Text(text)) if text == "3probe" => {
                *step = Step::Switching { early: Vec::new(), bytes: 0 };
                self.try_switch();
                return Ok(());
            }
            (Step::Switching { early, bytes }, message) => {
                let packet = match message {
                    Message::Text(text) => Packet::decode(text),
                    message @ Message::Binary(_) => Ok(Packet::Message(message)),
                };
                match packet {
                    Ok(Packet::Message(message)) => {
                        *bytes += message.len() + size_of::<Message>();
                        early.push(message);
                        if early.len() == 1 || *bytes <= limit {
                            return Ok(());
                        }
                        TransportError::TooLarge { limit }
                    }
                    Ok(_) => return Ok(()),
                    Err(error) => error.into(),
                }
            }
            _ => TransportError::UnexpectedProbe,
        };
        self.drop_upgrade(error.clone());
        Err(error)
    }

    /// Moves the session, if it should and nothing of the old transport is under way.
    pub(super) fn try_switch(&mut self) {
        if self.get.is_some() || self.post.is_some() || !self.is_switching() {
            return;
        }
        let Some(upgrade) = self.upgrade.take() else { return };
        self.websocket = Some(upgrade.channel);
        (self.upgraded, self.announce_switch) = (true, true);
        self.events.push_back(ClientEvent::Upgraded);
        if let Step::Switching { early, .. } = upgrade.step {
            self.events.extend(early.into_iter().map(ClientEvent::Message));
        }
    }

    /// B69: gives the attempt up, and the session stays where it is.
    pub(super) fn drop_upgrade(&mut self, error: TransportError) {
        if let Some(upgrade) = &self.upgrade {
            let channel = upgrade.channel;
            self.fail_upgrade(error);
            self.drop_channel(channel);
        }
    }

    /// As before, if the WebSocket is gone already.
    pub(super) fn fail_upgrade(&mut self, error: TransportError) {
        let Some(upgrade) = self.upgrade.take() else { return };
        match upgrade.step {
            // The server believes in the WebSocket, and what it sends there does not arrive: nothing else is left.
            Step::Switching { early, .. } if !early.is_empty() => self.fail(error),
            _ if self.phase == Phase::Open => self.events.push_back(ClientEvent::UpgradeFailed(error)),
            _ => {}
        }
    }
}
