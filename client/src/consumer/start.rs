//! Finding where to begin: the offsets of several partitions, asked of their leader at once.
//!
//! Some starts take two questions. The end is always the first of them: what is written between the
//! two is then read and not skipped.

use std::collections::HashMap;

use milena_protocol::api::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset};

use super::options::Start;
use super::place::Key;
use crate::client::Client;
use crate::error::ClientError;
use crate::offsets::{Isolation, OffsetSpec, missing, read};

/// A partition whose start is looked for.
#[derive(Clone, Debug)]
pub struct Sought {
    pub key: Key,
    pub start: Start,
    pub epoch: LeaderEpoch,
    /// Which assignment it is for.
    pub generation: u64,
}

/// Where each of several partitions begins.
pub type Found = Vec<(Sought, Result<Offset, ClientError>)>;

/// Asks one leader for all of them.
pub async fn find(
    client: Client,
    isolation: Isolation,
    node_id: NodeId,
    sought: Vec<Sought>,
) -> Found {
    let first: Vec<(&Sought, OffsetSpec)> =
        sought.iter().map(|sought| (sought, first(sought.start))).collect();
    let found = ask(&client, isolation, node_id, &first).await;
    let behind: Vec<(&Sought, OffsetSpec)> = sought
        .iter()
        .filter_map(|sought| Some((sought, second(sought.start)?)))
        .filter(|(sought, _)| matches!(found.get(&sought.key), Some(Ok(_))))
        .collect();
    let mut also = ask(&client, isolation, node_id, &behind).await;
    let mut found = found;
    let outcome = |sought: Sought| {
        let first = found.remove(&sought.key).unwrap_or_else(|| Err(unanswered(&sought)));
        let second = also.remove(&sought.key).transpose();
        let offset = first.and_then(|first| Ok(place(sought.start, first, second?)));
        (sought, offset)
    };
    sought.into_iter().map(outcome).collect()
}

/// What is asked first.
fn first(start: Start) -> OffsetSpec {
    match start {
        Start::Beginning | Start::Offset(_) => OffsetSpec::Earliest,
        Start::End | Start::BeforeEnd(_) | Start::Time(_) => OffsetSpec::Latest,
    }
}

/// What is asked then.
fn second(start: Start) -> Option<OffsetSpec> {
    match start {
        Start::Beginning | Start::End | Start::Offset(_) => None,
        Start::BeforeEnd(_) => Some(OffsetSpec::Earliest),
        Start::Time(timestamp) => Some(OffsetSpec::Time(timestamp)),
    }
}

/// The start, from the answers to both.
fn place(start: Start, first: Offset, second: Option<Offset>) -> Offset {
    match (start, second) {
        (Start::Offset(offset), _) => offset,
        (Start::BeforeEnd(count), Some(earliest)) => {
            Offset(first.0.saturating_sub_unsigned(count)).max(earliest)
        }
        // Where no record is that late, the next one may be.
        (Start::Time(_), Some(found)) if found != Offset::NONE => found,
        _ => first,
    }
}

fn unanswered(sought: &Sought) -> ClientError {
    missing().of(format!("offsets of {} {}", sought.key.0, sought.key.1))
}

async fn ask(
    client: &Client,
    isolation: Isolation,
    node_id: NodeId,
    asked: &[(&Sought, OffsetSpec)],
) -> HashMap<Key, Result<Offset, ClientError>> {
    if asked.is_empty() {
        return HashMap::new();
    }
    let request = request(isolation, asked);
    let response = async { client.broker(node_id).await?.ask(&request).await }.await;
    let outcome = |sought: &Sought| {
        let response = response.as_ref().map_err(Clone::clone)?;
        let topics = response.topics.iter().filter(|topic| *topic.name == *sought.key.0);
        let mut answers = topics.flat_map(|topic| &topic.partitions);
        let answer = answers.find(|answer| answer.partition_index == sought.key.1);
        let answer = answer.ok_or_else(|| unanswered(sought))?;
        Ok(read(&sought.key.0, answer)?.offset)
    };
    asked.iter().map(|(sought, _)| (sought.key.clone(), outcome(sought))).collect()
}

fn request(isolation: Isolation, asked: &[(&Sought, OffsetSpec)]) -> ListOffsetsRequest {
    let mut topics: Vec<ListOffsetsTopic> = Vec::new();
    for (sought, spec) in asked {
        let partition = ListOffsetsPartition {
            partition_index: sought.key.1,
            current_leader_epoch: sought.epoch,
            timestamp: spec.timestamp(),
        };
        // What is sought comes sorted, so a topic's partitions stand together.
        match topics.last_mut().filter(|topic| *topic.name == *sought.key.0) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(ListOffsetsTopic {
                name: (*sought.key.0).into(),
                partitions: vec![partition],
            }),
        }
    }
    ListOffsetsRequest {
        replica_id: NodeId::NONE,
        isolation_level: isolation.number(),
        topics,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use milena_protocol::ids::{PartitionIndex, Timestamp};

    use super::*;

    /// Every partition would cost a request of its own, or be answered for another one.
    #[test]
    fn one_request_asks_for_all() {
        let sought = |topic: &str, partition, start| Sought {
            key: (Arc::from(topic), PartitionIndex(partition)),
            start,
            epoch: LeaderEpoch(3),
            generation: 0,
        };
        let all = [
            sought("a", 0, Start::Beginning),
            sought("a", 2, Start::End),
            sought("b", 0, Start::Time(Timestamp(5))),
        ];
        let asked: Vec<_> = all.iter().map(|one| (one, first(one.start))).collect();
        let request = request(Isolation::ReadUncommitted, &asked);
        let partition =
            |partition: &ListOffsetsPartition| (partition.partition_index.0, partition.timestamp.0);
        let told: Vec<(&str, Vec<(i32, i64)>)> = request
            .topics
            .iter()
            .map(|topic| (&*topic.name, topic.partitions.iter().map(partition).collect()))
            .collect();
        assert_eq!(told, [("a", vec![(0, -2), (2, -1)]), ("b", vec![(0, -1)])]);
    }

    /// A reader would begin before the first record, or behind records that it asked for.
    #[test]
    fn two_answers_make_a_start() {
        let place =
            |start, first, second: Option<i64>| place(start, Offset(first), second.map(Offset)).0;
        assert_eq!(place(Start::BeforeEnd(3), 10, Some(2)), 7);
        assert_eq!(place(Start::BeforeEnd(30), 10, Some(2)), 2);
        assert_eq!(place(Start::Time(Timestamp(5)), 10, Some(4)), 4);
        assert_eq!(place(Start::Time(Timestamp(5)), 10, Some(-1)), 10, "the end of before");
        assert_eq!(place(Start::End, 10, None), 10);
    }
}
