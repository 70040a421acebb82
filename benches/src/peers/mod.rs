//! The servers that the load can be put on, all with the same events.
//!
//! | event | answer |
//! |---|---|
//! | `echo` (a string) | the same event with the same string; the handler takes a string |
//! | `echo-value` | the same event; the handler takes a JSON tree |
//! | `echo-typed` | the same event; the handler takes a [`Record`](crate::payload::Record) |
//! | `echo-raw` | the same event; the handler takes the argument in the cheapest form that there is |
//! | `ack` (a string) | acknowledged with the same string |
//! | `bin` (an attachment) | the same event with the same bytes |
//! | `join` | the socket joins the room `all`; acknowledged with nothing |
//! | `cast` (a string) | the same event to everybody in the room |

mod floor;
mod sio;
#[cfg(feature = "rivals")]
mod socketioxide;

use anyhow::{Context, Result, ensure};
use tokio::net::TcpListener;

/// The room of the broadcasts.
pub const ROOM: &str = "all";

/// A server to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The crates of this repository.
    Sio,
    /// socketioxide on axum.
    Socketioxide,
    /// async-tungstenite without Socket.IO.
    Floor,
}

impl Peer {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 3] = [Self::Sio, Self::Socketioxide, Self::Floor];

    /// Its name on the command line and in the tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sio => "sio",
            Self::Socketioxide => "socketioxide",
            Self::Floor => "floor",
        }
    }

    /// The peer of that name.
    ///
    /// # Errors
    /// If there is none, or this program was built without it.
    pub fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|peer| peer.name() == name);
        let names = || format!("no peer {name:?}; there are: {}", Self::ALL.map(Self::name).join(", "));
        let peer = found.with_context(names)?;
        ensure!(peer.is_built_in(), "{name} is not built in: add --features rivals to the cargo command");
        Ok(peer)
    }

    /// Whether this program was built with it.
    #[must_use]
    pub const fn is_built_in(self) -> bool {
        cfg!(feature = "rivals") || !matches!(self, Self::Socketioxide)
    }

    /// Whether it only sends back what it gets, without Socket.IO.
    #[must_use]
    pub const fn is_bare(self) -> bool {
        matches!(self, Self::Floor)
    }

    /// Whether it promises to answer in the order of the requests. The rival runs each handler in a task of its own.
    #[must_use]
    pub const fn keeps_order(self) -> bool {
        !matches!(self, Self::Socketioxide)
    }

    /// Serves for ever.
    ///
    /// # Errors
    /// If it cannot serve, or this program was built without it.
    pub async fn serve(self, listener: TcpListener) -> Result<()> {
        match self {
            Self::Sio => sio::serve(listener).await,
            #[cfg(feature = "rivals")]
            Self::Socketioxide => socketioxide::serve(listener).await,
            #[cfg(not(feature = "rivals"))]
            Self::Socketioxide => anyhow::bail!("socketioxide is not built in"),
            Self::Floor => floor::serve(listener).await,
        }
    }
}
