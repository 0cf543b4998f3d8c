//! Which replicas of a topic are throttled, as its configuration says (KIP-73).

use std::collections::BTreeSet;

use milena_protocol::ids::{NodeId, PartitionIndex};

/// The partitions of a topic that are throttled on one broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Throttled {
    /// None.
    #[default]
    Nothing,
    /// All, now and later.
    Everything,
    /// These.
    These(BTreeSet<PartitionIndex>),
}

impl Throttled {
    /// What `leader.replication.throttled.replicas` or `follower.replication.throttled.replicas`
    /// says of a broker: `*`, or pairs `partition:broker` with commas between. What is neither
    /// says nothing; the controller lets no such value in.
    #[must_use]
    pub fn on(node: NodeId, list: &str) -> Self {
        if list.trim() == "*" {
            return Self::Everything;
        }
        let of_node = |pair: &str| {
            let (index, broker) = pair.trim().split_once(':')?;
            let is_it = broker.parse() == Ok(node.0);
            index.parse().ok().filter(|_| is_it).map(PartitionIndex)
        };
        let these: BTreeSet<_> = list.split(',').filter_map(of_node).collect();
        if these.is_empty() { Self::Nothing } else { Self::These(these) }
    }

    /// Whether a partition is throttled.
    #[must_use]
    pub fn contains(&self, index: PartitionIndex) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::These(these) => these.contains(&index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another broker's replicas would be throttled, or this one's not.
    #[test]
    fn a_list_throttles_what_it_names_of_this_broker() {
        let named = |list: &str| {
            let throttled = Throttled::on(NodeId(2), list);
            (0..4).filter(|index| throttled.contains(PartitionIndex(*index))).collect::<Vec<_>>()
        };
        assert_eq!(named("0:1,0:2,1:1, 3:2"), [0, 3]);
        assert_eq!(named("*"), [0, 1, 2, 3]);
        assert!(named("").is_empty());
        assert!(named("1:22,2,:,x:2,2:").is_empty());
        assert_eq!(Throttled::on(NodeId(2), "0:1"), Throttled::Nothing);
    }
}
