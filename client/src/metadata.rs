//! What a client knows of a cluster: brokers, topics, leaders. An immutable value; learning
//! something new makes a new one.

use std::collections::BTreeMap;
use std::sync::Arc;

use milena_protocol::api::metadata::{MetadataPartition, MetadataResponse, MetadataTopic};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, PartitionIndex, Uuid};

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Its id.
    pub node_id: NodeId,
    /// The address that it advertises, as `HOST:PORT`.
    pub address: String,
    /// Its rack.
    pub rack: Option<String>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub index: PartitionIndex,
    /// Its leader; `None` while it has none.
    pub leader: Option<NodeId>,
    /// The leader's epoch; −1 where the broker does not tell.
    pub leader_epoch: LeaderEpoch,
    /// The brokers that have a replica, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// Those that are in sync.
    pub isr: Vec<NodeId>,
    /// Those that are offline.
    pub offline: Vec<NodeId>,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: Arc<str>,
    /// Its id; zero where the broker does not tell.
    pub id: Uuid,
    /// Whether it belongs to the broker itself.
    pub is_internal: bool,
    /// Its partitions by number, without gaps.
    pub partitions: Vec<Partition>,
}

/// A cluster at one moment.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    /// The cluster's id.
    pub cluster_id: Option<String>,
    /// Where to ask what only a controller may do; any broker forwards it in Kafka 4.
    pub controller: Option<NodeId>,
    /// The brokers.
    pub brokers: BTreeMap<NodeId, Broker>,
    /// The topics that were asked for and exist.
    pub topics: BTreeMap<Arc<str>, Arc<Topic>>,
    /// What was answered for topics that were asked for and cannot be used now.
    pub troubles: BTreeMap<Arc<str>, ErrorCode>,
}

impl Metadata {
    /// A topic that is known.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    /// The leader of a partition and its epoch, if both are known.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: PartitionIndex) -> Option<(NodeId, LeaderEpoch)> {
        let index = usize::try_from(partition.0).ok()?;
        let partition = self.topic(topic)?.partitions.get(index)?;
        Some((partition.leader?, partition.leader_epoch))
    }

    /// This with what an answer says added: its brokers replace all, its topics those of the same
    /// name.
    #[must_use]
    pub fn learn(&self, answer: &MetadataResponse) -> Self {
        let mut learned = self.clone();
        learned.cluster_id = answer.cluster_id.as_ref().map(ToString::to_string);
        learned.controller = known(answer.controller_id);
        learned.brokers = answer
            .brokers
            .iter()
            .map(|broker| {
                let address = host_and_port(&broker.host, broker.port);
                let rack = broker.rack.as_ref().map(ToString::to_string);
                (broker.node_id, Broker { node_id: broker.node_id, address, rack })
            })
            .collect();
        for topic in &answer.topics {
            learned.learn_topic(topic);
        }
        learned
    }

    fn learn_topic(&mut self, answer: &MetadataTopic) {
        let Some(name) = &answer.name else {
            return;
        };
        let name: Arc<str> = name.as_str().into();
        let mut partitions: Vec<Partition> = answer.partitions.iter().map(partition).collect();
        partitions.sort_by_key(|partition| partition.index);
        let dense = (0..).zip(&partitions).all(|(index, partition)| partition.index.0 == index);
        if !answer.error_code.is_none() || !dense {
            let code = if answer.error_code.is_none() {
                ErrorCode::LEADER_NOT_AVAILABLE
            } else {
                answer.error_code
            };
            self.topics.remove(&name);
            self.troubles.insert(name, code);
            return;
        }
        self.troubles.remove(&name);
        let is_internal = answer.is_internal;
        let topic = Topic { name: Arc::clone(&name), id: answer.topic_id, is_internal, partitions };
        self.topics.insert(name, Arc::new(topic));
    }
}

fn partition(answer: &MetadataPartition) -> Partition {
    Partition {
        index: answer.partition_index,
        leader: known(answer.leader_id),
        leader_epoch: answer.leader_epoch,
        replicas: answer.replica_nodes.clone(),
        isr: answer.isr_nodes.clone(),
        offline: answer.offline_replicas.clone(),
    }
}

fn known(node: NodeId) -> Option<NodeId> {
    (node.0 >= 0).then_some(node)
}

/// An address as it is dialled; IPv6 stands in brackets.
#[must_use]
pub fn host_and_port(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use milena_protocol::api::metadata::MetadataBroker;

    use super::*;

    fn answer(topic: &str, code: ErrorCode, partitions: &[(i32, i32)]) -> MetadataResponse {
        let partition = |(index, leader): &(i32, i32)| MetadataPartition {
            partition_index: PartitionIndex(*index),
            leader_id: NodeId(*leader),
            ..Default::default()
        };
        MetadataResponse {
            brokers: vec![MetadataBroker {
                node_id: NodeId(7),
                host: "::1".into(),
                port: 9092,
                rack: None,
            }],
            topics: vec![MetadataTopic {
                error_code: code,
                name: Some(topic.into()),
                partitions: partitions.iter().map(partition).collect(),
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    /// Records would go to a leader that is gone, or to a topic that was deleted.
    #[test]
    fn newer_answers_replace_older_ones() {
        let none = ErrorCode::NONE;
        let first = Metadata::default().learn(&answer("a", none, &[(1, 7), (0, -1)]));
        assert_eq!(first.leader("a", PartitionIndex(1)).map(|leader| leader.0), Some(NodeId(7)));
        assert_eq!(first.leader("a", PartitionIndex(0)), None, "it has no leader now");
        assert_eq!(first.leader("a", PartitionIndex(2)), None, "there is no such partition");
        assert_eq!(first.brokers[&NodeId(7)].address, "[::1]:9092");
        let other = first.learn(&answer("b", none, &[(0, 7)]));
        assert!(other.topic("a").is_some() && other.topic("b").is_some());
        let gone = other.learn(&answer("a", ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, &[]));
        assert!(gone.topic("a").is_none() && gone.topic("b").is_some());
        assert_eq!(gone.troubles["a"], ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }

    /// A partition would be looked up under another one's number.
    #[test]
    fn an_answer_with_gaps_is_not_used() {
        let learned = Metadata::default().learn(&answer("a", ErrorCode::NONE, &[(0, 7), (2, 7)]));
        assert!(learned.topic("a").is_none());
    }
}
