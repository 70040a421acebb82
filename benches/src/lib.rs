//! Measures what Socket.IO servers cost: the parts that the programs `load` and `allocs` are made of.
//!
//! `load` puts the same load on each of several servers, one after the other, while all of them are up, and compares
//! their CPU time per message. `allocs` counts a server's allocations. How to run both, and how far to trust what
//! they say, is in the `README.md` beside this crate.

pub mod allocations;
pub mod child;
pub mod cli;
pub mod client;
pub mod measure;
pub mod payload;
pub mod peers;
pub mod report;
pub mod run;
pub mod scenario;
