//! A consumer that names its partitions, reads them from the beginning, and begins anew now and
//! then a little before the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset as Start, TopicPartitionList};

use super::payload;
use super::settings::{Settings, TOPIC};
use crate::history::operation::{Action, Key, Offset, Outcome, Record};
use crate::history::recorder::{Pen, Recorder};

/// How long one client lives.
const LIFE: Duration = Duration::from_secs(30);
/// How many records before the end the next one begins.
const BEHIND: i64 = 1_000;
/// How long a poll gathers records.
const POLL: Duration = Duration::from_millis(100);
/// How many records a poll gathers.
const MAX_RECORDS: usize = 1_000;

/// Reads until it is told to stop.
///
/// # Errors
/// When a client cannot be made.
pub fn run(settings: &Settings, recorder: &Recorder, is_over: &AtomicBool) -> KafkaResult<()> {
    let mut start = Start::Beginning;
    while !is_over.load(Ordering::Relaxed) {
        let mut reader = Reader::new(settings, recorder, start)?;
        let began = Instant::now();
        while began.elapsed() < LIFE && !is_over.load(Ordering::Relaxed) {
            if reader.poll() == Polled::Lost {
                break;
            }
        }
        start = Start::OffsetTail(BEHIND);
    }
    Ok(())
}

/// How a poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// With records or without.
    Fine,
    /// The place where it was to go on is not there.
    Lost,
}

/// An assigned consumer and its pen.
struct Reader {
    consumer: BaseConsumer,
    pen: Pen,
}

impl Reader {
    fn new(settings: &Settings, recorder: &Recorder, start: Start) -> KafkaResult<Self> {
        let mut pen = recorder.pen();
        let consumer = assigned(settings, "nemesis-reader", start)?;
        let invoked = pen.invoke();
        let keys = (0..settings.partitions).map(Key).collect();
        pen.complete(invoked, Outcome::Ok, Action::Assign(keys));
        Ok(Self { consumer, pen })
    }

    fn poll(&mut self) -> Polled {
        let invoked = self.pen.invoke();
        let gathered = gather(&self.consumer, || false);
        if !gathered.records.is_empty() {
            self.pen.complete(invoked, Outcome::Ok, Action::Poll(gathered.records));
        }
        if gathered.is_lost { Polled::Lost } else { Polled::Fine }
    }
}

/// A consumer of all partitions from the same kind of place.
///
/// # Errors
/// When it cannot be made.
pub fn assigned(settings: &Settings, group: &str, start: Start) -> KafkaResult<BaseConsumer> {
    let consumer: BaseConsumer = settings.consumer(group).create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..settings.partitions {
        let partition = i32::try_from(partition).unwrap_or(0);
        list.add_partition_offset(TOPIC, partition, start)?;
    }
    consumer.assign(&list)?;
    Ok(consumer)
}

/// What came in a while.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Records in their order.
    pub records: Vec<Record>,
    /// Whether the place to go on from is not there.
    pub is_lost: bool,
}

/// Polls for a while, or until something happens.
pub fn gather<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    happened: impl Fn() -> bool,
) -> Gathered {
    let deadline = Instant::now() + POLL;
    let mut gathered = Gathered::default();
    while gathered.records.len() < MAX_RECORDS {
        let left = deadline.saturating_duration_since(Instant::now());
        match consumer.poll(left) {
            Some(Ok(message)) => gathered.records.push(record(&message)),
            Some(Err(KafkaError::MessageConsumption(code))) if is_lost(code) => {
                gathered.is_lost = true;
                break;
            }
            // Others go away by themselves: the client tries again.
            Some(Err(_)) | None => {}
        }
        if left.is_zero() || happened() {
            break;
        }
    }
    gathered
}

fn is_lost(code: rdkafka::error::RDKafkaErrorCode) -> bool {
    use rdkafka::error::RDKafkaErrorCode::{AutoOffsetReset, OffsetOutOfRange};
    matches!(code, AutoOffsetReset | OffsetOutOfRange)
}

/// A message as the history has it.
pub fn record(message: &impl Message) -> Record {
    let key = Key(u32::try_from(message.partition()).unwrap_or(u32::MAX));
    Record(key, Offset(message.offset()), payload::value(message.payload()))
}
