//! A proxy before one listener of a node.
//!
//! It listens while the node does: a node that is dead refuses connections, and this one must not
//! hide that.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::link::{End, Links};
use super::owner;
use super::pump::carry;
use crate::cluster::members::Ids;
use crate::cluster::plan::{Endpoint, NodeId};
use crate::random::Random;

/// How often a starting node is looked at.
const PERIOD: Duration = Duration::from_millis(10);

/// What a proxy needs.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Whose listener is behind it.
    pub node: NodeId,
    /// Where it listens, and where the node does.
    pub endpoint: Endpoint,
    /// What connects the ends.
    pub links: Links,
    /// Which processes are nodes.
    pub ids: Ids,
    /// Chance.
    pub random: Random,
}

impl Proxy {
    /// Serves while the node is up, as long as the runtime lives.
    pub async fn serve(mut self, mut is_up: watch::Receiver<bool>) {
        while turned(&mut is_up, true).await {
            tokio::select! {
                _ = turned(&mut is_up, false) => {}
                // It ends only by an error, such as a port that is not yet free again.
                _ = self.listen() => tokio::time::sleep(PERIOD).await,
            }
        }
    }

    async fn listen(&mut self) -> io::Result<()> {
        while !is_listening(self.endpoint.port) {
            tokio::time::sleep(PERIOD).await;
        }
        let address = (Ipv4Addr::LOCALHOST, self.endpoint.advertised);
        let listener = TcpListener::bind(address).await?;
        loop {
            let (stream, peer) = listener.accept().await?;
            let from = self.from(peer.port());
            tokio::spawn(connect(
                stream,
                self.endpoint.port,
                self.links.clone(),
                (from, End::Node(self.node)),
                self.random.branch(),
            ));
        }
    }

    fn from(&self, port: u16) -> End {
        let ids = self.ids.lock().clone();
        owner::of(port, self.endpoint.advertised, &ids)
    }
}

/// Waits until a node is up, or is not; false once nobody will say so any more.
async fn turned(is_up: &mut watch::Receiver<bool>, wanted: bool) -> bool {
    is_up.wait_for(|is_up| *is_up == wanted).await.is_ok()
}

async fn connect(stream: TcpStream, port: u16, links: Links, ends: (End, End), mut random: Random) {
    let Ok(behind) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    // Without it small answers wait for more; a connection where it cannot be set is broken.
    if stream.set_nodelay(true).and_then(|()| behind.set_nodelay(true)).is_err() {
        return;
    }
    let (from_client, to_client) = stream.into_split();
    let (from_node, to_node) = behind.into_split();
    let there = carry(from_client, to_node, links.get(ends.0, ends.1), random.branch());
    let back = carry(from_node, to_client, links.get(ends.1, ends.0), random.branch());
    tokio::join!(there, back);
}

/// Whether somebody listens on a port, found without knocking.
fn is_listening(port: u16) -> bool {
    const LISTENING: &str = "0A";
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let table = std::fs::read_to_string(table).unwrap_or_default();
        table.lines().any(|line| {
            let mut words = line.split_whitespace().skip(1);
            let local = words.next().and_then(|end| end.rsplit_once(':'));
            let local = local.and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
            local == Some(port) && words.nth(1) == Some(LISTENING)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node that has not started would be knocked at, or one that has not be found.
    #[test]
    fn a_listener_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(is_listening(port));
        drop(listener);
        assert!(!is_listening(port));
    }
}
