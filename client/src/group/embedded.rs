//! What classic members tell each other inside JoinGroup and SyncGroup: the version as an `int16`,
//! then a subscription or an assignment. What cannot be read counts as nothing, so that one odd
//! member does not stop the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use milena_protocol::codec::{Reader, Writer};
use milena_protocol::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolAssignmentTopicPartition,
    ConsumerProtocolSubscription, ConsumerProtocolSubscriptionTopicPartition,
};
use milena_protocol::ids::PartitionIndex;
use milena_protocol::message::Message;

use super::assignor::Candidate;
use crate::consumer::Key;

/// What a member wants and still reads.
pub fn write_subscription(
    topics: &BTreeSet<Arc<str>>,
    owned: &BTreeSet<Key>,
    generation: i32,
    rack: Option<&str>,
) -> Bytes {
    let topic = |(topic, partitions): (&str, Vec<PartitionIndex>)| {
        ConsumerProtocolSubscriptionTopicPartition { topic: topic.into(), partitions }
    };
    write(&ConsumerProtocolSubscription {
        topics: topics.iter().map(|topic| (**topic).into()).collect(),
        user_data: None,
        owned_partitions: by_topic(owned).into_iter().map(topic).collect(),
        generation_id: generation,
        rack_id: rack.map(Into::into),
    })
}

/// What a member shall read.
pub fn write_assignment(share: &BTreeSet<Key>) -> Bytes {
    let topic = |(topic, partitions): (&str, Vec<PartitionIndex>)| {
        ConsumerProtocolAssignmentTopicPartition { topic: topic.into(), partitions }
    };
    write(&ConsumerProtocolAssignment {
        assigned_partitions: by_topic(share).into_iter().map(topic).collect(),
        user_data: None,
    })
}

/// A member as the leader of the group sees it.
pub fn read_subscription(bytes: &Bytes) -> Candidate {
    let subscription: ConsumerProtocolSubscription = read(bytes).unwrap_or_default();
    let owned = subscription.owned_partitions.iter();
    Candidate {
        instance_id: None,
        topics: subscription.topics.iter().map(|topic| (**topic).into()).collect(),
        owned: owned.flat_map(|topic| keys(&topic.topic, &topic.partitions)).collect(),
        generation: subscription.generation_id,
    }
}

/// What a member was assigned; nothing where the bytes say nothing.
pub fn read_assignment(bytes: &Bytes) -> Option<BTreeSet<Key>> {
    let assignment: ConsumerProtocolAssignment = read(bytes)?;
    let topics = assignment.assigned_partitions.iter();
    Some(topics.flat_map(|topic| keys(&topic.topic, &topic.partitions)).collect())
}

fn write<M: Message>(message: &M) -> Bytes {
    let version = M::VERSIONS.max;
    let mut writer = Writer::new();
    writer.plain().extend_from_slice(&version.to_be_bytes());
    message.write(&mut writer, version);
    // A name that is longer than the protocol has room for is refused with the request too.
    writer.into_bytes().unwrap_or_default()
}

fn read<M: Message>(bytes: &Bytes) -> Option<M> {
    let version = i16::from_be_bytes(*bytes.first_chunk::<2>()?);
    // Newer versions only add fields behind those that are known.
    let version = version.clamp(0, M::VERSIONS.max);
    M::read(&mut Reader::new(bytes.slice(2..)), version).ok()
}

fn by_topic(keys: &BTreeSet<Key>) -> BTreeMap<&str, Vec<PartitionIndex>> {
    let mut topics: BTreeMap<&str, Vec<PartitionIndex>> = BTreeMap::new();
    for (topic, partition) in keys {
        topics.entry(topic).or_default().push(*partition);
    }
    topics
}

fn keys(topic: &str, partitions: &[PartitionIndex]) -> Vec<Key> {
    let topic: Arc<str> = topic.into();
    partitions.iter().map(|partition| (Arc::clone(&topic), *partition)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Members of other clients would not understand what they are assigned, and bytes of a broken
    /// one would end the leader.
    #[test]
    fn what_is_written_is_read_and_nothing_else_breaks() {
        let share: BTreeSet<Key> =
            [("a", 0), ("a", 2), ("b", 1)].map(|(t, p)| (t.into(), PartitionIndex(p))).into();
        let bytes = write_assignment(&share);
        assert_eq!(read_assignment(&bytes), Some(share.clone()));
        let topics = BTreeSet::from(["a".into(), "b".into()]);
        let told = write_subscription(&topics, &share, 7, Some("here"));
        let candidate = read_subscription(&told);
        assert_eq!((candidate.topics, candidate.owned), (topics, share));
        assert_eq!(candidate.generation, 7);
        for length in 0..told.len() {
            let _ = read_subscription(&told.slice(..length));
            let _ = read_assignment(&bytes.slice(..length.min(bytes.len() - 1)));
        }
        assert_eq!(read_assignment(&Bytes::new()), None);
    }
}
