//! What happens in a run besides the machine: drawn from the seed.

use crate::simulation::rng::Rng;

/// How bad a run is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Transactional ids, and how many producers compete for each.
    pub ids: usize,
    pub rivals: usize,
    /// Partitions that transactions write to.
    pub partitions: usize,
    /// Messages lost in a thousand.
    pub loss: u64,
    /// Messages doubled, and messages that take very long, in a thousand: only those that version 2
    /// is safe against.
    pub doubled: u64,
    pub late: u64,
    /// Milliseconds that a message takes at most, if it is not late.
    pub delay: u64,
    /// Milliseconds until a record is committed at most.
    pub commit: u64,
    /// Appends refused in a thousand.
    pub refused: u64,
    /// Reports of markers that are lost in a thousand.
    pub lost_reports: u64,
    /// Milliseconds between two faults, about.
    pub fault_interval: u64,
    pub coordinator_weight: u64,
    pub partition_weight: u64,
    pub producer_weight: u64,
    /// The level of `transaction.version`, and producers of version 2 in a thousand.
    pub level: i16,
    pub version_2: u64,
    /// Where the epochs of the first producer of an id begin, in a thousand near their end.
    pub old_epochs: u64,
    /// Milliseconds after which a transaction is aborted.
    pub timeout: u64,
    /// Milliseconds that a request waits for markers.
    pub patience: u64,
    /// Milliseconds of faults, before everything heals.
    pub length: u64,
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(rng: &mut Rng) -> Self {
        let mut of = |list: &[u64]| *rng.pick(list).unwrap_or(&0);
        Self {
            ids: of(&[1, 2]) as usize,
            rivals: of(&[1, 2, 2, 3]) as usize,
            partitions: of(&[1, 2, 4]) as usize,
            loss: of(&[0, 10, 100]),
            doubled: of(&[0, 10, 100]),
            late: of(&[0, 10, 100]),
            delay: of(&[2, 20, 200]),
            commit: of(&[1, 10, 100]),
            refused: of(&[0, 0, 20, 200]),
            lost_reports: of(&[0, 0, 20]),
            fault_interval: of(&[50, 500, 2_000]),
            coordinator_weight: of(&[0, 1, 3]),
            partition_weight: of(&[0, 1, 3]),
            producer_weight: of(&[0, 1, 3]),
            level: of(&[2, 2, 2, 1, 0]) as i16,
            version_2: of(&[0, 500, 1000]),
            old_epochs: of(&[0, 0, 300]),
            timeout: of(&[500, 5_000, 60_000]),
            patience: of(&[50, 500, 2_000]),
            length: of(&[5_000, 20_000, 60_000]),
        }
    }
}
