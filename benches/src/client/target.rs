//! Where the server under load is.

use core::net::SocketAddr;

use anyhow::{Context, Result, ensure};

/// The address and path of a Socket.IO server. Only loopback addresses are accepted: this is no tool to load a
/// network with.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where to connect to.
    pub addr: SocketAddr,
    /// The path that Engine.IO answers on, with its slashes: `/socket.io/`.
    pub path: String,
}

impl Target {
    /// A server at `addr` with the usual path.
    ///
    /// # Errors
    /// If the address is not a loopback address.
    pub fn new(addr: SocketAddr) -> Result<Self> {
        ensure!(addr.ip().is_loopback(), "{addr} is not a loopback address");
        Ok(Self { addr, path: "/socket.io/".to_owned() })
    }

    /// Reads `http://127.0.0.1:3000`, with or without a path.
    ///
    /// # Errors
    /// If this is no such URL, or not a loopback address.
    pub fn parse(url: &str) -> Result<Self> {
        let rest = url.strip_prefix("http://").unwrap_or(url);
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let authority = authority.replace("localhost", "127.0.0.1");
        let addr = authority.parse().with_context(|| format!("{authority} is not an address with a port"))?;
        let mut target = Self::new(addr)?;
        if path.len() > 1 {
            path.clone_into(&mut target.path);
        }
        Ok(target)
    }
}
