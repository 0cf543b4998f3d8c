//! Who leads instead, for answers that a partition is not led here: the client then asks there
//! without asking for metadata first (KIP-951).

use std::collections::BTreeSet;

use milena_protocol::ids::{LeaderEpoch, NodeId, PartitionIndex, Uuid};

use crate::broker::Broker;
use crate::endpoints::Endpoint;
use crate::request::Peer;

/// The leaders that an answer names. Costs nothing where it names none.
pub struct Hints<'a> {
    broker: &'a Broker,
    peer: &'a Peer,
    named: BTreeSet<NodeId>,
}

impl<'a> Hints<'a> {
    /// None is named yet.
    #[must_use]
    pub fn new(broker: &'a Broker, peer: &'a Peer) -> Self {
        Self { broker, peer, named: BTreeSet::new() }
    }

    /// The leader of a partition and its epoch, as far as is known here.
    pub fn leader(
        &mut self,
        topic_id: Uuid,
        index: PartitionIndex,
    ) -> Option<(NodeId, LeaderEpoch)> {
        let image = self.broker.metadata.image();
        let partition = image.partition(topic_id, index)?;
        if partition.leader != NodeId::NONE {
            self.named.insert(partition.leader);
        }
        Some((partition.leader, partition.leader_epoch))
    }

    /// Where those that were named can be reached.
    pub fn endpoints(self) -> impl Iterator<Item = Endpoint> {
        let Self { broker, peer, named } = self;
        named.into_iter().filter_map(|id| {
            let image = broker.metadata.image();
            let leader = image.broker(id).filter(|leader| !leader.fenced)?;
            broker.endpoints.of_broker(leader, peer)
        })
    }
}
