//! A limit for what moves, as `kafka-reassign-partitions --throttle` sets it and `--verify` takes
//! it away: on each topic which replicas it holds for, on each broker how many bytes a second.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use milena_client::admin::{Admin, ConfigChange, DescribedBroker, Move, Resource};
use milena_client::metadata::Topic;
use milena_protocol::ids::{NodeId, PartitionIndex};

use crate::cli::output::CliError;

const OF_LEADERS: &str = "leader.replication.throttled.replicas";
const OF_FOLLOWERS: &str = "follower.replication.throttled.replicas";
const RATES: [&str; 2] =
    ["leader.replication.throttled.rate", "follower.replication.throttled.rate"];

/// Replicas of a topic, each a partition on a broker.
type Replicas = BTreeSet<(PartitionIndex, NodeId)>;

/// The replicas of a topic that are throttled.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sides {
    /// Where they come from.
    leaders: Replicas,
    /// Where they go.
    followers: Replicas,
}

/// A limit, and where it has been set.
#[derive(Debug)]
pub struct Throttle {
    bytes_per_second: i64,
    topics: BTreeMap<String, Sides>,
    brokers: BTreeSet<NodeId>,
}

impl Throttle {
    /// So many bytes a second for each broker, set nowhere yet.
    pub fn new(bytes_per_second: i64) -> Self {
        Self { bytes_per_second, topics: BTreeMap::new(), brokers: BTreeSet::new() }
    }

    /// Holds for these moves too; to be called before they begin.
    pub async fn hold(
        &mut self,
        admin: &Admin,
        topics: &[Arc<Topic>],
        moves: &[Move],
        brokers: &[DescribedBroker],
    ) -> Result<(), CliError> {
        for step in moves {
            note(self.topics.entry(step.topic.clone()).or_default(), topics, step);
        }
        let changed: BTreeSet<&str> = moves.iter().map(|step| step.topic.as_str()).collect();
        for name in changed {
            let Some(Sides { leaders, followers }) = self.topics.get(name) else { continue };
            let set = |key: &str, it: &Replicas| ConfigChange::Set(key.to_owned(), listed(it));
            let changes = [set(OF_LEADERS, leaders), set(OF_FOLLOWERS, followers)];
            admin.alter_configs(&Resource::Topic(name.to_owned()), &changes, false).await?;
        }
        let rate = self.bytes_per_second.to_string();
        let rates = RATES.map(|name| ConfigChange::Set(name.to_owned(), rate.clone()));
        for broker in brokers {
            if self.brokers.insert(broker.node_id) {
                admin.alter_configs(&Resource::Broker(broker.node_id), &rates, false).await?;
            }
        }
        Ok(())
    }

    /// Takes it away where it was set, as far as that is possible.
    pub async fn lift(&self, admin: &Admin) -> Result<(), CliError> {
        let delete = |names: [&str; 2]| names.map(|name| ConfigChange::Delete(name.to_owned()));
        let brokers = self.brokers.iter().map(|id| (Resource::Broker(*id), delete(RATES)));
        let there = admin.list_topics().await?;
        let is_there = |name: &&String| there.iter().any(|topic| *topic.name == ***name);
        let lists = || delete([OF_LEADERS, OF_FOLLOWERS]);
        let topics = self.topics.keys().filter(is_there);
        let topics = topics.map(|name| (Resource::Topic(name.clone()), lists()));
        let mut failed = None;
        for (resource, changes) in brokers.chain(topics) {
            if let Err(error) = admin.alter_configs(&resource, &changes, false).await {
                failed = failed.or(Some(error));
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// Notes who gives and who takes in a move.
fn note(sides: &mut Sides, topics: &[Arc<Topic>], step: &Move) {
    let topic = topics.iter().find(|topic| *topic.name == *step.topic);
    let partitions = topic.into_iter().flat_map(|topic| &topic.partitions);
    let Some(before) = partitions.into_iter().find(|one| one.index == step.partition) else {
        return;
    };
    let replica = |id: &NodeId| (step.partition, *id);
    sides.leaders.extend(before.replicas.iter().map(replica));
    let is_new = |id: &&NodeId| !before.replicas.contains(id);
    sides.followers.extend(step.replicas.iter().filter(is_new).map(replica));
}

fn listed(replicas: &Replicas) -> String {
    let pairs: Vec<String> = replicas.iter().map(|(index, id)| format!("{index}:{id}")).collect();
    pairs.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use milena_client::metadata::Partition;
    use milena_protocol::ids::{LeaderEpoch, Uuid};

    /// What moves would not be throttled, or what stays would be.
    #[test]
    fn who_gives_and_who_takes_is_throttled() {
        let partition = |index: i32| Partition {
            index: PartitionIndex(index),
            leader: Some(NodeId(1)),
            leader_epoch: LeaderEpoch(0),
            replicas: vec![NodeId(1), NodeId(2)],
            isr: Vec::new(),
            offline: Vec::new(),
        };
        let partitions = vec![partition(0), partition(1), partition(2)];
        let name = "t".into();
        let topics = [Arc::new(Topic { name, id: Uuid::ZERO, is_internal: false, partitions })];
        let mut sides = Sides::default();
        for (index, replicas) in [(0, [3, 2]), (2, [1, 4]), (9, [1, 5])] {
            let (topic, partition) = ("t".to_owned(), PartitionIndex(index));
            let step = Move { topic, partition, replicas: replicas.map(NodeId).to_vec() };
            note(&mut sides, &topics, &step);
        }
        assert_eq!(listed(&sides.leaders), "0:1,0:2,2:1,2:2");
        assert_eq!(listed(&sides.followers), "0:3,2:4");
    }
}
