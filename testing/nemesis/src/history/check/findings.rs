//! What was found, with examples.

use std::collections::BTreeMap;

use serde::Serialize;

use super::anomaly::Anomaly;

/// How many examples of each kind are kept.
const MAX_EXAMPLES: usize = 8;

/// How often an anomaly was found, and the first places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// How often.
    pub count: u64,
    /// The first of them, in words.
    pub examples: Vec<String>,
}

/// All anomalies that were found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Findings(BTreeMap<Anomaly, Found>);

impl Findings {
    /// Notes one; the words are only made when they are kept.
    pub fn note(&mut self, anomaly: Anomaly, words: impl FnOnce() -> String) {
        let found = self.0.entry(anomaly).or_default();
        found.count += 1;
        if found.examples.len() < MAX_EXAMPLES {
            found.examples.push(words());
        }
    }

    /// How often it was found.
    #[must_use]
    pub fn count(&self, anomaly: Anomaly) -> u64 {
        self.0.get(&anomaly).map_or(0, |found| found.count)
    }

    /// Everything that was found.
    pub fn iter(&self) -> impl Iterator<Item = (Anomaly, &Found)> {
        self.0.iter().map(|(anomaly, found)| (*anomaly, found))
    }
}
