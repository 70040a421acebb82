//! The client as its users see it.

mod close;
mod connect;
mod emit;
mod hello;
mod hooks;
mod outage;
mod receive;
mod wake;

use crate::api::Case;

pub(super) const CASES: &[&[Case]] = &[
    close::CASES,
    connect::CASES,
    emit::CASES,
    hello::CASES,
    hooks::CASES,
    outage::CASES,
    receive::CASES,
    wake::CASES,
];
