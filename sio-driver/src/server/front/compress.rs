//! Packs bodies, a piece at a time.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use sio_proto::engine::Coding;

use crate::wakers::yield_now;

/// So much is packed before other tasks get their turn.
const PIECE: usize = 64 << 10;

pub(super) async fn pack(body: &[u8], coding: Coding) -> Bytes {
    let room = Vec::with_capacity(body.len() / 4);
    let packed = match coding {
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(room, Compression::default());
            write(&mut encoder, body).await.and_then(|()| encoder.finish())
        }
        _ => gzip(room, body).await,
    };
    packed.expect("a Vec takes everything").into()
}

async fn gzip(room: Vec<u8>, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(room, Compression::default());
    write(&mut encoder, body).await?;
    encoder.finish()
}

async fn write(encoder: &mut impl Write, body: &[u8]) -> io::Result<()> {
    for (index, piece) in body.chunks(PIECE).enumerate() {
        if index > 0 {
            yield_now().await;
        }
        encoder.write_all(piece)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::io::Read as _;
    use std::task::{Context, Poll, Waker};

    use flate2::read::{GzDecoder, ZlibDecoder};

    use super::*;

    #[test]
    fn long_bodies_leave_others_their_turn() {
        let body: Vec<u8> = (0..5 * PIECE as u64).map(|i| ((i * i) >> 7) as u8).collect();
        for coding in [Coding::Gzip, Coding::Deflate] {
            let mut packing = std::pin::pin!(pack(&body, coding));
            let mut turns = 1;
            let packed = loop {
                match packing.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(packed) => break packed,
                    Poll::Pending => turns += 1,
                }
            };
            assert_eq!(turns, 5);
            let mut unpacked = Vec::new();
            match coding {
                Coding::Gzip => GzDecoder::new(&packed[..]).read_to_end(&mut unpacked),
                _ => ZlibDecoder::new(&packed[..]).read_to_end(&mut unpacked),
            }
            .unwrap();
            assert!(unpacked == body);
        }
    }
}
