//! What is known about a session: how it travels, how far away the client is, what went through it.

use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

use super::config::Transport;
use super::dialect::Revision;
use super::event::CloseReason;

/// What went through a connection. Engine.IO packets: a Socket.IO packet with two attachments is three of them, and heartbeats count
/// too. Bytes are those of polling payloads and of the contents of WebSocket messages, before compression and without what HTTP,
/// WebSocket and TLS add.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Traffic {
    /// Packets from the peer.
    pub packets_received: u64,
    /// Bytes from the peer.
    pub bytes_received: u64,
    /// Packets that were handed to a transport.
    pub packets_sent: u64,
    /// Bytes that were handed to a transport.
    pub bytes_sent: u64,
}

impl Traffic {
    pub(crate) fn receive(&mut self, packets: usize, bytes: usize) {
        self.packets_received += packets as u64;
        self.bytes_received += bytes as u64;
    }

    pub(crate) fn send(&mut self, packets: usize, bytes: usize) {
        self.packets_sent += packets as u64;
        self.bytes_sent += bytes as u64;
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.packets_received += other.packets_received;
        self.bytes_received += other.bytes_received;
        self.packets_sent += other.packets_sent;
        self.bytes_sent += other.bytes_sent;
    }
}

impl Add for Traffic {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl Sub for Traffic {
    type Output = Self;

    /// What was added since `other`, an earlier value.
    fn sub(self, other: Self) -> Self {
        Self {
            packets_received: self.packets_received.wrapping_sub(other.packets_received),
            bytes_received: self.bytes_received.wrapping_sub(other.bytes_received),
            packets_sent: self.packets_sent.wrapping_sub(other.packets_sent),
            bytes_sent: self.bytes_sent.wrapping_sub(other.bytes_sent),
        }
    }
}

/// What is known about a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Facts {
    /// How it travels, or travelled last.
    pub transport: Transport,
    /// The revision of Engine.IO that the client speaks.
    pub revision: Revision,
    /// How long the client took to answer the last ping. A poll that is not there when the ping is due counts with it. None before
    /// the first answer, and in revision 3, where the client pings.
    pub rtt: Option<Duration>,
    /// What went through it.
    pub traffic: Traffic,
    /// Why it ended, if it did.
    pub close_reason: Option<CloseReason>,
}
