//! A producer that sends at a steady rate, whatever happens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{
    BaseRecord, DeliveryResult, NoCustomPartitioner, Producer, ProducerContext, PurgeConfig,
    ThreadedProducer,
};

use super::payload;
use super::settings::{Settings, TOPIC};
use crate::history::operation::{self, Action, Key, Offset, Outcome, Value};
use crate::history::recorder::{Pen, Recorder};

/// How long between two looks at what is due.
const PAUSE: Duration = Duration::from_millis(5);
/// How long the last sends may take: longer than the client's own patience.
const LAST: Duration = Duration::from_secs(125);

/// Sends at a rate, in records a second, until it is told to stop; then waits for what is under
/// way.
///
/// # Errors
/// When the client cannot be made.
pub fn run(
    settings: &Settings,
    recorder: &Recorder,
    rate: u64,
    is_over: &AtomicBool,
) -> KafkaResult<()> {
    let mut sender = Sender::new(settings, recorder)?;
    let began = Instant::now();
    let mut done = 0;
    while !is_over.load(Ordering::Relaxed) {
        let due = began.elapsed().as_micros() * u128::from(rate) / 1_000_000;
        while done < due {
            // What does not fit is left out: it would come as a burst later.
            sender.send();
            done += 1;
        }
        if sender.is_broken() {
            sender.finish();
            sender = Sender::new(settings, recorder)?;
        }
        std::thread::sleep(PAUSE);
    }
    sender.finish();
    Ok(())
}

/// A send that is under way.
struct Pending {
    key: Key,
    value: Value,
    invoked: operation::Instant,
}

/// Writes down what became of sends.
struct Deliveries {
    pen: Mutex<Pen>,
}

impl ClientContext for Deliveries {}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = Box<Pending>;

    fn delivery(&self, result: &DeliveryResult<'_>, pending: Box<Pending>) {
        let (outcome, offset) = match result {
            Ok(message) => (Outcome::Ok, known(message.offset())),
            Err((error, _)) => (outcome(error), None),
        };
        let Pending { key, value, invoked } = *pending;
        let send = operation::Send { key, value, offset };
        self.pen.lock().complete(invoked, outcome, Action::Send(send));
    }
}

/// The offset, if the broker told it: of a retry of what had already arrived it may not.
pub fn known(offset: i64) -> Option<Offset> {
    (offset >= 0).then_some(Offset(offset))
}

/// What left the queue may have arrived.
fn outcome(error: &KafkaError) -> Outcome {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::PurgeQueue) => Outcome::Fail,
        _ => Outcome::Info,
    }
}

struct Sender {
    producer: ThreadedProducer<Deliveries>,
    partitions: u32,
    size: usize,
    next: u64,
}

impl Sender {
    fn new(settings: &Settings, recorder: &Recorder) -> KafkaResult<Self> {
        let pen = recorder.pen();
        let next = u64::from(pen.process().0) << 32;
        let context = Deliveries { pen: Mutex::new(pen) };
        let producer = settings.producer().create_with_context(context)?;
        Ok(Self { producer, partitions: settings.partitions, size: settings.size, next })
    }

    fn send(&mut self) {
        let value = Value(self.next);
        let key = Key(u32::try_from(self.next % u64::from(self.partitions)).unwrap_or(0));
        let invoked = self.producer.context().pen.lock().invoke();
        let payload = payload::bytes(value, self.size);
        let record = BaseRecord::<(), [u8], Box<Pending>>::with_opaque_to(
            TOPIC,
            Box::new(Pending { key, value, invoked }),
        );
        let partition = i32::try_from(key.0).unwrap_or(0);
        // One that is refused here went nowhere.
        if self.producer.send(record.partition(partition).payload(payload.as_slice())).is_ok() {
            self.next += 1;
        }
    }

    fn is_broken(&self) -> bool {
        self.producer.client().fatal_error().is_some()
    }

    /// Waits for what is under way, and gives up the rest.
    fn finish(&self) {
        if self.producer.flush(LAST).is_err() {
            self.producer.purge(PurgeConfig::default().queue().inflight());
            // The purged ones are told at once.
            let _ = self.producer.flush(Duration::from_secs(1));
        }
    }
}
