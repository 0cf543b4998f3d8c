//! A consumer without a broker: which answers it uses.

use milena_protocol::api::metadata::{
    MetadataBroker, MetadataPartition, MetadataResponse, MetadataTopic,
};
use milena_protocol::ids::Uuid;

use super::*;
use crate::client::ClientOptions;
use crate::consumer::TimestampKind;
use crate::consumer::record::FetchedPartition;

const P0: PartitionIndex = PartitionIndex(0);

fn consumer() -> Consumer {
    let client = Client::unconnected(ClientOptions::new("127.0.0.1:1"));
    Consumer::new(&client, ConsumerOptions::default())
}

/// What the consumer would ask for now.
fn wanted(consumer: &Consumer) -> Wanted {
    let (key, assigned) = consumer.partitions.iter().next().unwrap();
    Wanted {
        key: key.clone(),
        topic_id: Uuid::ZERO,
        offset: assigned.fetched.unwrap(),
        epoch: LeaderEpoch::NONE,
        generation: assigned.generation,
    }
}

/// A leader's answer: one record.
fn answer(node_id: i32, wanted: &Wanted) -> Fetched {
    let record = ConsumedRecord {
        topic: Arc::clone(&wanted.key.0),
        partition: wanted.key.1,
        offset: wanted.offset,
        leader_epoch: LeaderEpoch::NONE,
        timestamp: Timestamp::NONE,
        timestamp_kind: TimestampKind::Created,
        key: None,
        value: None,
        headers: Vec::new(),
    };
    let ends = Ends {
        log_start_offset: Offset::ZERO,
        high_watermark: Offset(1000),
        last_stable_offset: Offset(1000),
    };
    let partition = FetchedPartition { records: vec![record], next: wanted.offset.plus(1), ends };
    Fetched { node_id: NodeId(node_id), outcome: Ok(vec![(wanted.clone(), Ok(partition))]) }
}

fn offsets(consumer: &Consumer) -> Vec<i64> {
    consumer.ready.iter().map(|record| record.offset.0).collect()
}

/// Somebody who stops reading a partition and begins again elsewhere would get records from where
/// the first reading stood.
#[test]
fn an_answer_for_an_earlier_assignment_is_not_used() {
    let mut consumer = consumer();
    consumer.assign("t", P0, Start::Offset(Offset(5)));
    let old = wanted(&consumer);
    consumer.unassign("t", P0);
    consumer.assign("t", P0, Start::Offset(Offset(90)));
    consumer.take(answer(1, &old)).unwrap();
    assert_eq!(offsets(&consumer), [0; 0]);
    assert_eq!(consumer.position("t", P0), Some(Offset(90)));
    // Not even at the same place: it may be that of a topic that was made again.
    consumer.unassign("t", P0);
    consumer.assign("t", P0, Start::Offset(Offset(5)));
    consumer.take(answer(1, &old)).unwrap();
    assert_eq!(offsets(&consumer), [0; 0]);
}

/// Records would be handed out twice where an old and a new leader both answered.
#[test]
fn of_two_answers_for_one_position_the_first_is_used() {
    let mut consumer = consumer();
    consumer.assign("t", P0, Start::Offset(Offset(5)));
    let asked = wanted(&consumer);
    consumer.take(answer(1, &asked)).unwrap();
    consumer.take(answer(2, &asked)).unwrap();
    assert_eq!(offsets(&consumer), [5]);
    consumer.take(answer(2, &wanted(&consumer))).unwrap();
    assert_eq!(offsets(&consumer), [5, 6]);
}

