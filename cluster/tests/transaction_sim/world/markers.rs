//! Markers on their way to the partitions, and the reports of them.

use milena_cluster::transaction::{MarkerOutcome, MarkerReport, Markers, Rules};
use milena_protocol::error_code::ErrorCode;

use super::{Event, LATE, World};
use crate::checks::Violation;

impl<R: Rules> World<R> {
    /// Sends each partition its marker.
    pub(super) fn send_markers(&mut self, markers: Markers) {
        self.met("markers");
        let is_safe = markers.transaction_version >= 2;
        for partition in &markers.partitions {
            let markers = Markers { partitions: [partition.clone()].into(), ..markers.clone() };
            let is_lost = !self.is_calm && self.rng.chance(self.plan.loss);
            if is_lost && self.rng.chance(500) {
                // Nobody could be asked.
                let failed = MarkerOutcome::Failed(ErrorCode::REQUEST_TIMED_OUT);
                self.send_report(&markers, failed);
                continue;
            }
            if !self.is_calm && is_safe && self.rng.chance(self.plan.doubled) {
                let after = self.rng.within(1, LATE);
                self.later(after, Event::Mark { markers: markers.clone(), is_answered: true });
            }
            let is_late = !self.is_calm && is_safe && self.rng.chance(self.plan.late);
            let after = if is_late { self.rng.within(1, LATE) } else { self.delay() };
            self.later(after, Event::Mark { markers, is_answered: !is_lost });
        }
    }

    pub(super) fn mark(&mut self, markers: &Markers, is_answered: bool) -> Result<(), Violation> {
        let partition = markers.partitions.first().ok_or("no partition")?.partition.0;
        let (outcome, ended) =
            self.partitions.get_mut(&partition).ok_or("no partition")?.mark(markers);
        if outcome == MarkerOutcome::Written {
            self.log_check.marked(markers, !ended.is_empty())?;
        }
        for uid in ended {
            self.fates.marked(uid, markers.is_commit)?;
            self.met(if markers.is_commit { "committed" } else { "aborted" });
        }
        let failed = MarkerOutcome::Failed(ErrorCode::REQUEST_TIMED_OUT);
        self.send_report(markers, if is_answered { outcome } else { failed });
        Ok(())
    }

    pub(super) fn send_report(&mut self, markers: &Markers, outcome: MarkerOutcome) {
        // Up to version 1 whoever runs the machine reports, whatever happens.
        let may_be_lost = !self.is_calm && markers.transaction_version >= 2;
        if may_be_lost && self.rng.chance(self.plan.lost_reports) {
            return;
        }
        let report = MarkerReport {
            transactional_id: markers.transactional_id.clone(),
            attempt: markers.attempt,
            outcomes: markers.partitions.iter().map(|at| (at.clone(), outcome)).collect(),
        };
        let is_doubled = !self.is_calm && self.rng.chance(self.plan.doubled);
        if is_doubled {
            let after = self.rng.within(1, LATE);
            self.later(after, Event::Report(report.clone()));
        }
        let after = self.delay();
        self.later(after, Event::Report(report));
    }
}
