//! The guides. Their examples are tests of this crate.

#[doc = include_str!("getting-started.md")]
pub mod getting_started {}
#[doc = include_str!("client.md")]
pub mod client {}
#[doc = include_str!("from-javascript.md")]
pub mod from_javascript {}
#[doc = include_str!("from-socketioxide.md")]
pub mod from_socketioxide {}
#[doc = include_str!("parsers.md")]
pub mod parsers {}
#[doc = include_str!("sans-io.md")]
pub mod sans_io {}
#[doc = include_str!("deployment.md")]
pub mod deployment {}
#[doc = include_str!("cluster.md")]
pub mod cluster {}
#[doc = include_str!("delivery.md")]
pub mod delivery {}
#[doc = include_str!("metrics.md")]
pub mod metrics {}
#[doc = include_str!("security.md")]
pub mod security {}
