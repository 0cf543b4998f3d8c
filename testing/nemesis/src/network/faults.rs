//! All proxies of a cluster.

use std::collections::BTreeMap;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::link::{End, Links, Quality};
use super::proxy::Proxy;
use crate::cluster::members::Members;
use crate::cluster::plan::NodeId;
use crate::random::Random;

/// The network between nodes and clients.
#[derive(Debug)]
pub struct Network {
    links: Links,
    is_up: BTreeMap<NodeId, watch::Sender<bool>>,
}

impl Network {
    /// Puts a proxy before each listener, for as long as the runtime lives.
    #[must_use]
    pub fn begin(runtime: &Handle, members: &Members, random: &mut Random) -> Self {
        let links = Links::default();
        let mut is_up = BTreeMap::new();
        for node in members.nodes() {
            let up = watch::Sender::new(false);
            for endpoint in [node.clients, node.controllers] {
                let proxy = Proxy {
                    node: node.id,
                    endpoint,
                    links: links.clone(),
                    ids: members.ids(),
                    random: random.branch(),
                };
                runtime.spawn(proxy.serve(up.subscribe()));
            }
            is_up.insert(node.id, up);
        }
        Self { links, is_up }
    }

    /// Says that a node starts.
    pub fn up(&self, node: NodeId) {
        self.turn(node, true);
    }

    /// Says that a node is about to die.
    pub fn down(&self, node: NodeId) {
        self.turn(node, false);
    }

    fn turn(&self, node: NodeId, is_up: bool) {
        if let Some(up) = self.is_up.get(&node) {
            up.send_if_modified(|now| std::mem::replace(now, is_up) != is_up);
        }
    }

    /// Lets nothing through in one direction.
    pub fn cut(&self, from: End, to: End) {
        self.set(from, to, Quality::cut());
    }

    /// Changes one direction.
    pub fn set(&self, from: End, to: End, quality: Quality) {
        self.links.set(from, to, quality);
    }

    /// Makes all directions good.
    pub fn heal(&self) {
        self.links.heal();
    }
}
