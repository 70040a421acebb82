//! Engine.IO and Socket.IO as pure state machines.
#![no_std]
#![warn(clippy::std_instead_of_core, clippy::alloc_instead_of_core)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod engine;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod hub;
mod id;
pub mod server;
pub mod socket;
mod text;
mod time;

pub use error::UsageError;
pub use id::{InvalidId, Seed, Sid, SocketId};
pub use text::Str;
pub use time::Instant;
