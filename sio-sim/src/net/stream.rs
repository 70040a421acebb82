//! [`SimStream`]: one end of a connection, as the driver sees it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use hyper::rt::{Read, ReadBufCursor, Write};
use sio_driver::Runtime as _;

use super::link::{Parcel, Side};
use super::trace;
use crate::runtime::Sim;

/// One end of a simulated connection. Dropping it closes the connection; if not all was read, with an error for the other end, as TCP
/// does.
#[derive(Debug)]
pub struct SimStream {
    sim: Sim,
    link: u64,
    side: Side,
}

impl SimStream {
    pub(super) fn new(sim: &Sim, link: u64, side: Side) -> Self {
        Self { sim: sim.clone(), link, side }
    }
}

impl Read for SimStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut locked = self.sim.net().lock();
        let state = &mut *locked;
        let link = state.links.get_mut(&self.link).expect("it is there while this end is");
        if link.failed[self.side as usize] {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let pipe = link.pipe_mut(self.side.other());
        let mut length = pipe.arrived.len().min(into.remaining());
        if length == 0 {
            if pipe.ended || into.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if state.random.percent(state.weather.chop) {
            length = 1 + state.random.index(length);
        }
        let read: Vec<u8> = pipe.arrived.drain(..length).collect();
        into.put_slice(&read);
        if pipe.live_bytes() <= link.capacity / 2 {
            let pipe = link.pipe_mut(self.side.other());
            pipe.writer.take().into_iter().for_each(Waker::wake);
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for SimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let mut locked = self.sim.net().lock();
        let state = &mut *locked;
        let link = state.links.get_mut(&self.link).expect("it is there while this end is");
        if link.failed[self.side as usize] {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let capacity = link.capacity;
        let pipe = link.pipe_mut(self.side);
        if pipe.shut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = capacity.saturating_sub(pipe.live_bytes());
        let mut length = from.len().min(room);
        // As TCP does: room of a few bytes is none, or else bytes would travel one by one.
        if room < from.len().min(capacity / 2) {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if length > 0 && state.random.percent(state.weather.chop) {
            length = 1 + state.random.index(length);
        }
        let data = &from[..length];
        if let Some(log) = &mut state.trace {
            let canon = &mut pipe.canon;
            trace::record(log, self.sim.now(), self.link, self.side, data, |bytes| canon.take(bytes));
        }
        state.send(&self.sim, self.link, self.side, Parcel::Data(data.to_vec()));
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.sim.net().lock();
        let link = state.links.get_mut(&self.link).expect("it is there while this end is");
        if link.failed[self.side as usize] {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        if !std::mem::replace(&mut link.pipe_mut(self.side).shut, true) {
            state.send(&self.sim, self.link, self.side, Parcel::End);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        let mut locked = self.sim.net().lock();
        let state = &mut *locked;
        let Some(link) = state.links.get_mut(&self.link) else { return };
        link.open[self.side as usize] = false;
        if link.open == [false; 2] {
            state.links.remove(&self.link);
            return;
        }
        let failed = link.failed[self.side as usize];
        let unread = !link.pipe_mut(self.side.other()).arrived.is_empty();
        link.pipe_mut(self.side.other()).arrived.clear();
        let shut = std::mem::replace(&mut link.pipe_mut(self.side).shut, true);
        if unread {
            state.send(&self.sim, self.link, self.side, Parcel::Reset);
        } else if !failed && !shut {
            state.send(&self.sim, self.link, self.side, Parcel::End);
        }
        // What was read here makes room no more, but what is written from now on is answered.
        let link = state.links.get_mut(&self.link).expect("as above");
        link.pipe_mut(self.side.other()).writer.take().into_iter().for_each(Waker::wake);
    }
}
