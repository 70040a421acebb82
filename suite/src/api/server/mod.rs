//! The server as its users and its clients see it.

mod acks;
mod close;
mod cluster;
mod cluster_sockets;
mod conn;
mod connect;
mod crowd;
mod dynamic;
mod handlers;
mod http;
mod http_admission;
mod http_answers;
mod log;
mod order;
mod panics;
mod parsers;
mod pressure;
mod recovery;
mod room_events;
mod rooms;
mod sockets;
mod upgrade;
mod wake;

use crate::api::Case;

pub(super) const CASES: &[&[Case]] = &[
    acks::CASES,
    close::CASES,
    cluster::CASES,
    cluster_sockets::CASES,
    conn::CASES,
    connect::CASES,
    crowd::CASES,
    dynamic::CASES,
    handlers::CASES,
    http::CASES,
    http_admission::CASES,
    http_answers::CASES,
    log::CASES,
    order::CASES,
    panics::CASES,
    parsers::CASES,
    pressure::CASES,
    recovery::CASES,
    room_events::CASES,
    rooms::CASES,
    sockets::CASES,
    upgrade::CASES,
    wake::CASES,
];
