//! Where the replicas of a broker go that shall have none: each to a live broker that has none of
//! the partition yet, in a rack that has none where there is one, and has the fewest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use milena_client::admin::{DescribedBroker, Move};
use milena_client::metadata::{Partition, Topic};
use milena_protocol::ids::{NodeId, PartitionIndex};

/// What has to move, and what cannot.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The moves.
    pub moves: Vec<Move>,
    /// Moves that leave a partition with fewer replicas, for want of live brokers: what stays on a
    /// dead one would never be in sync, and the move never end.
    pub shrinking: Vec<Move>,
    /// Partitions whose only replica is on the broker, and for which there is no other.
    pub stuck: Vec<String>,
}

/// The partitions that a broker has.
pub fn held(node: NodeId, topics: &[Arc<Topic>]) -> Vec<(String, PartitionIndex)> {
    let of_topic = |topic: &Arc<Topic>| {
        let held = topic.partitions.iter().filter(|one| one.replicas.contains(&node));
        held.map(|one| (topic.name.to_string(), one.index)).collect::<Vec<_>>()
    };
    topics.iter().flat_map(of_topic).collect()
}

/// Plans to empty a broker, but for those partitions that are settled already.
pub fn empty(
    node: NodeId,
    topics: &[Arc<Topic>],
    brokers: &[DescribedBroker],
    is_settled: impl Fn(&(String, PartitionIndex)) -> bool,
) -> Plan {
    let partitions =
        || topics.iter().flat_map(|topic| topic.partitions.iter().map(move |it| (topic, it)));
    let mut loads: BTreeMap<NodeId, usize> = BTreeMap::new();
    for replica in partitions().flat_map(|(_, one)| &one.replicas) {
        *loads.entry(*replica).or_default() += 1;
    }
    let mut plan = Plan::default();
    for (topic, one) in partitions().filter(|(_, one)| one.replicas.contains(&node)) {
        if is_settled(&(topic.name.to_string(), one.index)) {
            continue;
        }
        let heir = heir(node, one, brokers, &loads);
        let replaced = one.replicas.iter().map(|it| if *it == node { heir } else { Some(*it) });
        let replicas: Vec<NodeId> = replaced.flatten().filter(|id| is_live(*id, brokers)).collect();
        let is_whole = replicas.len() == one.replicas.len();
        let step = Move { topic: topic.name.to_string(), partition: one.index, replicas };
        if let Some(heir) = heir {
            *loads.entry(heir).or_default() += 1;
        }
        if is_whole {
            plan.moves.push(step);
        } else if step.replicas.is_empty() {
            plan.stuck.push(format!("{}-{}", topic.name, one.index));
        } else {
            plan.shrinking.push(step);
        }
    }
    plan
}

fn is_live(id: NodeId, brokers: &[DescribedBroker]) -> bool {
    brokers.iter().any(|broker| broker.node_id == id && !broker.is_fenced)
}

/// The broker that takes a replica over.
fn heir(
    node: NodeId,
    partition: &Partition,
    brokers: &[DescribedBroker],
    loads: &BTreeMap<NodeId, usize>,
) -> Option<NodeId> {
    let stays = |broker: &&DescribedBroker| {
        broker.node_id != node && partition.replicas.contains(&broker.node_id)
    };
    let racks: BTreeSet<&Option<String>> =
        brokers.iter().filter(stays).map(|broker| &broker.rack).collect();
    let is_free = |broker: &&DescribedBroker| {
        !broker.is_fenced && !partition.replicas.contains(&broker.node_id)
    };
    let cost = |broker: &&DescribedBroker| {
        let is_double = broker.rack.is_some() && racks.contains(&broker.rack);
        (is_double, loads.get(&broker.node_id).copied().unwrap_or(0), broker.node_id)
    };
    brokers.iter().filter(is_free).min_by_key(cost).map(|broker| broker.node_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use milena_protocol::ids::{LeaderEpoch, Uuid};

    fn broker(id: i32, rack: &str, is_fenced: bool) -> DescribedBroker {
        let address = format!("host{id}:9092");
        DescribedBroker { node_id: NodeId(id), address, rack: Some(rack.to_owned()), is_fenced }
    }

    fn topic(name: &str, replicas: &[&[i32]]) -> Arc<Topic> {
        let partition = |(index, ids): (usize, &&[i32])| {
            let replicas: Vec<NodeId> = ids.iter().map(|id| NodeId(*id)).collect();
            Partition {
                index: PartitionIndex(index as i32),
                leader: replicas.first().copied(),
                leader_epoch: LeaderEpoch(0),
                isr: replicas.clone(),
                replicas,
                offline: Vec::new(),
            }
        };
        Arc::new(Topic {
            name: name.into(),
            id: Uuid::ZERO,
            is_internal: false,
            partitions: replicas.iter().enumerate().map(partition).collect(),
        })
    }

    fn ids(step: &Move) -> Vec<i32> {
        step.replicas.iter().map(|id| id.0).collect()
    }

    /// A drained broker's replicas would pile up on one broker, or in one rack, or on a dead one.
    #[test]
    fn replicas_go_to_the_emptiest_live_broker_of_another_rack() {
        let brokers = [
            broker(1, "a", false),
            broker(2, "b", false),
            broker(3, "b", false),
            broker(4, "c", true),
        ];
        let topics = [topic("t", &[&[1, 2], &[2, 1], &[1], &[1], &[2]])];
        let plan = empty(NodeId(1), &topics, &brokers, |_| false);
        let moved: Vec<Vec<i32>> = plan.moves.iter().map(ids).collect();
        assert_eq!(
            moved,
            [vec![3, 2], vec![2, 3], vec![3], vec![2]],
            "the place in the order stays"
        );
        assert_eq!((plan.shrinking, plan.stuck), (Vec::new(), Vec::new()));
    }

    /// A partition would lose a replica, or all of them, without anybody having said so.
    #[test]
    fn what_has_no_other_place_is_told() {
        let brokers = [broker(1, "a", false), broker(2, "b", false)];
        let plan = empty(NodeId(1), &[topic("t", &[&[1, 2], &[2]])], &brokers, |_| false);
        assert_eq!(plan.shrinking.iter().map(ids).collect::<Vec<_>>(), [vec![2]]);
        let plan = empty(NodeId(1), &[topic("t", &[&[1]])], &brokers[..1], |_| false);
        assert_eq!(plan.stuck, ["t-0"]);
        let brokers = [broker(1, "a", false), broker(2, "b", true), broker(3, "c", false)];
        let plan = empty(NodeId(1), &[topic("t", &[&[1, 2]])], &brokers, |_| false);
        assert_eq!(plan.shrinking.iter().map(ids).collect::<Vec<_>>(), [vec![3]], "2 is dead");
    }
}
