//! What a producer was told, against what the log holds.
//!
//! The producer sends growing numbers, each once, and spreads them over partitions. So in each
//! partition every acknowledged number must stand at the offset that was promised, no number may
//! stand twice, and they must grow.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a client said about its records.
#[derive(Debug, Default)]
pub struct Said {
    acknowledged: BTreeMap<u32, Vec<(u64, u64)>>,
    /// What it said that was no acknowledgement.
    pub complaints: Vec<String>,
}

/// The outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Records that were acknowledged.
    pub acknowledged: usize,
    /// Acknowledged records that are not where they were said to be.
    pub lost: usize,
    /// Records that are there more than once.
    pub doubled: usize,
    /// Records that are there after one that was sent later.
    pub reordered: usize,
}

impl Said {
    /// Takes a line of a client: `acked PARTITION OFFSET NUMBER`, or a complaint.
    pub fn take_line(&mut self, line: &str) {
        match acknowledgement(line) {
            Some((partition, offset, number)) => {
                self.acknowledged.entry(partition).or_default().push((offset, number));
            }
            None => self.complaints.push(line.to_owned()),
        }
    }

    /// The partitions that have an acknowledged record.
    pub fn partitions(&self) -> impl Iterator<Item = u32> {
        self.acknowledged.keys().copied()
    }

    /// Compares what was said of a partition with its records: offsets and numbers in their order.
    #[must_use]
    pub fn judge(&self, partition: u32, records: &[(u64, u64)]) -> Verdict {
        let by_offset: BTreeMap<u64, u64> = records.iter().copied().collect();
        let said = self.acknowledged.get(&partition).map_or(&[][..], Vec::as_slice);
        let lost = said.iter().filter(|(offset, number)| by_offset.get(offset) != Some(number));
        let distinct: BTreeSet<u64> = records.iter().map(|(_, number)| *number).collect();
        let reordered = records.windows(2).filter(|pair| matches!(pair, [a, b] if a.1 > b.1));
        Verdict {
            acknowledged: said.len(),
            lost: lost.count(),
            doubled: records.len() - distinct.len(),
            reordered: reordered.count(),
        }
    }
}

fn acknowledgement(line: &str) -> Option<(u32, u64, u64)> {
    let mut words = line.strip_prefix("acked ")?.split(' ');
    let found =
        (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    words.next().is_none().then_some(found)
}

impl Verdict {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(self) -> bool {
        self.lost + self.doubled + self.reordered == 0
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            acknowledged: self.acknowledged + other.acknowledged,
            lost: self.lost + other.lost,
            doubled: self.doubled + other.doubled,
            reordered: self.reordered + other.reordered,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, lost, doubled, reordered } = self;
        write!(
            f,
            "{acknowledged} acknowledged records, {lost} lost, {doubled} doubled, \
             {reordered} out of order"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Said {
        let mut said = Said::default();
        for line in ["acked 0 0 4", "acked 0 1 8", "acked 0 2 12"] {
            said.take_line(line);
        }
        said
    }

    /// A broker that loses, doubles or reorders would pass.
    #[test]
    fn every_kind_of_fault_is_found() {
        let of = |records: &[(u64, u64)]| said().judge(0, records);
        assert!(of(&[(0, 4), (1, 8), (2, 12), (3, 16)]).is_good());
        assert_eq!(of(&[(0, 4), (1, 8)]).lost, 1);
        assert_eq!(of(&[(0, 4), (1, 12), (2, 8)]).lost, 2);
        assert_eq!(of(&[(0, 4), (1, 12), (2, 8)]).reordered, 1);
        assert_eq!(of(&[(0, 4), (1, 8), (2, 12), (3, 12)]).doubled, 1);
        assert_eq!(of(&[]).lost, 3);
    }

    /// A client's failure would pass as nothing said.
    #[test]
    fn what_is_no_acknowledgement_is_a_complaint() {
        let mut said = said();
        said.take_line("failed 16 timed out");
        said.take_line("acked 0 1");
        assert_eq!(said.complaints.len(), 2);
    }
}
