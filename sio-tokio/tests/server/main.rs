//! The server inside of what only tokio has. All else is in the crate `suite`.

#[path = "../common/mod.rs"]
mod common;
mod http;
