//! Binary messages in text: base64, lenient as the reference is when it decodes.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::{BufMut, Bytes};

/// Padding is written, and not asked for: some clients leave it out.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

pub(super) fn decode(text: &[u8]) -> Option<Bytes> {
    ENGINE.decode(text).ok().map(Bytes::from)
}

/// Length of `bytes` bytes when encoded.
pub(super) const fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

pub(super) fn encode(bytes: &[u8], out: &mut impl BufMut) {
    // In pieces through the stack: the output is any buffer, and a heap string on the way would double the cost.
    let mut text = [0; 1024];
    for piece in bytes.chunks(text.len() / 4 * 3) {
        if let Ok(written) = ENGINE.encode_slice(piece, &mut text) {
            out.put_slice(&text[..written]);
        }
    }
}
