//! Three brokers of ours as one cluster.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use super::check::{Failure, Outcome};
use super::milena::Milena;
use super::place::Place;

/// How many nodes there are.
const NODES: usize = 3;

/// A running cluster; killed when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    /// Where clients reach its nodes, with commas between them.
    pub addresses: String,
    nodes: Vec<Milena>,
}

impl Cluster {
    /// Starts all nodes below a directory, and waits until they serve.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start(place: &Place, data: &Path, settings: &[&str]) -> Outcome<Self> {
        let ports = free_ports(2 * NODES)?;
        let (client, quorum) = ports.split_at(NODES);
        let voters: Vec<String> = (1..)
            .zip(quorum)
            .map(|(id, port): (i32, &u16)| format!("{id}@127.0.0.1:{port}"))
            .collect();
        let mut nodes = Vec::new();
        for (id, (client, quorum)) in (1..).zip(client.iter().zip(quorum)) {
            let own = [
                format!("node.id={id}"),
                format!("listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{quorum}"),
                "controller.listener.names=CONTROLLER".to_owned(),
                format!("controller.quorum.voters={}", voters.join(",")),
                "default.replication.factor=3".to_owned(),
                "min.insync.replicas=2".to_owned(),
                format!("broker.rack=RACK{id}"),
            ];
            let mut all: Vec<&str> = own.iter().map(String::as_str).collect();
            all.extend(settings);
            std::fs::create_dir_all(data)
                .map_err(Failure::while_doing("cannot make a directory for the cluster"))?;
            nodes.push(Milena::spawn(place, &data.join(format!("node-{id}")), *client, &all)?);
        }
        // None comes up alone.
        for node in &mut nodes {
            node.wait_until_ready()?;
        }
        let addresses: Vec<&str> = nodes.iter().map(|node| node.address.as_str()).collect();
        Ok(Self { addresses: addresses.join(","), nodes })
    }

    /// How many copies a topic has that says nothing of them.
    #[must_use]
    pub fn copies(&self) -> usize {
        self.nodes.len()
    }
}

/// Ports that are free now.
///
/// # Errors
/// When there are not so many.
pub fn free_ports(count: usize) -> Outcome<Vec<u16>> {
    let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let held: Vec<TcpListener> = (0..count)
        .map(bind)
        .collect::<Result<_, _>>()
        .map_err(Failure::while_doing("cannot find free ports"))?;
    let port = |socket: &TcpListener| socket.local_addr().map(|address| address.port());
    held.iter().map(port).collect::<Result<_, _>>().map_err(Failure::while_doing("no port"))
}
