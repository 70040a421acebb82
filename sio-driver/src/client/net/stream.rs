//! One type for all streams: TCP, a tunnel, TLS in a tunnel.

use hyper::rt::{Read, Write};

/// What hyper reads from and writes to.
pub(crate) trait Stream: Read + Write + Unpin + Send {}

impl<S: Read + Write + Unpin + Send> Stream for S {}

/// A connection, whatever it is made of. Layers come and go when it is dialled, so it has no type parameter.
pub(crate) type BoxStream = Box<dyn Stream>;
