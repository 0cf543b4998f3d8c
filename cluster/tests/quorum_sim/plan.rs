//! What happens in a run besides the machines: drawn from the seed.

use crate::simulation::rng::Rng;

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
    /// New leaders that are soon killed, or cut off with a part of the others, in a thousand.
    pub frail_leaders: u64,
    /// Bytes of an answer to a fetch, few so that logs stay behind each other.
    pub fetch_bytes: usize,
    /// Milliseconds that a voter without a leader waits, about.
    pub election_timeout: u64,
    /// Milliseconds between two proposals, about.
    pub propose_interval: u64,
    /// Milliseconds of faults, before everything heals.
    pub length: u64,
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(rng: &mut Rng) -> Self {
        let frail_leaders = *rng.pick(&[0, 0, 500, 900]).unwrap_or(&0);
        let is_frail = frail_leaders > 0;
        Self {
            voters: *rng.pick(&[1, 2, 3, 3, 3, 4, 4, 4, 5]).unwrap_or(&3),
            observers: rng.below(3) as usize,
            kraft_version: i16::from(rng.chance(800)),
            loss: *rng.pick(&[0, 0, 10, 100]).unwrap_or(&0),
            doubled: *rng.pick(&[0, 10, 100]).unwrap_or(&0),
            late: *rng.pick(&[0, 10, 50]).unwrap_or(&0),
            delay: *rng.pick(if is_frail { &[20, 60] } else { &[2, 20, 60] }).unwrap_or(&2),
            sync: *rng.pick(&[1, 10, 50]).unwrap_or(&1),
            slow_sync: *rng.pick(&[0, 10, 100]).unwrap_or(&0),
            fault_interval: *rng
                .pick(if is_frail { &[500, 1500] } else { &[50, 150, 500, 1000] })
                .unwrap_or(&50),
            crash_weight: rng.below(10),
            partition_weight: rng.within(1, 10),
            voters_weight: rng.below(16),
            snapshot_weight: rng.below(6),
            resign_weight: rng.below(2),
            frail_leaders,
            eager_changes: rng.chance(if is_frail { 500 } else { 200 }),
            fetch_bytes: *rng.pick(if is_frail { &[16, 64] } else { &[16, 1024] }).unwrap_or(&16),
            election_timeout: 300,
            propose_interval: rng.within(20, 300),
            length: rng.within(4_000, 15_000),
        }
    }

    /// Nothing but what a script does.
    pub fn scripted(voters: usize) -> Self {
        Self {
            voters,
            observers: 0,
            kraft_version: 1,
            loss: 0,
            doubled: 0,
            late: 0,
            delay: 5,
            sync: 2,
            slow_sync: 0,
            fault_interval: FOREVER,
            crash_weight: 0,
            partition_weight: 0,
            voters_weight: 0,
            snapshot_weight: 0,
            resign_weight: 0,
            frail_leaders: 0,
            eager_changes: false,
            fetch_bytes: 16,
            election_timeout: 300,
            propose_interval: FOREVER,
            length: FOREVER,
        }
    }

    /// Nothing but an election, with the waits that a node has, over such a network.
    pub fn election(voters: usize, delay: u64) -> Self {
        Self { delay, election_timeout: 1_000, ..Self::scripted(voters) }
    }
}

/// Milliseconds that no run lasts.
const FOREVER: u64 = 1 << 40;
