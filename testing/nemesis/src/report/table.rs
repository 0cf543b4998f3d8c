//! The outcome for people.

use std::fmt;

use super::figures::Spread;
use super::outcome::Outcome;
use crate::history::check::anomaly::Anomaly;

/// What stands in which column.
const HEADS: [&str; 8] = [
    "Fault",
    "Rounds",
    "Write gap",
    "Follower gap",
    "Back in sync",
    "Whole",
    "Elected",
    "Controller gap",
];

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setting = &self.setting;
        writeln!(
            f,
            "{}, {} nodes, {} partitions, {} records/s, {} s, seed {}",
            setting.broker,
            setting.nodes,
            setting.partitions,
            setting.rate,
            setting.seconds,
            setting.seed
        )?;
        let count = |anomaly| self.verdict.findings.count(anomaly);
        writeln!(
            f,
            "{} acknowledged, {} lost, {} duplicated, {} reordered, {} aborted reads",
            self.verdict.acknowledged,
            count(Anomaly::LostWrite) + count(Anomaly::Unseen),
            count(Anomaly::Duplicate),
            count(Anomaly::NonmonotonicSend) + count(Anomaly::InternalNonmonotonicSend),
            count(Anomaly::AbortedRead),
        )?;
        writeln!(f)?;
        writeln!(f, "| {} |", HEADS.join(" | "))?;
        writeln!(f, "| {} |", HEADS.map(|_| "---").join(" | "))?;
        for (kind, figures) in &self.figures {
            writeln!(
                f,
                "| {} | {} | {} | {} | {} | {} | {} | {} |",
                kind.name(),
                figures.rounds,
                cell(figures.write_gap),
                cell(figures.follower_gap),
                cell(figures.back_in_sync),
                cell(figures.whole),
                cell(figures.elected),
                cell(figures.controller_gap),
            )?;
        }
        writeln!(f, "p50 / p99 / max in ms, (count)")?;
        writeln!(f)?;
        if !self.was_read_to_the_end {
            writeln!(f, "VIOLATION: the last read did not come to the end")?;
        }
        if self.not_whole > 0 {
            writeln!(f, "VIOLATION: not whole in time after {} faults", self.not_whole)?;
        }
        if self.ended_by_itself > 0 {
            writeln!(f, "{} times a node ended by itself", self.ended_by_itself)?;
        }
        write!(f, "{}", self.verdict)
    }
}

fn cell(spread: Spread) -> String {
    let Spread { count, p50_ms, p99_ms, max_ms } = spread;
    if count == 0 {
        return "–".to_owned();
    }
    format!("{p50_ms} / {p99_ms} / {max_ms} ({count})")
}
