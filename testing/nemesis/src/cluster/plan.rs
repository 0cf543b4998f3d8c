//! Who is in the cluster: numbers, directories and ports of the nodes.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use crate::random::Random;

/// Ports are taken from here: below those that Linux gives to outgoing connections, so that nobody
/// has a node's port when it comes back.
const PORTS: (u16, u16) = (20_000, 32_000);
/// How many ports are tried.
const MAX_ATTEMPTS: usize = 1_000;

/// The number of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct NodeId(pub i32);

/// A port of a node, and where others are told to find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where the process listens.
    pub port: u16,
    /// Where it is reached: the same, or a proxy before it.
    pub advertised: u16,
}

/// One node: broker and controller.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its number.
    pub id: NodeId,
    /// What belongs to it: settings, data, what it prints.
    pub directory: PathBuf,
    /// For clients and other brokers.
    pub clients: Endpoint,
    /// For the quorum.
    pub controllers: Endpoint,
    /// For people.
    pub http_port: u16,
}

impl Node {
    /// Where its data is.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Its settings.
    #[must_use]
    pub fn properties(&self) -> PathBuf {
        self.directory.join("server.properties")
    }

    /// What it prints.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.join("log")
    }
}

/// Plans so many nodes below a directory, behind proxies or not.
///
/// # Errors
/// When there are no free ports.
pub fn nodes(count: usize, below: &Path, is_behind_proxies: bool) -> io::Result<Vec<Node>> {
    let mut ports = Ports { random: Random::of(u64::from(std::process::id())), taken: Vec::new() };
    let mut planned = Vec::new();
    for id in (1..).take(count) {
        let mut endpoint = || -> io::Result<Endpoint> {
            let port = ports.next()?;
            let advertised = if is_behind_proxies { ports.next()? } else { port };
            Ok(Endpoint { port, advertised })
        };
        let (clients, controllers) = (endpoint()?, endpoint()?);
        let directory = below.join(format!("node-{id}"));
        let http_port = ports.next()?;
        planned.push(Node { id: NodeId(id), directory, clients, controllers, http_port });
    }
    Ok(planned)
}

/// Free ports, each once.
struct Ports {
    random: Random,
    taken: Vec<u16>,
}

impl Ports {
    fn next(&mut self) -> io::Result<u16> {
        let (first, end) = PORTS;
        for _ in 0..MAX_ATTEMPTS {
            let port =
                first + u16::try_from(self.random.below(u64::from(end - first))).unwrap_or(0);
            let is_free = || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
            if !self.taken.contains(&port) && is_free() {
                self.taken.push(port);
                return Ok(port);
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "no free port"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two nodes would fight for a port.
    #[test]
    fn every_port_is_given_once() {
        let nodes = nodes(5, Path::new("/"), true).unwrap();
        let mut ports: Vec<u16> = nodes
            .iter()
            .flat_map(|node| {
                let Node { clients, controllers, http_port, .. } = node;
                let endpoints = [clients, controllers];
                let ports = endpoints.map(|endpoint| [endpoint.port, endpoint.advertised]);
                ports.concat().into_iter().chain([*http_port])
            })
            .collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 25);
    }
}