/// A consumer that knows a topic whose partitions have these leaders; nobody is there.
fn with_leaders(leaders: &[i32]) -> Consumer {
    let consumer = consumer();
    let partition = |(index, leader): (i32, &i32)| MetadataPartition {
        partition_index: PartitionIndex(index),
        leader_id: NodeId(*leader),
        ..Default::default()
    };
    let topic = MetadataTopic {
        name: Some("t".into()),
        partitions: (0..).zip(leaders).map(partition).collect(),
        ..Default::default()
    };
    let broker = |id: &i32| MetadataBroker {
        node_id: NodeId(*id),
        host: "127.0.0.1".into(),
        port: 1,
        ..Default::default()
    };
    let brokers = leaders.iter().filter(|id| **id >= 0).map(broker).collect();
    let answer = MetadataResponse { brokers, topics: vec![topic], ..Default::default() };
    consumer.client.learn(&answer, false);
    consumer
}

fn assigned(consumer: &Consumer, partition: i32) -> &Assigned {
    &consumer.partitions[&(Arc::from("t"), PartitionIndex(partition))]
}

/// One partition without a leader would keep all the others from being read.
#[tokio::test]
async fn a_partition_without_leader_holds_up_no_other() {
    let mut consumer = with_leaders(&[1, -1, 2]);
    for partition in 0..3 {
        consumer.assign("t", PartitionIndex(partition), Start::Offset(Offset(partition.into())));
    }
    consumer.send();
    assert_eq!(consumer.asked, BTreeSet::from([NodeId(1), NodeId(2)]));
    assert!(consumer.is_refreshing && assigned(&consumer, 1).is_stale);
    // It is asked for again and again, and the others go on without a pause.
    let asked = Wanted {
        key: (Arc::from("t"), P0),
        topic_id: Uuid::ZERO,
        offset: Offset(0),
        epoch: LeaderEpoch::NONE,
        generation: assigned(&consumer, 0).generation,
    };
    consumer.take(answer(1, &asked)).unwrap();
    assert!(!consumer.asked.contains(&NodeId(1)));
    consumer.send();
    assert!(consumer.asked.contains(&NodeId(1)), "it is fetched from again at once");
}

/// Every partition would cost a request of its own before the first record is read, one after the
/// other.
#[tokio::test]
async fn starts_are_looked_for_together() {
    let mut consumer = with_leaders(&[1, 1, 2, -1]);
    for partition in 0..4 {
        consumer.assign("t", PartitionIndex(partition), Start::End);
    }
    consumer.send();
    // One to each leader, and one for the leader that is missing.
    assert_eq!(consumer.tasks.len(), 3);
    consumer.send();
    assert_eq!(consumer.tasks.len(), 3, "nothing is asked twice");
    let found = [0, 1].map(|partition| {
        let generation = assigned(&consumer, partition).generation;
        let key = (Arc::from("t"), PartitionIndex(partition));
        let sought = Sought { key, start: Start::End, epoch: LeaderEpoch::NONE, generation };
        let refused = Refused { code: ErrorCode::NOT_LEADER_OR_FOLLOWER, message: None };
        let outcome =
            if partition == 0 { Ok(Offset(9)) } else { Err(refused.of("offsets".to_owned())) };
        (sought, outcome)
    });
    consumer.place(found.into()).unwrap();
    assert_eq!(consumer.position("t", P0), Some(Offset(9)));
    assert!(assigned(&consumer, 1).is_stale && !assigned(&consumer, 2).is_stale);
    consumer.send();
    assert_eq!(consumer.asked, BTreeSet::from([NodeId(1)]));
}

/// Somebody who reads a partition that has no leader would wait for ever without a word.
#[tokio::test(start_paused = true)]
async fn a_start_that_is_not_found_is_told() {
    let mut consumer = with_leaders(&[-1]);
    consumer.assign("t", P0, Start::Beginning);
    consumer.send();
    assert!(consumer.overdue().is_none());
    let patience = consumer.client.options().patience;
    tokio::time::advance(patience).await;
    let told = consumer.overdue().unwrap().to_string();
    assert!(told.contains("partition 0 of topic t"), "{told}");
    assert!(consumer.overdue().is_none(), "it is told once");
}
