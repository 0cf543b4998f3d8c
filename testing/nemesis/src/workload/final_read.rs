//! The last look: a fresh client reads everything from the beginning to the end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset as Start, TopicPartitionList};

use super::consumer::record;
use super::settings::{Settings, TOPIC};
use crate::history::operation::{Action, Key, Outcome};
use crate::history::recorder::Recorder;

/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(60);
/// As many records as one operation holds.
const MAX_RECORDS: usize = 10_000;

/// Reads all partitions; gives whether every end was reached.
///
/// # Errors
/// When the client cannot be made.
pub fn run(settings: &Settings, recorder: &Recorder) -> KafkaResult<bool> {
    let mut pen = recorder.pen();
    let consumer: BaseConsumer =
        settings.consumer("nemesis-final").set("enable.partition.eof", "true").create()?;
    let mut list = TopicPartitionList::new();
    for partition in (0..).take(settings.partitions as usize) {
        list.add_partition_offset(TOPIC, partition, Start::Beginning)?;
    }
    consumer.assign(&list)?;
    let invoked = pen.invoke();
    let keys = (0..settings.partitions).map(Key).collect();
    pen.complete(invoked, Outcome::Ok, Action::Assign(keys));

    let mut at_end = BTreeSet::new();
    let mut records = Vec::new();
    let mut heard = Instant::now();
    while at_end.len() < settings.partitions as usize && heard.elapsed() < PATIENCE {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                records.push(record(&message));
                heard = Instant::now();
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                at_end.insert(partition);
            }
            // Others go away by themselves: the client tries again.
            Some(Err(_)) | None => {}
        }
        if records.len() >= MAX_RECORDS {
            let invoked = pen.invoke();
            pen.complete(invoked, Outcome::Ok, Action::Poll(std::mem::take(&mut records)));
        }
    }
    let invoked = pen.invoke();
    pen.complete(invoked, Outcome::Ok, Action::Poll(records));
    Ok(at_end.len() == settings.partitions as usize)
}
