//! The markers of one decision on their way.
//!
//! Up to version 1 the next transaction has the same epoch, so a marker that comes late would end
//! that one. Therefore nothing counts but the outcome of the latest attempt, and there is no other
//! attempt before that outcome is known. From version 2 on a late marker is harmless.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, Offset};

use super::attempt::Attempt;
use super::known::TopicPartition;
use super::request::MarkerOutcome;
use super::rules::Rules;

/// How long a report is waited for before the markers are written once more, where that is safe.
pub(super) const REPORT_PATIENCE: Duration = Duration::from_secs(30);
/// How soon the first failed marker is written once more; twice as late each time.
const FIRST_RETRY: Duration = Duration::from_millis(20);
/// How late at most.
const LAST_RETRY: Duration = Duration::from_secs(1);
const RETRIES_UNTIL_LAST: u32 = 6;

/// The number of the attempt that goes out with the decision.
pub(super) const FIRST_ATTEMPT: u32 = 1;

/// Which partitions wait for the marker of a decision. It is in no record: whoever takes over
/// writes all of them again, with its own epoch.
#[derive(Clone, Debug)]
pub(super) struct Marking {
    decision: Offset,
    /// How many attempts there were.
    attempts: u32,
    /// Partitions of which it is not known that they have the marker.
    pub(super) remaining: BTreeSet<TopicPartition>,
    /// Those of them whose outcome is not known, with the attempt that it is awaited of.
    on_the_way: BTreeMap<TopicPartition, u32>,
    /// Those of them in which it failed.
    failed: BTreeSet<TopicPartition>,
}

impl Marking {
    /// The markers that go out with a decision.
    pub(super) fn new(decision: Offset, partitions: BTreeSet<TopicPartition>) -> Self {
        let first = partitions.iter().cloned().map(|partition| (partition, FIRST_ATTEMPT));
        Self {
            decision,
            attempts: FIRST_ATTEMPT,
            on_the_way: first.collect(),
            remaining: partitions,
            failed: BTreeSet::new(),
        }
    }

    /// Notes what became of a marker, unless something else is awaited.
    pub(super) fn note<R: Rules>(
        &mut self,
        coordinator_epoch: LeaderEpoch,
        attempt: Attempt,
        partition: TopicPartition,
        outcome: MarkerOutcome,
    ) {
        let Some(number) = self.on_the_way.get(&partition).copied() else { return };
        let awaited = Attempt { coordinator_epoch, decision: self.decision, number };
        if !R::is_report_of(awaited, attempt) {
            return;
        }
        self.on_the_way.remove(&partition);
        if is_final(outcome) {
            self.remaining.remove(&partition);
        } else {
            self.failed.insert(partition);
        }
    }

    /// When the next attempt is due.
    pub(super) fn wait(&self) -> Duration {
        if self.failed.is_empty() {
            return REPORT_PATIENCE;
        }
        let doublings = (self.attempts - FIRST_ATTEMPT).min(RETRIES_UNTIL_LAST);
        FIRST_RETRY.saturating_mul(1 << doublings).min(LAST_RETRY)
    }

    /// Begins another attempt where it failed.
    pub(super) fn retry_failed(
        &mut self,
        coordinator_epoch: LeaderEpoch,
    ) -> Option<(Attempt, BTreeSet<TopicPartition>)> {
        let partitions = std::mem::take(&mut self.failed);
        (!partitions.is_empty()).then(|| self.begin(coordinator_epoch, partitions))
    }

    /// Begins another attempt everywhere.
    pub(super) fn retry_all(
        &mut self,
        coordinator_epoch: LeaderEpoch,
    ) -> (Attempt, BTreeSet<TopicPartition>) {
        self.failed.clear();
        self.begin(coordinator_epoch, self.remaining.clone())
    }

    fn begin(
        &mut self,
        coordinator_epoch: LeaderEpoch,
        partitions: BTreeSet<TopicPartition>,
    ) -> (Attempt, BTreeSet<TopicPartition>) {
        self.attempts = self.attempts.saturating_add(1);
        let number = self.attempts;
        self.on_the_way.extend(partitions.iter().cloned().map(|partition| (partition, number)));
        (Attempt { coordinator_epoch, decision: self.decision, number }, partitions)
    }
}

/// Whether a partition needs no further attempt.
fn is_final(outcome: MarkerOutcome) -> bool {
    match outcome {
        MarkerOutcome::Written | MarkerOutcome::Gone => true,
        // The partition knows a later epoch of the producer: no attempt would ever succeed, and
        // there is nothing left that this marker could end.
        MarkerOutcome::Failed(code) => code == ErrorCode::INVALID_PRODUCER_EPOCH,
    }
}
