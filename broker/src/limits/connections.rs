//! How many connections there may be, in all and from one address.
//!
//! At the limit of all, accepting waits until one is closed, as Kafka's does (KIP-402): whoever
//! comes then stands in the system's queue. One address too many is refused at once. Both limits
//! may change while connections are open; those that are open stay.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The connections that are open, and how many there may be.
#[derive(Debug)]
pub struct Connections {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    allowed: Allowed,
    count: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// In all: `max.connections`.
    pub total: usize,
    /// From one address: `max.connections.per.ip`.
    pub per_address: usize,
}

/// One address has as many connections as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// The place of one connection; it is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Connections {
    /// No connections yet.
    #[must_use]
    pub fn new(allowed: Allowed) -> Arc<Self> {
        let state = State { allowed, count: 0, by_address: HashMap::new() };
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new() })
    }

    /// Puts other limits in force.
    pub fn allow(&self, allowed: Allowed) {
        self.state.lock().allowed = allowed;
        self.changed.notify_waiters();
    }

    /// Whether there is room for one more.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let state = self.state.lock();
        state.count < state.allowed.total
    }

    /// Waits for room, and takes a place in it.
    ///
    /// # Errors
    /// [`TooMany`] at once when this address has as many as it may.
    pub async fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Place, TooMany> {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.state.lock();
                if state.count < state.allowed.total {
                    return state
                        .enter(address)
                        .map(|()| Place { connections: self.clone(), address });
                }
            }
            changed.await;
        }
    }
}

impl State {
    fn enter(&mut self, address: IpAddr) -> Result<(), TooMany> {
        let of_address = self.by_address.get(&address).copied().unwrap_or_default();
        if of_address >= self.allowed.per_address {
            return Err(TooMany);
        }
        self.count += 1;
        self.by_address.insert(address, of_address + 1);
        Ok(())
    }

    fn leave(&mut self, address: IpAddr) {
        self.count -= 1;
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.state.lock().leave(self.address);
        self.connections.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

    /// One client could take all connections, or its closed ones count for ever.
    #[tokio::test]
    async fn an_address_has_its_share() {
        let connections = Connections::new(Allowed { total: 10, per_address: 1 });
        let first = connections.enter(ONE).await.unwrap();
        assert_eq!(connections.enter(ONE).await.unwrap_err(), TooMany);
        let _other = connections.enter(OTHER).await.unwrap();
        drop(first);
        assert!(connections.enter(ONE).await.is_ok());
    }

    /// A full broker would turn clients away, or never let them in again.
    #[tokio::test]
    async fn a_full_house_waits_for_room_or_for_a_larger_house() {
        let connections = Connections::new(Allowed { total: 1, per_address: 10 });
        let first = connections.enter(ONE).await.unwrap();
        assert!(!connections.has_room());
        let (second, ()) = tokio::join!(connections.enter(OTHER), async { drop(first) });
        let grown = Allowed { total: 2, per_address: 10 };
        let (third, ()) =
            tokio::join!(connections.enter(OTHER), async { connections.allow(grown) });
        assert!(second.is_ok() && third.is_ok());
    }
}
