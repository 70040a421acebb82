//! Raw cases: bytes that no well-behaved client would send, and exactly what comes back.
//!
//! [`cases`] holds them, [`http`] and [`peer`] are what they talk with. A case runs against a server of its own kind
//! with two bystanders connected, one on each transport; whatever the case does, both must still be served afterwards.

pub mod cases;
pub mod http;
pub mod peer;

use core::{net::SocketAddr, time::Duration};
use std::{sync::Arc, thread, time::Instant};

use serde_json::Value;

use self::peer::{Polling, Ws};
use crate::target::{Kind, Profile, Target};

/// What a case works with.
pub struct Case {
    /// Where the server listens.
    pub addr: SocketAddr,
    /// Whether this is our server, which is safer than the reference in a few documented places.
    pub safer: bool,
}

/// What the server recorded of a socket.
#[derive(Debug)]
pub struct Observed {
    /// Whether it is in its namespace.
    pub connected: bool,
    /// The names of all events that reached the catch-all handler.
    pub any: Vec<String>,
    /// Why it left.
    pub reason: Option<String>,
}

impl Case {
    fn new(target: &Target) -> Self {
        Self { addr: target.addr, safer: target.kind == Kind::Ours }
    }

    /// What the server saw of the socket with this id.
    #[must_use]
    pub fn observed(&self, id: &str) -> Observed {
        let (mut witness, _) = Ws::joined(self.addr, "/");
        let answer = witness.ask("observed", &format!("{id:?}"));
        Observed {
            connected: answer["connected"].as_bool().unwrap_or_default(),
            any: answer["any"].as_array().into_iter().flatten().map(text_of).collect(),
            reason: answer["reason"].as_str().map(str::to_owned),
        }
    }

    /// Why the server let the socket go.
    ///
    /// # Panics
    /// If it has not within three seconds.
    #[must_use]
    pub fn reason(&self, id: &str) -> String {
        let end = Instant::now() + Duration::from_secs(3);
        loop {
            if let Some(reason) = self.observed(id).reason {
                return reason;
            }
            assert!(Instant::now() < end, "the server still holds {id}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Runs one case, and looks after the bystanders.
///
/// # Panics
/// If something is not as the case expects.
pub fn run(kind: Kind, profile: Profile, case: fn(&Case)) {
    // Our server is started for each case, so that one that breaks it is known. The reference is trusted that far.
    let target = match kind {
        Kind::Ours => Arc::new(Target::start(kind, profile)),
        Kind::Reference => Target::shared_reference(profile),
    };
    if profile == Profile::Quick {
        // Bystanders would have to keep up heartbeats.
        case(&Case::new(&target));
        let _ = Ws::joined(target.addr, "/").0.ask("sum", "1,2");
        return;
    }
    let mut websocket = Ws::joined(target.addr, "/").0;
    let (polling, _) = Polling::joined(target.addr, "/");
    case(&Case::new(&target));
    assert_eq!(websocket.ask("sum", "20,22"), 42, "the bystander on WebSocket is served");
    assert_eq!(polling.ask("sum", "20,22"), 42, "the bystander on polling is served");
}
