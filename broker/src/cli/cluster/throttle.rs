//! A limit for what moves, as `kafka-reassign-partitions --throttle` sets it and `--verify` takes
//! it away: on each topic which replicas it holds for, on each broker how many bytes a second.
//!
//! Limits that were there before are read first. A topic's lists are added to and not replaced,
//! and what is lifted is what it was before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use milena_client::ClientError;
use milena_client::admin::{
    Admin, ConfigChange, ConfigEntry, ConfigSource, DescribedBroker, Move, Resource,
};
use milena_client::metadata::Topic;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, PartitionIndex};

use crate::cli::output::CliError;

/// Which replicas of a topic are throttled: where they come from, and where they go.
const LISTS: [&str; 2] =
    ["leader.replication.throttled.replicas", "follower.replication.throttled.replicas"];
/// How many bytes a second a broker gives and takes.
const RATES: [&str; 2] =
    ["leader.replication.throttled.rate", "follower.replication.throttled.rate"];

/// Replicas of a topic, each a partition on a broker.
type Replicas = BTreeSet<(PartitionIndex, NodeId)>;
/// What two settings were before, where they were set.
type Before = [Option<String>; 2];

/// The replicas of a topic that are throttled.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sides {
    /// Where they come from.
    leaders: Replicas,
    /// Where they go.
    followers: Replicas,
}

/// A topic whose replicas are throttled.
#[derive(Debug)]
struct OnTopic {
    sides: Sides,
    before: Before,
}

/// A limit, and where it has been set.
#[derive(Debug)]
pub struct Throttle {
    bytes_per_second: i64,
    topics: BTreeMap<String, OnTopic>,
    brokers: BTreeMap<NodeId, Before>,
}

impl Throttle {
    /// So many bytes a second for each broker, set nowhere yet.
    pub fn new(bytes_per_second: i64) -> Self {
        Self { bytes_per_second, topics: BTreeMap::new(), brokers: BTreeMap::new() }
    }

    /// Holds for these moves too; to be called before they begin.
    pub async fn hold(
        &mut self,
        admin: &Admin,
        topics: &[Arc<Topic>],
        moves: &[Move],
        brokers: &[DescribedBroker],
    ) -> Result<(), CliError> {
        let changed: BTreeSet<&str> = moves.iter().map(|step| step.topic.as_str()).collect();
        for name in &changed {
            self.learn(admin, name).await?;
        }
        for step in moves {
            if let Some(on_topic) = self.topics.get_mut(&step.topic) {
                note(&mut on_topic.sides, topics, step);
            }
        }
        for name in changed {
            let Some(on_topic) = self.topics.get(name) else { continue };
            let topic = Resource::Topic(name.to_owned());
            admin.alter_configs(&topic, &on_topic.lists(), false).await?;
        }
        // Who is not there gives nothing and takes nothing, and cannot tell what it had before.
        for broker in brokers.iter().filter(|broker| !broker.is_fenced) {
            self.limit(admin, broker.node_id).await?;
        }
        Ok(())
    }

    /// Notes what a topic's lists were.
    async fn learn(&mut self, admin: &Admin, name: &str) -> Result<(), ClientError> {
        if !self.topics.contains_key(name) {
            let topic = Resource::Topic(name.to_owned());
            let entries = admin.describe_configs(&topic, false).await?;
            let before = set_by(&entries, LISTS, ConfigSource::Topic);
            self.topics.insert(name.to_owned(), OnTopic { sides: Sides::default(), before });
        }
        Ok(())
    }

    /// Notes what a broker's rates were, and sets them.
    async fn limit(&mut self, admin: &Admin, id: NodeId) -> Result<(), ClientError> {
        if self.brokers.contains_key(&id) {
            return Ok(());
        }
        let broker = Resource::Broker(id);
        let entries = admin.describe_configs(&broker, false).await?;
        self.brokers.insert(id, set_by(&entries, RATES, ConfigSource::Broker));
        let rate = self.bytes_per_second.to_string();
        let rates = RATES.map(|name| ConfigChange::Set(name.to_owned(), rate.clone()));
        admin.alter_configs(&broker, &rates, false).await
    }

    /// Makes everything what it was before, as far as that is possible: what fails keeps nothing
    /// else from it. Brokers come first, for lists have no effect without rates.
    pub async fn lift(&self, admin: &Admin) -> Result<(), CliError> {
        let brokers = self.brokers.iter();
        let brokers = brokers.map(|(id, before)| (Resource::Broker(*id), back(RATES, before)));
        let topics = self.topics.iter();
        let topics = topics
            .map(|(name, on_topic)| (Resource::Topic(name.clone()), back(LISTS, &on_topic.before)));
        let mut failed = None;
        for (resource, changes) in brokers.chain(topics) {
            match admin.alter_configs(&resource, &changes, false).await {
                // A topic that was deleted meanwhile took its lists along.
                Err(error) if error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => {}
                Err(error) => failed = failed.or(Some(error)),
                Ok(()) => {}
            }
        }
        failed.map_or(Ok(()), |error| Err(CliError::from(error).and(self.left_behind())))
    }

