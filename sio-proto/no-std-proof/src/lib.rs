//! A proof that `sio-proto` does without `std`.
//!
//! This is a program's whole set of static code, with a panic handler and an allocator of its own. As soon as any
//! dependency brings `std`, there are two panic handlers, and the build fails:
//!
//! ```text
//! error[E0152]: found duplicate lang item `panic_impl`
//! ```
#![no_std]

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use sio_proto::client::{self, Client};
use sio_proto::engine::{Answer, ClientRequest, Message, Request};
use sio_proto::server::{Admission, Config, Event, Server};
use sio_proto::socket::{Emit, Encoder, SocketConfig};
use sio_proto::{Instant, Seed};

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

const SIZE: usize = 1 << 20;

/// Gives out one piece of memory from front to back and takes nothing back: enough for a proof.
struct Bump {
    memory: core::cell::UnsafeCell<[u8; SIZE]>,
    used: AtomicUsize,
}

// SAFETY: each byte is given out once, because `used` only grows, and atomically.
unsafe impl Sync for Bump {}

// SAFETY: what is given out lies inside of `memory`, is aligned as asked, and overlaps with nothing given out before.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.memory.get().cast::<u8>();
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let padding = start.addr().wrapping_add(used).wrapping_neg() & (layout.align() - 1);
            let Some(end) = used.checked_add(padding).and_then(|at| at.checked_add(layout.size())) else {
                return ptr::null_mut();
            };
            if end > SIZE {
                return ptr::null_mut();
            }
            match self.used.compare_exchange_weak(used, end, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return start.wrapping_add(used + padding),
                Err(now) => used = now,
            }
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static MEMORY: Bump = Bump { memory: core::cell::UnsafeCell::new([0; SIZE]), used: AtomicUsize::new(0) };

/// Calls into each layer, so that all of it is linked. 0 if all went as it should.
#[unsafe(no_mangle)]
pub extern "C" fn prove() -> i32 {
    match speak() {
        Some(()) => 0,
        None => 1,
    }
}

fn speak() -> Option<()> {
    let now = Instant::ZERO;
    let mut server = Server::new(Config::default(), Seed([0; 32]));
    let Ok(Admission::Poll(poll)) = server.handle_request(Request::Handshake, None, now) else { return None };
    server.poll_transmit(poll, now)?;
    let websocket = server.open_websocket(None, now).ok()?;
    let conn = server.conn_of(websocket)?;
    server.handle_message(websocket, Message::Text("40".into()), now).ok()?;
    let Some(Event::Connect { socket, .. }) = server.poll_event(conn, &[]) else { return None };
    server.accept(socket, now).ok()?;
    server.handle_message(websocket, Message::Text(r#"42["number",1.5]"#.into()), now).ok()?;
    let Some(Event::Event { payload, .. }) = server.poll_event(conn, &[]) else { return None };
    let number: f64 = payload.deserialize().ok()?;
    let packet = Encoder::new().event("/", None, "answer", &(number, Bytes::from_static(b"binary"))).ok()?;
    server.emit(socket, packet, false).ok()?;
    while server.poll_transmit(websocket, now).is_some() {}
    server.handle_timeout(server.poll_timeout()?);
    server.close(now);
    listen(now)
}

/// The client's side.
fn listen(now: Instant) -> Option<()> {
    let mut client = Client::new(client::Config::default(), Seed([0; 32]));
    let slot = client.socket("/", SocketConfig::default());
    client.connect(slot, now).ok()?;
    let Some(ClientRequest::Get { channel, .. }) = client.poll_request(now) else { return None };
    let open = r#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000}"#;
    let answer = Answer { status: 200, location: None, body: Bytes::from_static(open.as_bytes()) };
    client.handle_answer(channel, answer, now).ok()?;
    let packet = Encoder::new().event("/", None, "question", &1).ok()?;
    client.emit(slot, Emit::new(packet), now).ok()?;
    while client.poll_request(now).is_some() {}
    client.handle_timeout(client.poll_timeout()?);
    client.close(now);
    while client.poll_event(&[], now).is_some() {}
    Some(())
}
