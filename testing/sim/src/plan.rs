//! What happens in a run besides the machines: drawn from the seed.

use milena_cluster::configs::Values;

use crate::simulation::rng::Rng;

/// The topic of the coordinators of groups.
pub const GROUPS: &str = "__consumer_offsets";

/// The topic of the coordinators of transactions.
pub const TRANSACTIONS: &str = "__transaction_state";

/// A topic that the administrator makes.
#[derive(Clone, Debug)]
pub struct TopicPlan {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: i32,
    /// How many replicas each has.
    pub replicas: i16,
    /// `min.insync.replicas`.
    pub min_insync: usize,
    /// Whether records are synced before they count (`flush.messages=1`).
    pub is_durable: bool,
}

/// How bad a run is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Voters at the beginning: the first nodes.
    pub voters: i32,
    /// Nodes.
    pub nodes: i32,
    /// Whether voters are controllers only, and all others brokers only.
    pub is_split: bool,
    /// The level of `kraft.version`: at 1 voters change.
    pub kraft_version: i16,
    /// Whether who leaves an ISR that is too small stays eligible (KIP-966).
    pub has_eligible: bool,
    /// What the administrator makes.
    pub topics: Vec<TopicPlan>,
    /// Producers, and batches that each has on the way at most.
    pub producers: usize,
    pub in_flight: usize,
    pub consumers: usize,
    /// Those who commit the offsets of a group each.
    pub committers: usize,
    /// Groups with members, the number of the first, and members of each.
    pub groups: usize,
    pub first_group: usize,
    pub members: usize,
    /// Transactional ids, and producers that compete for each.
    pub transactional_ids: usize,
    pub rivals: usize,
    /// Producers in a thousand that let brokers add partitions to their transactions, and raise
    /// their epoch with each (transaction version 2).
    pub version_2: u64,
    /// Milliseconds after which a transaction is aborted.
    pub transaction_timeout: u64,
    /// Messages lost, doubled, damaged and that take very long, in a thousand.
    pub loss: u64,
    pub doubled: u64,
    pub damaged: u64,
    pub late: u64,
    /// Milliseconds that a message takes at most, and one that is late.
    pub delay: u64,
    pub late_span: u64,
    /// Milliseconds that a sync takes at most, and how many in a thousand take very long.
    pub sync: u64,
    pub slow_sync: u64,
    /// Milliseconds until committed metadata takes effect on a broker, at most.
    pub news_delay: u64,
    /// Milliseconds until a leader gives up waiting for the controller.
    pub patience: u64,
    /// `replica.lag.time.max.ms`, the session of a broker, and the interval of its heartbeats.
    pub max_lag: u64,
    pub session: u64,
    pub heartbeat: u64,
    /// Bytes of an answer to a fetch, few so that logs stay behind each other.
    pub fetch_bytes: usize,
    /// Whether clocks go wrong.
    pub drifts: bool,
    /// Milliseconds between two batches of a producer, and between two faults, about.
    pub produce_interval: u64,
    pub fault_interval: u64,
    /// How often which fault comes.
    pub weights: Weights,
    /// Followers that end, or are cut off, as soon as they are proposed, in a thousand.
    pub frail_joiners: u64,
    /// Milliseconds of faults, before everything heals.
    pub length: u64,
}

