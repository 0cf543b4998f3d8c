//! What the metadata says of a partition and of the brokers that keep it.

use std::collections::BTreeMap;

use milena_protocol::codec::Text;
use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, NodeId, PartitionIndex, Uuid};

use crate::metadata::image::MetadataImage;

/// A broker that keeps a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its registration.
    pub epoch: BrokerEpoch,
    /// Neither fenced nor about to stop, so it may join an ISR (KIP-841).
    pub is_active: bool,
    /// Where it stands.
    pub rack: Option<Text>,
}

/// A partition at one of its epochs, with its brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The epoch of its leader.
    pub leader_epoch: LeaderEpoch,
    /// Grows with every change.
    pub partition_epoch: i32,
    /// The replicas, those that a reassignment adds or removes among them.
    pub replicas: Vec<NodeId>,
    /// Those in sync.
    pub isr: Vec<NodeId>,
    /// Its leader was elected unclean and has not said yet that it recovered (KIP-704).
    pub is_recovering: bool,
    /// The replicas' brokers, as far as they are registered.
    pub peers: BTreeMap<NodeId, Peer>,
}

impl Standing {
    /// Whether it was said since a broker registered under this epoch. Whatever is older is about
    /// an incarnation before it, which may have had more records: a broker that has just started
    /// takes no role from that.
    #[must_use]
    pub fn knows(&self, node: NodeId, epoch: BrokerEpoch) -> bool {
        self.peers.get(&node).is_some_and(|peer| peer.epoch == epoch)
    }

    /// What an image says of a partition; nothing where there is none such.
    #[must_use]
    pub fn of(image: &MetadataImage, topic: Uuid, index: PartitionIndex) -> Option<Self> {
        let partition = image.partition(topic, index)?;
        let peers = partition.replicas.iter().filter_map(|id| {
            let broker = image.broker(*id)?;
            let (epoch, rack) = (broker.epoch, broker.rack.clone());
            Some((*id, Peer { epoch, is_active: broker.is_active(), rack }))
        });
        Some(Self {
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
            is_recovering: partition.leader_recovery_state != 0,
            peers: peers.collect(),
        })
    }
}