    /// What is to be said where the limit is not lifted.
    pub fn left_behind(&self) -> String {
        let topics: Vec<&str> = self.topics.keys().map(String::as_str).collect();
        let mut said = format!(
            "the limit of {} bytes a second stays on brokers {} and topics {}; once nothing moves \
             any more, take it away with `kafka-configs --alter --entity-type brokers \
             --entity-name ID --delete-config {}` and `--entity-type topics --entity-name TOPIC \
             --delete-config {}`",
            self.bytes_per_second,
            named(self.brokers.keys()),
            topics.join(", "),
            RATES.join(","),
            LISTS.join(","),
        );
        for before in self.set_before() {
            said.push_str("\n        before that there was ");
            said.push_str(&before);
        }
        said
    }

    /// What others had set where the limit is now.
    fn set_before(&self) -> impl Iterator<Item = String> {
        let told = |of: String, names: [&'static str; 2], before: &Before| {
            let set = names.into_iter().zip(before.clone());
            set.filter_map(|(name, value)| Some((name, value?)))
                .map(move |(name, value)| format!("{name}={value} on {of}"))
                .collect::<Vec<_>>()
        };
        let brokers = self.brokers.iter();
        let brokers = brokers.flat_map(move |(id, it)| told(format!("broker {id}"), RATES, it));
        let topics = self.topics.iter();
        let topics =
            topics.flat_map(move |(name, it)| told(format!("topic {name}"), LISTS, &it.before));
        brokers.chain(topics)
    }

    /// What is to be said where brokers are limited after all, as they were before.
    pub fn brought_back(&self) -> Option<String> {
        let limited = self.brokers.iter().filter(|(_, before)| before.iter().any(Option::is_some));
        let limited = named(limited.map(|(id, _)| id));
        (!limited.is_empty())
            .then(|| format!("brokers {limited} have the limits again that they had before"))
    }
}

impl OnTopic {
    /// The lists with what is throttled now.
    fn lists(&self) -> [ConfigChange; 2] {
        let [leaders, followers] = &self.before;
        let [of_leaders, of_followers] = LISTS.map(str::to_owned);
        [
            ConfigChange::Set(of_leaders, merged(leaders.as_deref(), &self.sides.leaders)),
            ConfigChange::Set(of_followers, merged(followers.as_deref(), &self.sides.followers)),
        ]
    }
}

/// The values of settings where they come from a source.
fn set_by(entries: &[ConfigEntry], names: [&str; 2], source: ConfigSource) -> Before {
    names.map(|name| {
        let entry = entries.iter().find(|entry| entry.name == name && entry.source == source);
        entry.and_then(|entry| entry.value.clone())
    })
}

/// What makes settings what they were before.
fn back(names: [&str; 2], before: &Before) -> [ConfigChange; 2] {
    let [first, second] = before;
    let change = |name: &str, before: &Option<String>| match before {
        Some(value) => ConfigChange::Set(name.to_owned(), value.clone()),
        None => ConfigChange::Delete(name.to_owned()),
    };
    [change(names[0], first), change(names[1], second)]
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

/// A list with more replicas, behind what is in it.
fn merged(before: Option<&str>, more: &Replicas) -> String {
    let before = before.unwrap_or_default().trim();
    if before == "*" {
        return before.to_owned();
    }
    let there: Vec<&str> = before.split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
    let known: BTreeSet<&str> = there.iter().copied().collect();
    let more = more.iter().map(|(index, id)| format!("{index}:{id}"));
    let more = more.filter(|pair| !known.contains(pair.as_str()));
    there.iter().map(|pair| (*pair).to_owned()).chain(more).collect::<Vec<_>>().join(",")
}

fn named<'a>(ids: impl Iterator<Item = &'a NodeId>) -> String {
    ids.map(NodeId::to_string).collect::<Vec<_>>().join(", ")
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
        assert_eq!(merged(None, &sides.leaders), "0:1,0:2,2:1,2:2");
        assert_eq!(merged(None, &sides.followers), "0:3,2:4");
    }

    /// What an operator throttles would go as fast as it can while something else moves.
    #[test]
    fn a_list_keeps_what_was_in_it() {
        let more = Replicas::from([(PartitionIndex(0), NodeId(1)), (PartitionIndex(2), NodeId(1))]);
        assert_eq!(merged(Some("7:3, 0:1"), &more), "7:3,0:1,2:1");
        assert_eq!(merged(Some("*"), &more), "*");
        assert_eq!(merged(Some(""), &more), "0:1,2:1");
    }
}
