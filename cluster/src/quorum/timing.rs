//! How long the quorum waits, and how it breaks the symmetry of elections.
//!
//! Symmetry is broken twice. Every wait for an election has jitter from a seeded generator. And the
//! voters are ranked by a hash of cluster, epoch and voter, a coin that all of them see alike: each
//! waits a slot longer per rank, so the first of an epoch mostly runs alone.

use std::time::Duration;

use milena_protocol::ids::{LeaderEpoch, NodeId};

use super::voters::VoterSet;

/// How long what may take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Votes are awaited for this long, and a voter without a leader waits about this long.
    pub election_timeout: Duration,
    /// A follower that has not heard of its leader for this long stands for election.
    pub fetch_timeout: Duration,
    /// An answer that does not come in this time is given up.
    pub request_timeout: Duration,
    /// A refused request is repeated after this time.
    pub retry_backoff: Duration,
    /// A leader that has nothing new keeps a fetch for this long.
    pub fetch_max_wait: Duration,
    /// Bytes of one answer to a fetch, or of one piece of a snapshot.
    pub fetch_max_bytes: usize,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            election_timeout: Duration::from_millis(1000),
            fetch_timeout: Duration::from_millis(2000),
            request_timeout: Duration::from_millis(2000),
            retry_backoff: Duration::from_millis(20),
            fetch_max_wait: Duration::from_millis(500),
            fetch_max_bytes: 1 << 20,
        }
    }
}

impl Timing {
    /// What a voter waits longer per rank.
    #[must_use]
    pub fn slot(&self) -> Duration {
        self.election_timeout / 10
    }

    /// A voter that would not have elected is asked again after this time: before the next rank's
    /// turn comes.
    #[must_use]
    pub fn trial_rest(&self) -> Duration {
        self.slot() / 2
    }

    /// A leader that no majority has fetched from for this long steps down (Q4).
    #[must_use]
    pub fn leadership(&self) -> Duration {
        self.fetch_timeout + self.fetch_timeout / 2
    }
}

/// The seeded generator and the coin of one member.
#[derive(Clone, Debug)]
pub struct Dice {
    state: u64,
    cluster: u64,
}

impl Dice {
    /// A generator; no two members should have the same seed.
    #[must_use]
    pub fn new(seed: u64, cluster_id: &str) -> Self {
        let cluster = cluster_id.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
        Self { state: mix(seed), cluster }
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A span below the given one.
    pub fn below(&mut self, span: Duration) -> Duration {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
        Duration::from_millis(self.roll() % millis)
    }

    /// How many voters go before this one in an epoch. All members compute the same.
    #[must_use]
    pub fn rank(&self, epoch: LeaderEpoch, node: NodeId, voters: &VoterSet) -> u32 {
        let coin = |id: NodeId| {
            let number =
                (u64::from(epoch.0.cast_unsigned()) << 32) | u64::from(id.0.cast_unsigned());
            (mix(self.cluster ^ mix(number)), id)
        };
        let before = voters.ids().filter(|id| coin(*id) < coin(node)).count();
        u32::try_from(before).unwrap_or(u32::MAX)
    }
}

/// Spreads the bits of a number over all bits.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::voters::{ReplicaKey, Voter};
    use milena_protocol::ids::Uuid;

    fn voters(count: i32) -> VoterSet {
        (1..=count).map(|id| Voter::bare(ReplicaKey { id: NodeId(id), ..NO_KEY })).collect()
    }

    const NO_KEY: ReplicaKey = ReplicaKey { id: NodeId::NONE, directory_id: Uuid::ZERO };

    /// Two voters would go first, or none, and elections be split.
    #[test]
    fn the_coin_ranks_all_voters_and_favours_none() {
        let set = voters(3);
        let (one, other) = (Dice::new(1, "c"), Dice::new(2, "c"));
        let mut first = [0u32; 3];
        for epoch in (0..3000).map(LeaderEpoch) {
            let mut ranks: Vec<u32> = set.ids().map(|id| one.rank(epoch, id, &set)).collect();
            assert!(set.ids().zip(&ranks).all(|(id, rank)| other.rank(epoch, id, &set) == *rank));
            let leading = ranks.iter().position(|rank| *rank == 0).unwrap();
            first[leading] += 1;
            ranks.sort_unstable();
            assert_eq!(ranks, [0, 1, 2]);
        }
        assert!(first.iter().all(|count| (900..1100).contains(count)), "{first:?}");
    }
}
