#![allow(missing_docs, unused, clippy::all)]
use super::*;
use crate::{Instant, Seed, Str};
use alloc::{string::String, sync::Arc, vec::Vec};
use bytes::Bytes;
use core::time::Duration;
#[derive(Debug, Clone, Default)]
pub struct ClientConfig {
    pub transports: Vec<Transport>,
    pub close_timeout: Duration,
    pub max_message_size: usize,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    pub max_payload: usize,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientRequest {
    WebSocket { channel: ChannelId, query: String },
    Get { channel: ChannelId, query: String },
    Post { channel: ChannelId, query: String, body: Bytes },
    Abort { channel: ChannelId },
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub location: Option<String>,
    pub body: Bytes,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    Open(Open),
    Message(Message),
    Upgraded,
    UpgradeFailed(TransportError),
    Closed { reason: CloseReason, error: Option<TransportError>, undelivered: usize },
}
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    #[error("x")]
    Closed,
    #[error("io {0}")]
    Io(String),
}
#[derive(Debug)]
pub struct ClientSession;
impl ClientSession {
    pub fn new(
        config: Arc<ClientConfig>,
        first: Transport,
        seed: Seed,
        channels: ChannelId,
        now: Instant,
    ) -> Self {
        todo!()
    }
    pub fn handle_open(&mut self, c: ChannelId, now: Instant) {}
    pub fn handle_message(&mut self, c: ChannelId, m: Message, now: Instant) -> Result<(), TransportError> {
        todo!()
    }
    pub fn handle_answer(&mut self, c: ChannelId, m: Answer, now: Instant) -> Result<(), TransportError> {
        todo!()
    }
    pub fn handle_failure(&mut self, c: ChannelId, e: TransportError, now: Instant) {}
    pub fn handle_timeout(&mut self, now: Instant) {}
    pub fn set_paused(&mut self, p: bool, now: Instant) {}
    pub fn send(&mut self, p: Encoded) -> Result<(), SendError> {
        todo!()
    }
    pub fn wants_packet(&self) -> bool {
        todo!()
    }
    pub fn is_writable(&self) -> bool {
        todo!()
    }
    pub fn close(&mut self, now: Instant) {}
    pub fn abort(&mut self, r: CloseReason, e: Option<TransportError>) {}
    pub fn check_alive(&mut self, now: Instant) -> bool {
        todo!()
    }
    pub fn poll_request(&mut self) -> Option<ClientRequest> {
        todo!()
    }
    pub fn poll_transmit(&mut self, c: ChannelId) -> Option<Transmit> {
        todo!()
    }
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        todo!()
    }
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }
    pub fn transport(&self) -> Option<Transport> {
        todo!()
    }
    pub fn is_open(&self) -> bool {
        todo!()
    }
    pub fn is_closed(&self) -> bool {
        todo!()
    }
    pub fn take_websockets(&mut self) -> Vec<ChannelId> {
        todo!()
    }
}
