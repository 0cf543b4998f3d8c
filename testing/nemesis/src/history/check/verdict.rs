//! The outcome of a check.

use std::fmt;

use serde::Serialize;

use super::facts::Facts;
use super::findings::Findings;
use super::{aborted, cycles, duplicates, lost, offsets, polls, sends};
use crate::history::operation::{Action, Operation, Outcome};

/// What a history shows.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Operations looked at.
    pub operations: u64,
    /// Records whose sends, or whose transactions, were acknowledged.
    pub acknowledged: u64,
    /// Records that may have been written.
    pub unknown: u64,
    /// Records that surely were not.
    pub failed: u64,
    /// Records read, as often as they were read.
    pub read: u64,
    /// Transactions that committed.
    pub committed: u64,
    /// What was found.
    pub findings: Findings,
}

impl Verdict {
    /// Judges a history.
    #[must_use]
    pub fn of(history: &[Operation]) -> Self {
        let mut findings = Findings::default();
        let facts = Facts::of(history);
        offsets::check(&facts, &mut findings);
        duplicates::check(&facts, &mut findings);
        aborted::check(&facts, &mut findings);
        lost::check(&facts, &mut findings);
        polls::check(&facts, &mut findings);
        sends::check(&facts, &mut findings);
        cycles::check(&facts, &mut findings);
        let sent = |outcome: Outcome| {
            let of_outcome = history.iter().filter(move |one| one.outcome == outcome);
            of_outcome.map(|one| one.sends().count() as u64).sum()
        };
        let is_committed = |one: &&Operation| {
            one.outcome == Outcome::Ok && matches!(one.action, Action::Transaction(_))
        };
        Self {
            operations: history.len() as u64,
            acknowledged: sent(Outcome::Ok),
            unknown: sent(Outcome::Info),
            failed: sent(Outcome::Fail),
            read: history.iter().map(|one| one.reads().count() as u64).sum(),
            committed: history.iter().filter(is_committed).count() as u64,
            findings,
        }
    }

    /// Whether nothing was found that no broker may show.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings.iter().all(|(anomaly, _)| !anomaly.is_violation())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operations, acknowledged, unknown, failed, read, committed, .. } = self;
        writeln!(
            f,
            "{operations} operations, {committed} transactions committed; records: {acknowledged} \
             acknowledged, {unknown} unknown, {failed} failed; {read} reads"
        )?;
        for (anomaly, found) in self.findings.iter() {
            let weight = if anomaly.is_violation() { "VIOLATION" } else { "allowed" };
            writeln!(f, "{weight}: {} {}", found.count, anomaly.name())?;
            for example in &found.examples {
                writeln!(f, "    {example}")?;
            }
        }
        write!(f, "{}", if self.is_good() { "no violation" } else { "the history is invalid" })
    }
}
