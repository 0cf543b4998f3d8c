//! What happens in a run besides the machines: drawn from the seed.

use crate::rng::Rng;

/// How bad a run is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Voters at the beginning.
    pub voters: usize,
    /// Nodes that only observe at the beginning.
    pub observers: usize,
    /// The level of `kraft.version`: at 1 voters change.
    pub kraft_version: i16,
    /// Messages lost in a thousand.
    pub loss: u64,
    /// Messages doubled in a thousand.
    pub doubled: u64,
    /// Messages that take very long in a thousand.
    pub late: u64,
    /// Milliseconds that a message takes at most, if it is not late.
    pub delay: u64,
    /// Milliseconds that a sync takes at most.
    pub sync: u64,
    /// Syncs that take very long in a thousand.
    pub slow_sync: u64,
    /// Milliseconds between two faults, about.
    pub fault_interval: u64,
    /// How often which fault comes.
    pub crash_weight: u64,
    pub partition_weight: u64,
    pub voters_weight: u64,
    pub snapshot_weight: u64,
    pub resign_weight: u64,
    /// Whether every new leader is asked for other voters at once.
    pub eager_changes: bool,
    /// New leaders that are soon killed or cut off, in a thousand.
    pub frail_leaders: u64,
    /// Bytes of an answer to a fetch, few so that logs stay behind each other.
    pub fetch_bytes: usize,
    /// Milliseconds between two proposals, about.
    pub propose_interval: u64,
    /// Milliseconds of faults, before everything heals.
    pub length: u64,
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(rng: &mut Rng) -> Self {
        Self {
            voters: *rng.pick(&[1, 2, 3, 3, 3, 4, 4, 4, 5]).unwrap_or(&3),
            observers: rng.below(3) as usize,
            kraft_version: i16::from(rng.chance(800)),
            loss: *rng.pick(&[0, 0, 10, 100]).unwrap_or(&0),
            doubled: *rng.pick(&[0, 10, 100]).unwrap_or(&0),
            late: *rng.pick(&[0, 10, 50]).unwrap_or(&0),
            delay: *rng.pick(&[2, 20, 60]).unwrap_or(&2),
            sync: *rng.pick(&[1, 10, 50]).unwrap_or(&1),
            slow_sync: *rng.pick(&[0, 10, 100]).unwrap_or(&0),
            fault_interval: *rng.pick(&[50, 150, 500, 1000]).unwrap_or(&50),
            crash_weight: rng.below(10),
            partition_weight: rng.within(1, 10),
            voters_weight: rng.below(16),
            snapshot_weight: rng.below(6),
            resign_weight: rng.below(2),
            frail_leaders: *rng.pick(&[0, 0, 500, 900]).unwrap_or(&0),
            eager_changes: rng.chance(300),
            fetch_bytes: *rng.pick(&[16, 64, 1024]).unwrap_or(&16),
            propose_interval: rng.within(20, 300),
            length: rng.within(4_000, 15_000),
        }
    }
}
