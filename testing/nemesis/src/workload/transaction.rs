//! A client that reads and writes in transactions, some of which it aborts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{
    BaseRecord, DeliveryResult, NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer,
};
use rdkafka::topic_partition_list::Offset as Start;

use super::consumer::{assigned, record};
use super::payload;
use super::producer::known;
use super::settings::{Settings, TOPIC};
use crate::history::operation::{Action, Key, Offset, Outcome, Send, Step, Value};
use crate::history::recorder::{Pen, Recorder};
use crate::random::Random;

/// Between two transactions.
const PAUSE: Duration = Duration::from_millis(20);
/// How long one call may take.
const CALL: Duration = Duration::from_secs(10);
/// How long a transaction's end is asked for.
const PATIENCE: Duration = Duration::from_secs(90);
/// One in so many is aborted.
const ABORTED_IN: u64 = 8;
/// The most that one transaction reads.
const MAX_READ: usize = 20;

/// Does one transaction after the other until it is told to stop.
///
/// # Errors
/// When a client cannot be made.
pub fn run(
    settings: &Settings,
    recorder: &Recorder,
    mut random: Random,
    is_over: &AtomicBool,
) -> KafkaResult<()> {
    let name = format!("nemesis-{}", random.below(u64::MAX));
    while !is_over.load(Ordering::Relaxed) {
        let Some(mut client) = Client::new(settings, recorder, &name)? else { continue };
        while !is_over.load(Ordering::Relaxed) && client.transact(&mut random) == After::GoOn {
            std::thread::sleep(PAUSE);
        }
    }
    Ok(())
}

/// Whether the client can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    GoOn,
    MakeAnother,
}

/// Where the sends of one transaction went, by their number in it.
type Offsets = Arc<Mutex<Vec<Option<Offset>>>>;

/// Notes where sends went; each brings the list of its transaction.
struct Deliveries;

impl ClientContext for Deliveries {}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = Box<(Offsets, usize)>;

    fn delivery(&self, result: &DeliveryResult<'_>, send: Box<(Offsets, usize)>) {
        if let (Ok(message), Some(offset)) = (result, send.0.lock().get_mut(send.1)) {
            *offset = known(message.offset());
        }
    }
}

struct Client {
    producer: ThreadedProducer<Deliveries>,
    consumer: BaseConsumer,
    pen: Pen,
    partitions: u32,
    size: usize,
    next: u64,
}

impl Client {
    /// None where the coordinator could not be asked in time.
    fn new(settings: &Settings, recorder: &Recorder, name: &str) -> KafkaResult<Option<Self>> {
        let producer: ThreadedProducer<Deliveries> = settings
            .producer()
            .set("transactional.id", name)
            .set("message.timeout.ms", "30000")
            .set("transaction.timeout.ms", "60000")
            .create_with_context(Deliveries)?;
        if producer.init_transactions(CALL).is_err() {
            return Ok(None);
        }
        let mut pen = recorder.pen();
        let consumer = assigned(settings, "nemesis-mover", Start::OffsetTail(100))?;
        let invoked = pen.invoke();
        let keys = (0..settings.partitions).map(Key).collect();
        pen.complete(invoked, Outcome::Ok, Action::Assign(keys));
        let (partitions, size) = (settings.partitions, settings.size);
        let next = u64::from(pen.process().0) << 32;
        Ok(Some(Self { producer, consumer, pen, partitions, size, next }))
    }

    fn transact(&mut self, random: &mut Random) -> After {
        let invoked = self.pen.invoke();
        if self.producer.begin_transaction().is_err() {
            return After::MakeAnother;
        }
        let offsets = Offsets::default();
        let mut steps = Vec::new();
        let mut is_complete = true;
        for _ in 0..=random.below(4) {
            if random.once_in(2) {
                steps.push(Step::Poll(self.read()));
            } else {
                let send = self.send(random, &offsets);
                is_complete &= send.is_some();
                steps.extend(send.map(Step::Send));
            }
        }
        let is_wanted = is_complete && !random.once_in(ABORTED_IN);
        let outcome = if is_wanted { self.commit() } else { self.abort() };
        let offsets = offsets.lock();
        let mut sent = 0;
        for step in &mut steps {
            if let Step::Send(send) = step {
                send.offset = offsets.get(sent).copied().flatten();
                sent += 1;
            }
        }
        drop(offsets);
        self.pen.complete(invoked, outcome, Action::Transaction(steps));
        if outcome == Outcome::Info { After::MakeAnother } else { After::GoOn }
    }

    fn read(&self) -> Vec<crate::history::operation::Record> {
        let mut records = Vec::new();
        while records.len() < MAX_READ {
            match self.consumer.poll(Duration::ZERO) {
                Some(Ok(message)) => records.push(record(&message)),
                _ => break,
            }
        }
        records
    }

    fn send(&mut self, random: &mut Random, offsets: &Offsets) -> Option<Send> {
        let value = Value(self.next);
        self.next += 1;
        let key = Key(u32::try_from(random.below(u64::from(self.partitions))).unwrap_or(0));
        let number = {
            let mut offsets = offsets.lock();
            offsets.push(None);
            offsets.len() - 1
        };
        let opaque = Box::new((Arc::clone(offsets), number));
        let payload = payload::bytes(value, self.size);
        let record = BaseRecord::<(), [u8], _>::with_opaque_to(TOPIC, opaque)
            .partition(i32::try_from(key.0).unwrap_or(0))
            .payload(payload.as_slice());
        if self.producer.send(record).is_err() {
            offsets.lock().pop();
            return None;
        }
        Some(Send { key, value, offset: None })
    }

    fn commit(&self) -> Outcome {
        match persist(|| self.producer.commit_transaction(CALL)) {
            End::Done => Outcome::Ok,
            End::MustAbort => self.abort(),
            End::Unknown => Outcome::Info,
        }
    }

    fn abort(&self) -> Outcome {
        match persist(|| self.producer.abort_transaction(CALL)) {
            End::Done => Outcome::Fail,
            End::MustAbort | End::Unknown => Outcome::Info,
        }
    }
}

/// How the attempts to end a transaction ended.
enum End {
    Done,
    MustAbort,
    Unknown,
}

/// A call that ran out of time goes on where it was when it is made again.
fn may_ask_again(error: &RDKafkaError) -> bool {
    error.is_retriable() || error.code() == RDKafkaErrorCode::OperationTimedOut
}

/// Asks again as long as the client says that this makes sense.
fn persist(call: impl Fn() -> KafkaResult<()>) -> End {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match call() {
            Ok(()) => return End::Done,
            Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                return End::MustAbort;
            }
            Err(KafkaError::Transaction(error))
                if may_ask_again(&error) && Instant::now() < deadline => {}
            Err(_) => return End::Unknown,
        }
    }
}
