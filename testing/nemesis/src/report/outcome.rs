//! All that is known of a run at its end.

use std::collections::BTreeMap;

use serde::Serialize;

use super::figures::Figures;
use super::rounds::Round;
use crate::fault::kind::Kind;
use crate::history::check::verdict::Verdict;

/// How it was run.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// Whose broker.
    pub broker: &'static str,
    /// How many nodes.
    pub nodes: usize,
    /// How many partitions.
    pub partitions: u32,
    /// Records a second that were to be sent.
    pub rate: u64,
    /// What decided chance.
    pub seed: u64,
    /// How long faults went on, in seconds.
    pub seconds: u64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// How it was run.
    pub setting: Setting,
    /// What the checker says.
    pub verdict: Verdict,
    /// Whether the last read came to the end of every partition.
    pub was_read_to_the_end: bool,
    /// Faults after which the cluster was not whole in time.
    pub not_whole: usize,
    /// How often a node ended by itself.
    pub ended_by_itself: usize,
    /// How long things took.
    pub figures: BTreeMap<Kind, Figures>,
    /// What was done.
    pub rounds: Vec<Round>,
}

impl Outcome {
    /// Whether nothing is wrong: nothing acknowledged is gone, and everything came back.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.verdict.is_good()
            && self.was_read_to_the_end
            && self.not_whole == 0
            && self.verdict.acknowledged > 0
    }
}
