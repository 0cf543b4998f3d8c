//! What happens in a run besides the machines: drawn from the seed.

use crate::simulation::rng::Rng;

/// How bad a run is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Brokers, each with a replica.
    pub brokers: i32,
    /// `min.insync.replicas`.
    pub min_insync: usize,
    /// Whether who leaves an ISR that is too small stays eligible (KIP-966).
    pub has_eligible: bool,
    /// `unclean.leader.election.enable`.
    pub is_unclean: bool,
    /// Whether records are synced before they count (`flush.messages=1`).
    pub is_durable: bool,
    /// Whether power goes at more replicas than the promise allows.
    pub is_reckless: bool,
    /// Messages lost, doubled, and that take very long, in a thousand.
    pub loss: u64,
    pub doubled: u64,
    pub late: u64,
    /// Milliseconds that a message takes at most, if it is not late.
    pub delay: u64,
    /// Milliseconds that a late one takes at most, and one to or from the controller.
    pub late_span: u64,
    pub controller_delay: u64,
    /// Milliseconds that a proposal takes at most, where that is longer.
    pub proposal_delay: u64,
    /// Milliseconds until a leader gives up waiting for the controller.
    pub patience: u64,
    /// Milliseconds until a broker learns of new metadata at most.
    pub metadata_delay: u64,
    /// Milliseconds until a log is synced at most.
    pub sync: u64,
    /// `replica.lag.time.max.ms`, and the session of a broker.
    pub max_lag: u64,
    pub session: u64,
    /// Milliseconds between two records, and between two faults, about.
    pub produce_interval: u64,
    pub fault_interval: u64,
    /// How often which fault comes.
    pub kill_weight: u64,
    pub power_weight: u64,
    pub network_weight: u64,
    pub pause_weight: u64,
    pub fence_weight: u64,
    pub leader_weight: u64,
    pub drain_weight: u64,
    /// Followers that end, or are cut off, as soon as they are proposed, and leaders that are taken
    /// for silent as soon as they lead, in a thousand.
    pub frail_joiners: u64,
    pub frail_leaders: u64,
    /// Milliseconds of faults, before everything heals.
    pub length: u64,
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(rng: &mut Rng) -> Self {
        let is_frail = rng.chance(150);
        let mut of = |list: &[u64]| *rng.pick(list).unwrap_or(&0);
        let brokers = of(&[2, 2, 3, 3, 3, 4, 5]);
        let plan = Self {
            brokers: brokers as i32,
            min_insync: of(&[1, 2, 2, 2, 3]).min(brokers) as usize,
            has_eligible: of(&[0, 1, 1, 1, 1]) == 1,
            is_unclean: of(&[0, 0, 0, 0, 0, 0, 0, 1]) == 1,
            is_durable: of(&[0, 0, 1]) == 1,
            is_reckless: of(&[0, 0, 0, 0, 0, 0, 1]) == 1,
            loss: of(&[0, 10, 100]),
            doubled: of(&[0, 50, 200]),
            late: of(&[0, 20, 200]),
            delay: of(&[2, 10, 50]),
            late_span: of(&[200, 600, 2_000]),
            controller_delay: of(&[5, 5, 50, 300]),
            proposal_delay: of(&[0, 400, 1_500]),
            patience: of(&[150, 500, 1_500]),
            metadata_delay: of(&[5, 5, 50, 400, 1_500]),
            sync: of(&[5, 50, 500]),
            max_lag: of(&[100, 300, 1_000]),
            session: of(&[150, 400, 2_000]),
            produce_interval: of(&[20, 60, 150]),
            fault_interval: of(&[40, 100, 300, 800]),
            kill_weight: of(&[0, 2, 5]),
            power_weight: of(&[0, 2, 5, 5]),
            network_weight: of(&[0, 2, 5]),
            pause_weight: of(&[0, 1, 3]),
            fence_weight: of(&[0, 1, 5]),
            leader_weight: of(&[0, 1, 5]),
            drain_weight: of(&[0, 0, 2]),
            frail_joiners: of(&[0, 200, 700]),
            frail_leaders: of(&[0, 0, 300]),
            length: of(&[1_500, 3_000, 5_000]),
        };
        let power_weight = plan.power_weight.max(if plan.is_durable { 3 } else { 0 });
        let plan = Self { power_weight, ..plan };
        if is_frail { plan.frail() } else { plan }
    }

    /// Followers lose power again and again while slow proposals let them join, which else chance
    /// brings about too rarely.
    fn frail(self) -> Self {
        Self {
            brokers: self.brokers.min(3),
            min_insync: 2,
            has_eligible: true,
            is_durable: false,
            is_unclean: false,
            is_reckless: false,
            controller_delay: 5,
            metadata_delay: 5,
            proposal_delay: 1_500,
            patience: 1_500,
            sync: 500,
            frail_joiners: 900,
            frail_leaders: 0,
            fault_interval: self.fault_interval.max(300),
            length: 5_000,
            ..self
        }
    }

    /// Whether nothing may be lost. Without eligible leaders the last one in sync stays so whatever
    /// it has lost, and the partition is only marked.
    pub fn promises(&self) -> bool {
        !self.is_unclean && (self.is_durable || !self.is_reckless && self.has_eligible)
    }
}
