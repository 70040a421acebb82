//! One connection: two pipes, each from one side to the other.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use sio_driver::Instant;

use super::trace::Canon;

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client = 0,
    Server = 1,
}

impl Side {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What travels.
pub(crate) enum Parcel {
    Data(Vec<u8>),
    /// Nothing more comes.
    End,
    /// The sender is gone, and does not take anything any more.
    Reset,
}

impl Parcel {
    pub(crate) fn len(&self) -> usize {
        if let Self::Data(data) = self { data.len() } else { 0 }
    }
}

/// One direction.
#[derive(Default)]
pub(crate) struct Pipe {
    pub(crate) flight: VecDeque<Parcel>,
    /// Bytes of `flight`.
    pub(crate) in_flight: usize,
    /// What can be read.
    pub(crate) arrived: VecDeque<u8>,
    /// Bytes that will never arrive; the writer waits for word of them.
    pub(crate) swallowed: usize,
    /// The writer has said that nothing more comes, and the reader has heard it.
    pub(crate) shut: bool,
    pub(crate) ended: bool,
    /// When the last parcel arrives: none overtakes another.
    pub(crate) last: Instant,
    pub(crate) stalled_until: Instant,
    pub(crate) dead: bool,
    pub(crate) giving_up: bool,
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
    pub(crate) canon: Canon,
}

impl Pipe {
    pub(crate) fn live_bytes(&self) -> usize {
        self.in_flight + self.arrived.len() + self.swallowed
    }
}

pub(crate) struct Link {
    /// By the side that writes.
    pipes: [Pipe; 2],
    pub(crate) latency: Duration,
    pub(crate) capacity: usize,
    /// Whether somebody holds that end.
    pub(crate) open: [bool; 2],
    /// Whether that end has failed.
    pub(crate) failed: [bool; 2],
}

impl Link {
    pub(crate) fn new(latency: Duration, capacity: usize) -> Self {
        let pipe = |side| Pipe { canon: Canon::new(side), ..Pipe::default() };
        Self {
            pipes: [pipe(Side::Client), pipe(Side::Server)],
            latency,
            capacity,
            open: [true; 2],
            failed: [false; 2],
        }
    }

    /// The pipe that this side writes to.
    pub(crate) fn pipe_mut(&mut self, from: Side) -> &mut Pipe {
        &mut self.pipes[from as usize]
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.pipes.iter().any(|pipe| pipe.dead)
    }

    pub(crate) fn live_bytes(&self) -> usize {
        self.pipes.iter().map(Pipe::live_bytes).sum()
    }

    /// This end gets an error from now on: nothing goes out from it any more, and what had arrived is lost.
    pub(crate) fn fail(&mut self, side: Side) {
        if std::mem::replace(&mut self.failed[side as usize], true) {
            return;
        }
        let to = self.pipe_mut(side.other());
        to.arrived.clear();
        let reader = to.reader.take();
        let writer = self.pipe_mut(side).writer.take();
        reader.into_iter().chain(writer).for_each(Waker::wake);
    }
}
