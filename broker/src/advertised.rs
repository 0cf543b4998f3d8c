//! Which address of this node others are told: what is configured, else what was bound, else, where
//! every interface was bound, the address that this machine has towards the others.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use crate::config::{Config, HostPort};
use crate::network::listener::Bound;

/// An address that nobody has (RFC 5737): asking the way there names the primary interface.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);

/// Where others reach a listener of this node.
#[must_use]
pub fn place(config: &Config, bound: &Bound) -> HostPort {
    let port = bound.address.port();
    match config.advertised_listeners.get(&*bound.name) {
        Some(said) if said.port == 0 => HostPort { host: said.host.clone(), port },
        Some(said) => said.clone(),
        None => HostPort { host: reachable(config, bound.address.ip()).to_string(), port },
    }
}

fn reachable(config: &Config, ip: IpAddr) -> IpAddr {
    if !ip.is_unspecified() {
        return ip;
    }
    let server = config.join.as_ref().and_then(|server| server.bind_addresses().ok());
    let towards = server.and_then(|places| places.first().copied()).unwrap_or(NOWHERE);
    local_address(towards).or_else(|| local_address(NOWHERE)).unwrap_or(Ipv4Addr::LOCALHOST.into())
}

/// The address of this machine from which another one would be reached. Nothing is sent.
#[must_use]
pub fn local_address(towards: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match towards.ip() {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(towards).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
}

/// Whether an address is one of this machine.
#[must_use]
pub fn is_local(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Others would be told an address of this machine that they cannot reach.
    #[test]
    fn the_way_to_the_others_names_the_address() {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 9092));
        assert_eq!(local_address(loopback), Some(Ipv4Addr::LOCALHOST.into()));
        assert!(is_local(Ipv4Addr::LOCALHOST.into()) && !is_local(NOWHERE.ip()));
    }
}
