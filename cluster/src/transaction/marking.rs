//! The markers of one decision on their way.

use std::collections::BTreeSet;
use std::time::Duration;

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::Offset;

use super::known::TopicPartition;
use super::request::MarkerOutcome;

/// How long a report is waited for before the markers are written once more.
pub(super) const REPORT_PATIENCE: Duration = Duration::from_secs(30);
/// How soon the first failed marker is written once more; twice as late each time.
const FIRST_RETRY: Duration = Duration::from_millis(20);
/// How late at most.
const LAST_RETRY: Duration = Duration::from_secs(1);
const RETRIES_UNTIL_LAST: u32 = 6;

/// Which partitions wait for the marker of a decision. It is in no record: a marker that is written
/// twice does no harm.
#[derive(Clone, Debug)]
pub(super) struct Marking {
    /// Which decision.
    pub(super) decision: Offset,
    /// Partitions of which it is not known that they have the marker.
    pub(super) remaining: BTreeSet<TopicPartition>,
    /// Those of them in which it failed, and which are due for another attempt.
    failed: BTreeSet<TopicPartition>,
    attempts: u32,
}

impl Marking {
    pub(super) fn new(decision: Offset, partitions: BTreeSet<TopicPartition>) -> Self {
        Self { decision, remaining: partitions, failed: BTreeSet::new(), attempts: 0 }
    }

    /// Notes what became of a marker.
    pub(super) fn note(&mut self, partition: TopicPartition, outcome: MarkerOutcome) {
        if is_final(outcome) {
            self.failed.remove(&partition);
            self.remaining.remove(&partition);
        } else if self.remaining.contains(&partition) {
            self.failed.insert(partition);
        }
    }

    /// When the next attempt is due.
    pub(super) fn wait(&self) -> Duration {
        if self.failed.is_empty() {
            return REPORT_PATIENCE;
        }
        let doublings = self.attempts.min(RETRIES_UNTIL_LAST);
        FIRST_RETRY.saturating_mul(1 << doublings).min(LAST_RETRY)
    }

    /// What to write once more: what failed, or everything that nothing was heard of.
    pub(super) fn retry(&mut self) -> BTreeSet<TopicPartition> {
        self.attempts = self.attempts.saturating_add(1);
        let failed = std::mem::take(&mut self.failed);
        if failed.is_empty() { self.remaining.clone() } else { failed }
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
