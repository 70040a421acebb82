//! Encoding, with one buffer for each thread.

use std::cell::RefCell;

use sio_proto::engine::Encoded;
use sio_proto::socket::{EncodeError, Encoder};

thread_local! {
    static ENCODER: RefCell<Encoder> = const { RefCell::new(Encoder::new()) };
}

/// Encodes with the thread's buffer.
pub(crate) fn encode(
    with: impl FnOnce(&mut Encoder) -> Result<Encoded, EncodeError>,
) -> Result<Encoded, EncodeError> {
    ENCODER.with(|encoder| match encoder.try_borrow_mut() {
        Ok(mut encoder) => with(&mut encoder),
        // A `Serialize` implementation that emits something itself.
        Err(_) => with(&mut Encoder::new()),
    })
}
