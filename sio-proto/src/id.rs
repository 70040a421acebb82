//! Identifiers, and the one source of entropy behind them.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// The entropy that a machine is given: 32 bytes, the seed of a ChaCha20 generator.
///
/// Every session id, socket id and jitter comes from it, so a machine with the same seed and the same inputs gives the
/// same outputs. In production the bytes must come from the operating system's generator, because session ids are
/// secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed(pub [u8; 32]);

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// The generator that grows from a [`Seed`].
pub(crate) struct Random(ChaCha20Rng);

impl Random {
    pub(crate) fn new(seed: Seed) -> Self {
        Self(ChaCha20Rng::from_seed(seed.0))
    }

    /// 64 random bits.
    pub(crate) fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A seed for a machine of its own.
    pub(crate) fn seed(&mut self) -> Seed {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        Seed(seed)
    }

    /// 8 characters of url-safe base64.
    pub(crate) fn token(&mut self) -> [u8; 8] {
        let (mut bytes, mut chars) = ([0; 6], [b'A'; 8]);
        self.0.fill_bytes(&mut bytes);
        let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut chars);
        debug_assert_eq!(written, Ok(8), "6 bytes are 8 characters of base64");
        chars
    }

    fn bytes(&mut self) -> [u8; ID_BYTES] {
        let mut bytes = [0; ID_BYTES];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random(..)")
    }
}

const ID_BYTES: usize = 15;
const ID_CHARS: usize = 20;

/// 20 characters of url-safe base64, held inline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Id([u8; ID_CHARS]);

impl Id {
    fn encode(bytes: [u8; ID_BYTES]) -> Self {
        let mut chars = [b'A'; ID_CHARS];
        let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut chars);
        debug_assert_eq!(written, Ok(ID_CHARS), "15 bytes are 20 characters of base64");
        Self(chars)
    }

    fn decode(text: &str) -> Result<(Self, [u8; ID_BYTES]), InvalidId> {
        let chars: [u8; ID_CHARS] = text.as_bytes().try_into().map_err(|_| InvalidId)?;
        let mut bytes = [0; ID_BYTES];
        match URL_SAFE_NO_PAD.decode_slice(chars, &mut bytes) {
            Ok(ID_BYTES) => Ok((Self(chars), bytes)),
            _ => Err(InvalidId),
        }
    }

    fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The text is not an id of this library: 20 characters of url-safe base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: 20 characters of A-Z a-z 0-9 - _ are expected")]
pub struct InvalidId;

/// The id of an Engine.IO session: a secret between the server and that client.
///
/// Whoever knows it can post to the session and poll from it, so it is never shown to other clients; sockets have a
/// public [`SocketId`] of their own. The last byte tells which shard of a server holds the session; what the application chose stands
/// at the beginning: see [`SidPrefix`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(Id);

impl Sid {
    pub(crate) fn random(random: &mut Random, shard: u8, prefix: SidPrefix) -> Self {
        let mut bytes = random.bytes();
        bytes[ID_BYTES - 1] = shard;
        let mut id = Id::encode(bytes);
        let prefix = prefix.as_str().as_bytes();
        id.0[..prefix.len()].copy_from_slice(prefix);
        Self(id)
    }

    /// The index of the shard that made this id.
    #[must_use]
    pub fn shard(&self) -> u8 {
        Id::decode(self.as_str()).map_or(0, |(_, bytes)| bytes[ID_BYTES - 1])
    }

    /// The id as it stands in the URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for Sid {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Id::decode(text).map(|(id, _)| Self(id))
    }
}

impl fmt::Debug for Sid {
    /// Shows the first four characters only: logs are read by people who must not be able to take a session over.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sid({}…)", &self.as_str()[..4])
    }
}