/// How often which fault comes, against the others.
#[derive(Clone, Debug)]
pub struct Weights {
    pub kill: u64,
    pub power: u64,
    pub blackout: u64,
    pub rot: u64,
    pub network: u64,
    pub pause: u64,
    pub voters: u64,
    pub snapshot: u64,
    pub resign: u64,
    pub drain: u64,
    pub elect: u64,
    pub reassign: u64,
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(rng: &mut Rng) -> Self {
        let weights = Weights::draw(rng);
        let mut of = |list: &[u64]| *rng.pick(list).unwrap_or(&0);
        let is_split = of(&[0, 0, 0, 1]) == 1;
        let voters = of(&[1, 3, 3, 3, 3, 4]) as i32;
        let brokers = of(&[3, 3, 3, 4]) as i32;
        let nodes = if is_split { voters + brokers } else { voters.max(brokers) };
        let session = of(&[400, 800, 2_000]);
        let transactional_ids = of(&[0, 0, 1, 2]) as usize;
        let groups = of(&[0, 0, 1, 2]) as usize;
        Self {
            voters,
            nodes,
            is_split,
            kraft_version: of(&[0, 1, 1, 1]) as i16,
            has_eligible: of(&[0, 1, 1, 1, 1]) == 1,
            topics: topics(&mut of, transactional_ids > 0, groups > 0),
            producers: of(&[1, 2, 3]) as usize,
            in_flight: of(&[1, 2, 5]) as usize,
            consumers: 2,
            committers: 2,
            groups,
            first_group: of(&[0, 1]) as usize,
            members: of(&[2, 3]) as usize,
            transactional_ids,
            rivals: of(&[1, 1, 2]) as usize,
            version_2: of(&[0, 500, 1_000, 1_000]),
            transaction_timeout: of(&[300, 1_500, 4_000]),
            loss: of(&[0, 10, 50]),
            doubled: of(&[0, 20, 100]),
            damaged: of(&[0, 0, 20]),
            late: of(&[0, 10, 50]),
            delay: of(&[2, 10, 40]),
            late_span: of(&[200, 600, 2_000]),
            sync: of(&[2, 10, 50]),
            slow_sync: of(&[0, 10, 100]),
            news_delay: of(&[1, 5, 50, 400]),
            patience: of(&[150, 500, 1_500]),
            max_lag: of(&[150, 400, 1_000]),
            session,
            heartbeat: session / 5,
            fetch_bytes: of(&[64, 300, 4_000]) as usize,
            drifts: of(&[0, 1]) == 1,
            produce_interval: of(&[40, 100, 200]),
            fault_interval: of(&[100, 200, 500, 1_000]),
            weights,
            frail_joiners: of(&[0, 100, 500]),
            length: of(&[6_000, 8_000, 12_000]),
        }
    }

    /// Whether a node keeps partitions.
    pub fn is_broker(&self, node: i32) -> bool {
        !self.is_split || node > self.voters
    }

    /// Whether a node may be made a voter.
    pub fn may_vote(&self, node: i32) -> bool {
        !self.is_split || node <= self.voters
    }

    /// The brokers' own configuration.
    pub fn values(&self) -> Values {
        Values::from([
            ("broker.session.timeout.ms".to_owned(), self.session.to_string()),
            ("replica.lag.time.max.ms".to_owned(), self.max_lag.to_string()),
            ("leader.imbalance.check.interval.seconds".to_owned(), "1".to_owned()),
        ])
    }
}

impl Weights {
    fn draw(rng: &mut Rng) -> Self {
        Self {
            kill: rng.below(8) + 1,
            power: rng.below(8),
            blackout: rng.below(2),
            rot: rng.below(4),
            network: rng.below(8),
            pause: rng.below(4),
            voters: rng.below(6),
            snapshot: rng.below(5),
            resign: rng.below(2),
            drain: rng.below(3),
            elect: rng.below(3),
            reassign: rng.below(3),
        }
    }
}

fn topics(
    of: &mut impl FnMut(&[u64]) -> u64,
    has_transactions: bool,
    has_members: bool,
) -> Vec<TopicPlan> {
    let mut topics: Vec<TopicPlan> = (0..of(&[1, 2, 2])).map(|at| topic(at, of)).collect();
    // Members share the partitions of the first.
    if let Some(first) = topics.first_mut().filter(|_| has_members) {
        first.partitions += of(&[1, 2]) as i32;
    }
    let of_coordinators = [(GROUPS, true), (TRANSACTIONS, has_transactions)];
    for (name, _) in of_coordinators.into_iter().filter(|(_, is_there)| *is_there) {
        topics.push(TopicPlan { name: name.to_owned(), is_durable: false, ..topic(0, of) });
    }
    topics
}

/// Whether only coordinators write to a topic.
pub fn is_internal(name: &str) -> bool {
    [GROUPS, TRANSACTIONS].contains(&name)
}

fn topic(at: u64, of: &mut impl FnMut(&[u64]) -> u64) -> TopicPlan {
    let replicas = of(&[2, 3, 3]);
    TopicPlan {
        name: format!("t{at}"),
        partitions: of(&[1, 2]) as i32,
        replicas: replicas as i16,
        min_insync: of(&[1, 2, 2]).min(replicas) as usize,
        is_durable: of(&[0, 0, 1]) == 1,
    }
}
