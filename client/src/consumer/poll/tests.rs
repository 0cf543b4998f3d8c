//! A consumer without a broker: which answers it uses.

use milena_protocol::ids::{LeaderEpoch, Uuid};

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
