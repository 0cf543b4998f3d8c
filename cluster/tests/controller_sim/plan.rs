//! What happens in a run besides the controller: drawn from the seed.

use crate::simulation::rng::Rng;

/// How bad a run is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many brokers there are.
    pub brokers: i32,
    /// Whether replicas outside of the ISR may be eligible (KIP-966).
    pub has_eligible: bool,
    /// `min.insync.replicas`.
    pub min_in_sync: usize,
    /// `unclean.leader.election.enable`.
    pub is_unclean: bool,
    /// What may happen, with its weight.
    pub kills: u64,
    pub power_cuts: u64,
    pub stops: u64,
    pub failovers: u64,
    pub moves: u64,
    pub disks: u64,
    pub twins: u64,
    /// How many topics there are at most.
    pub topics: usize,
    /// Messages lost, and doubled, in a thousand.
    pub loss: u64,
    pub doubled: u64,
    /// Steps that a message takes at most.
    pub delay: u64,
    /// Steps until everything heals.
    pub steps: u64,
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(rng: &mut Rng) -> Self {
        let mut of = |list: &[u64]| *rng.pick(list).unwrap_or(&0);
        let has_eligible = of(&[0, 1, 1]) == 1;
        Self {
            brokers: of(&[2, 3, 4, 5]) as i32,
            has_eligible,
            min_in_sync: of(&[1, 2, 2]) as usize,
            is_unclean: of(&[0, 0, 0, 1]) == 1,
            kills: of(&[0, 1, 3]),
            // Without eligible leaders the last in sync is waited for, whatever it has lost.
            power_cuts: if has_eligible { of(&[0, 2, 5]) } else { 0 },
            stops: of(&[0, 1, 3]),
            failovers: of(&[0, 1, 2]),
            moves: of(&[0, 5, 20]),
            disks: if has_eligible { of(&[0, 0, 1]) } else { 0 },
            twins: of(&[0, 0, 1]),
            topics: of(&[1, 1, 3]) as usize,
            loss: of(&[0, 20, 200]),
            doubled: of(&[0, 100, 400]),
            delay: of(&[0, 3, 20, 80]),
            steps: of(&[100, 250, 500]),
        }
    }
}