/// What an application chooses of a session's id: its first characters, at most 16 of `A-Z a-z 0-9 - _`. The rest stays random, but for
/// the shard.
///
/// A few characters, such as the name of a node, let proxies and logs tell where a session lives, and leave the id a secret: each
/// character takes 6 of its 112 random bits. Who chooses more than 8 must choose them at random, so that nobody can guess the id.
///
/// ```
/// use sio_proto::SidPrefix;
///
/// assert_eq!("eu-1".parse::<SidPrefix>()?.as_str(), "eu-1");
/// assert!("eu/1".parse::<SidPrefix>().is_err());
/// # Ok::<(), sio_proto::InvalidPrefix>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct SidPrefix {
    chars: [u8; PREFIX_CHARS],
    len: u8,
}

/// The last group of four characters is not whole: it has the shard.
const PREFIX_CHARS: usize = ID_CHARS - 4;

/// The text cannot begin an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the beginning of an id: at most 16 characters of A-Z a-z 0-9 - _ are expected")]
pub struct InvalidPrefix;

impl SidPrefix {
    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.chars
            .get(..usize::from(self.len))
            .and_then(|chars| core::str::from_utf8(chars).ok())
            .unwrap_or_default()
    }
}

impl FromStr for SidPrefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        let mut chars = [0; PREFIX_CHARS];
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !text.as_bytes().iter().all(allowed) {
            return Err(InvalidPrefix);
        }
        chars.get_mut(..text.len()).ok_or(InvalidPrefix)?.copy_from_slice(text.as_bytes());
        let len = u8::try_from(text.len()).map_err(|_| InvalidPrefix)?;
        Ok(Self { chars, len })
    }
}

impl fmt::Debug for SidPrefix {
    /// Shows the length only: with many characters it is as good as the id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SidPrefix({} characters)", self.len)
    }
}

/// The id of a session of connection state recovery: one socket, from connection to connection. A secret between the server and that
/// client, because whoever shows it gets the socket's id, rooms and missed events.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(Id);

impl Pid {
    pub(crate) fn random(random: &mut Random) -> Self {
        Self(Id::encode(random.bytes()))
    }

    /// The id as it stands in packets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for Pid {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Id::decode(text).map(|(id, _)| Self(id))
    }
}

impl fmt::Debug for Pid {
    /// Shows the first four characters only, for the reason given at [`Sid`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pid({}…)", &self.as_str()[..4])
    }
}

/// The public id of a socket: one client in one namespace. 20 characters, as other nodes of a cluster expect.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(Id);

impl SocketId {
    pub(crate) fn random(random: &mut Random) -> Self {
        Self(Id::encode(random.bytes()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for SocketId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Id::decode(text).map(|(id, _)| Self(id))
    }
}

impl AsRef<str> for SocketId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<SocketId> for String {
    fn from(id: SocketId) -> Self {
        id.as_str().into()
    }
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketId({})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_twenty_characters_and_parse_back() {
        let mut random = Random::new(Seed([7; 32]));
        let sid = Sid::random(&mut random, 3, SidPrefix::default());
        assert_eq!((sid.as_str().len(), sid.shard()), (20, 3));
        assert_eq!(sid.as_str().parse(), Ok(sid));
        assert_ne!(SocketId::random(&mut random), SocketId::random(&mut random));
        for bad in ["", "short", "__proto__", "AAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAA", "ÄÄÄÄÄÄÄÄÄÄ"]
        {
            assert_eq!(bad.parse::<Sid>(), Err(InvalidId), "{bad}");
        }
    }

    #[test]
    fn the_application_chooses_how_a_session_id_begins() {
        let mut random = Random::new(Seed([7; 32]));
        for text in ["", "n", "eu-1", "_________", "0123456789abcdef"] {
            let prefix: SidPrefix = text.parse().unwrap();
            let (one, two) = (Sid::random(&mut random, 255, prefix), Sid::random(&mut random, 255, prefix));
            assert!(one.as_str().starts_with(text), "{one:?}");
            assert_eq!((one.shard(), one.as_str().parse()), (255, Ok(one)));
            assert_ne!(one, two, "the rest is random");
        }
        for bad in ["0123456789abcdefg", "a b", "a/b", "a+b", "é", "a\n"] {
            assert_eq!(bad.parse::<SidPrefix>(), Err(InvalidPrefix), "{bad:?}");
        }
    }
}
