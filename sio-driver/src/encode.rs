//! Encoding, with one buffer for each thread.

use std::cell::RefCell;

use sio_proto::engine::Encoded;
use sio_proto::socket::{Codec, EncodeError, Encoder};

thread_local! {
    static ENCODER: RefCell<Encoder> = const { RefCell::new(Encoder::new()) };
}

/// Encodes in this form, with the thread's buffer.
pub(crate) fn encode(
    codec: &Codec,
    with: impl FnOnce(&mut Encoder) -> Result<Encoded, EncodeError>,
) -> Result<Encoded, EncodeError> {
    let with = |encoder: &mut Encoder| {
        encoder.set_codec(codec);
        let encoded = with(encoder);
        // The thread must not keep a parser of the application's.
        encoder.set_codec(&Codec::Json);
        encoded
    };
    ENCODER.with(|encoder| match encoder.try_borrow_mut() {
        Ok(mut encoder) => with(&mut encoder),
        // A `Serialize` implementation that emits something itself.
        Err(_) => with(&mut Encoder::new()),
    })
}
