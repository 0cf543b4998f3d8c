//! A member of a group. What it holds changes; whatever it reads while it holds it is in order.

use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaResult;

use super::consumer::gather;
use super::settings::{Settings, TOPIC};
use crate::history::operation::{Action, Outcome};
use crate::history::recorder::Recorder;

/// The group.
const GROUP: &str = "nemesis-group";

/// Reads as a member until it is told to stop.
///
/// # Errors
/// When the client cannot be made.
pub fn run(settings: &Settings, recorder: &Recorder, is_over: &AtomicBool) -> KafkaResult<()> {
    let mut pen = recorder.pen();
    let consumer: BaseConsumer<Changes> =
        settings.member(GROUP).create_with_context(Changes::default())?;
    consumer.subscribe(&[TOPIC])?;
    while !is_over.load(Ordering::Relaxed) {
        let invoked = pen.invoke();
        let has_changed = || consumer.context().has_changed.load(Ordering::Relaxed);
        let gathered = gather(&consumer, has_changed);
        if !gathered.records.is_empty() {
            pen.complete(invoked, Outcome::Ok, Action::Poll(gathered.records));
        }
        if consumer.context().has_changed.swap(false, Ordering::Relaxed) {
            let invoked = pen.invoke();
            pen.complete(invoked, Outcome::Ok, Action::Subscribe(Vec::new()));
        }
    }
    // Closing may wait for a rebalance that nobody polls; the group forgets it by itself.
    std::mem::forget(consumer);
    Ok(())
}

/// Notes that partitions came or went.
#[derive(Default)]
struct Changes {
    has_changed: AtomicBool,
}

impl ClientContext for Changes {}

impl ConsumerContext for Changes {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        self.has_changed.store(true, Ordering::Relaxed);
    }
}
