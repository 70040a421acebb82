//! How many connections are let in.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sio_proto::engine::Refusal;

/// Counts connections, from their handshake to their end, over all shards.
#[derive(Default)]
pub(crate) struct Gate {
    pub(super) limit: Option<usize>,
    pub(super) limit_per_address: Option<usize>,
    /// Whether it was said that addresses are not known.
    warned: AtomicBool,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    all: AtomicUsize,
    addresses: Mutex<HashMap<IpAddr, usize>>,
}

/// The place of one connection, until it is dropped.
pub(crate) struct Permit {
    counts: Arc<Counts>,
    address: Option<IpAddr>,
}

impl Gate {
    /// A place, if one is free. Nothing is counted without a limit.
    pub(crate) fn enter(&self, remote_addr: Option<SocketAddr>) -> Result<Option<Permit>, Refusal> {
        if self.limit.is_none() && self.limit_per_address.is_none() {
            return Ok(None);
        }
        let counts_addresses = self.limit_per_address.is_some();
        if counts_addresses && remote_addr.is_none() && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "max_connections_per_address has no effect on connections that come without their address (said once)"
            );
        }
        // From here on the permit takes back what was counted, also if there is no place.
        let all = self.counts.all.fetch_add(1, Ordering::Relaxed);
        let mut permit = Permit { counts: self.counts.clone(), address: None };
        if self.limit.is_some_and(|limit| all >= limit) {
            return Err(Refusal::TooManyConnections);
        }
        if let (Some(limit), Some(address)) = (self.limit_per_address, remote_addr) {
            let address = subscriber(address.ip());
            let mut addresses = self.counts.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            let count = addresses.get(&address).copied().unwrap_or(0);
            if count >= limit {
                drop(addresses);
                return Err(Refusal::TooManyConnections);
            }
            addresses.insert(address, count + 1);
            drop(addresses);
            permit.address = Some(address);
        }
        Ok(Some(permit))
    }
}

/// What one subscriber has: an IPv4 address, or 64 bits of IPv6 addresses.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (!0 << 64))),
        address => address,
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.counts.all.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address {
            let mut addresses = self.counts.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            match addresses.get_mut(&address) {
                Some(count) if *count > 1 => *count -= 1,
                _ => {
                    addresses.remove(&address);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(gate: &Gate, address: &str) -> Result<Permit, Refusal> {
        gate.enter(Some(SocketAddr::new(address.parse().unwrap(), 1))).map(|permit| permit.expect("counted"))
    }

    #[test]
    fn places_are_given_back() {
        let gate = Gate { limit: Some(2), ..Gate::default() };
        let one = enter(&gate, "10.0.0.1").ok().unwrap();
        let _two = enter(&gate, "10.0.0.1").ok().unwrap();
        for _ in 0..3 {
            assert_eq!(enter(&gate, "10.0.0.2").err(), Some(Refusal::TooManyConnections));
        }
        drop(one);
        assert!(enter(&gate, "10.0.0.2").is_ok());
    }

    #[test]
    fn each_address_has_its_own() {
        let gate = Gate { limit_per_address: Some(1), ..Gate::default() };
        let one = enter(&gate, "10.0.0.1").ok().unwrap();
        assert!(enter(&gate, "::ffff:10.0.0.1").is_err(), "the same, on a socket for both families");
        let _other = enter(&gate, "10.0.0.2").ok().unwrap();
        let _six = enter(&gate, "2001:db8::1").ok().unwrap();
        assert!(enter(&gate, "2001:db8::2").is_err(), "one subscriber has all of these");
        assert!(enter(&gate, "2001:db8:0:1::1").is_ok());
        assert!(gate.enter(None).is_ok(), "nobody knows whose it is");
        drop(one);
        assert!(enter(&gate, "10.0.0.1").is_ok());
        assert_eq!(gate.counts.addresses.lock().unwrap().len(), 2, "nothing is kept of those who left");
    }
}
