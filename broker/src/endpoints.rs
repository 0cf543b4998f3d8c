//! Which address a client is told to connect to.
//!
//! A configured advertised listener always wins. Without one, a single node advertises to each
//! connection the address which that connection reached, so that a broker works behind a port
//! mapping, in a container and on a laptop without advice.

use std::collections::BTreeMap;

use milena_cluster::metadata::image::MetadataImage;
use milena_protocol::codec::Text;
use milena_protocol::ids::NodeId;

use crate::request::Peer;

/// Host and port that a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The node.
    pub node_id: NodeId,
    /// A name or an address.
    pub host: Text,
    /// The port.
    pub port: i32,
    /// The node's rack.
    pub rack: Option<Text>,
}

/// What this node advertises.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    node_id: NodeId,
    /// By listener name, where it is configured.
    advertised: BTreeMap<String, (String, u16)>,
}

impl Endpoints {
    /// The configured advertised listeners of a node.
    #[must_use]
    pub fn new(node_id: NodeId, advertised: BTreeMap<String, (String, u16)>) -> Self {
        Self { node_id, advertised }
    }

    /// The live brokers as a client on this connection reaches them.
    #[must_use]
    pub fn live_brokers(&self, image: &MetadataImage, peer: &Peer) -> Vec<Endpoint> {
        image
            .brokers()
            .filter(|broker| !broker.fenced)
            .filter_map(|broker| self.of_broker(broker, peer))
            .collect()
    }

    /// One broker as a client on this connection reaches it.
    #[must_use]
    pub fn of_broker(
        &self,
        broker: &milena_cluster::metadata::image::BrokerImage,
        peer: &Peer,
    ) -> Option<Endpoint> {
        let (host, port) = if broker.id == self.node_id {
            self.own(peer)
        } else {
            let listener = broker.endpoints.iter().find(|e| *e.name == *peer.listener)?;
            (listener.host.clone(), i32::from(listener.port))
        };
        Some(Endpoint { node_id: broker.id, host, port, rack: broker.rack.clone() })
    }

    fn own(&self, peer: &Peer) -> (Text, i32) {
        match self.advertised.get(&*peer.listener) {
            Some((host, port)) => (host.as_str().into(), i32::from(*port)),
            None => {
                (peer.local.ip().to_canonical().to_string().into(), i32::from(peer.local.port()))
            }
        }
    }
}
