//! The task of a lane: it asks for all its partitions at once, takes what comes, and asks again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use milena_protocol::api::fetch::{
    FetchPartitionResponse, FetchReplicaState, FetchRequest, FetchResponse,
};
use milena_protocol::ids::NodeId;
use tokio::task::JoinSet;

use super::super::partition::Partition;
use super::super::partition::follow::{After, is_costly};
use super::super::role::{Ask, NextAsk};
use super::super::shared::Shared;
use super::lanes::{Key, Lane, Lanes};
use super::network::{Channel, Lost, Network};
use super::session::Session;
use crate::blocking::off_the_reactor;
use crate::clock::{SteadyClock, WallClock};
use crate::config::ReplicaConfig;

/// An answer from this size on is taken where nobody else waits.
const COSTLY_FROM_BYTES: usize = 256 * 1024;

/// How followers fetch, as the configuration says.
#[derive(Clone, Copy, Debug)]
pub struct FetchRules {
    /// `replica.fetch.wait.max.ms`.
    pub max_wait: Duration,
    /// `replica.fetch.min.bytes`.
    pub min_bytes: i32,
    /// `replica.fetch.max.bytes`.
    pub partition_max_bytes: i32,
    /// `replica.fetch.response.max.bytes`.
    pub max_bytes: i32,
    /// `replica.fetch.backoff.ms`.
    pub backoff: Duration,
}

impl FetchRules {
    /// What is configured.
    #[must_use]
    pub fn new(config: &ReplicaConfig) -> Self {
        Self {
            max_wait: config.fetch_wait_max,
            min_bytes: config.fetch_min_bytes,
            partition_max_bytes: config.fetch_max_bytes,
            max_bytes: config.fetch_response_max_bytes,
            backoff: config.fetch_backoff,
        }
    }
}

/// Runs a task for each lane, until this is dropped.
pub async fn run<N: Network>(
    lanes: Arc<Lanes>,
    shared: Arc<Shared>,
    network: Arc<N>,
    rules: FetchRules,
) {
    let mut tasks = JoinSet::new();
    loop {
        let opened = milena_client::select! {
            opened = lanes.opened() => opened,
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a fetcher stopped");
                }
                continue;
            }
        };
        for lane in opened {
            let fetcher = Fetcher {
                lanes: Arc::clone(&lanes),
                clock: shared.clock(),
                shared: Arc::clone(&shared),
                network: Arc::clone(&network),
                rules,
                lane,
                session: Session::default(),
                channel: None,
                trouble: None,
            };
            tasks.spawn(fetcher.run());
        }
    }
}

/// A lane's task.
struct Fetcher<N: Network> {
    lanes: Arc<Lanes>,
    shared: Arc<Shared>,
    network: Arc<N>,
    rules: FetchRules,
    lane: Arc<Lane>,
    clock: SteadyClock,
    session: Session,
    channel: Option<N::Channel>,
    /// What was told last, so that it is not told again and again.
    trouble: Option<String>,
}

/// What there is to do.
#[derive(Default)]
struct Due {
    asks: BTreeMap<Key, Ask>,
    partitions: BTreeMap<Key, Arc<Partition>>,
    /// When something that is left out may be asked.
    next_at: Option<tokio::time::Instant>,
    /// When that must not wait for the answer of others.
    urgent_at: Option<tokio::time::Instant>,
    /// Whether something is left out because it is throttled.
    has_withheld: bool,
}

impl Due {
    fn not_before(&mut self, at: tokio::time::Instant) {
        self.next_at = Some(self.next_at.map_or(at, |next| next.min(at)));
    }
}

impl<N: Network> Fetcher<N> {
    async fn run(mut self) {
        let lane = Arc::clone(&self.lane);
        loop {
            let (changed, loosened) = (lane.changed.notified(), lane.loosened.notified());
            let due = self.due();
            if due.asks.is_empty() {
                if due.partitions.is_empty() && self.lanes.close_if_empty(&lane) {
                    self.shared.absent().found(self.leader());
                    return;
                }
                if !due.has_withheld {
                    // Nothing is asked: the leader need not remember anything.
                    self.hang_up();
                }
                wait(changed, loosened, due.next_at).await;
                continue;
            }
            tokio::select! {
                biased;
                // What is new must not wait until the leader has something for the others. The
                // channel would bring the answer first, so it is given up.
                () = changed => self.hang_up(),
                () = reached(due.urgent_at) => self.hang_up(),
                answered = self.fetch(&due) => match answered {
                    Ok(response) => self.take(&due, response).await,
                    Err(lost) => self.lost(&due, lost),
                },
            }
        }
    }

    fn due(&self) -> Due {
        let mut due = Due::default();
        for partition in self.lane.members() {
            let key = (partition.topic_id(), partition.index());
            match partition.next_ask() {
                NextAsk::Now(ask) if ask.leadership.leader == self.leader() => {
                    due.asks.insert(key, ask);
                }
                NextAsk::Later { at, is_urgent } => {
                    let at = self.clock.at(at);
                    due.not_before(at);
                    if is_urgent {
                        due.urgent_at = Some(due.urgent_at.map_or(at, |next| next.min(at)));
                    }
                }
                NextAsk::Withheld { at } => {
                    due.not_before(self.clock.at(at));
                    due.has_withheld = true;
                }
                NextAsk::Now(_) | NextAsk::Never => {}
            }
            due.partitions.insert(key, partition);
        }
        due
    }

    fn leader(&self) -> NodeId {
        self.lane.key().leader
    }

    fn hang_up(&mut self) {
        self.channel = None;
        self.session.end();
    }

    async fn fetch(&mut self, due: &Due) -> Result<FetchResponse, Lost> {
        let shared = Arc::clone(&self.shared);
        let replica_epoch = shared.broker_epoch().await;
        if self.channel.is_none() {
            self.session.end();
            self.channel = Some(self.network.connect(self.leader()).await?);
            shared.absent().found(self.leader());
        }
        let Some(channel) = &self.channel else {
            return Err(Lost("there is no connection".into()));
        };
        let rules = &self.rules;
        let mut request = FetchRequest {
            replica_id: shared.node(),
            replica_state: FetchReplicaState { replica_id: shared.node(), replica_epoch },
            max_wait_ms: i32::try_from(rules.max_wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: rules.min_bytes,
            max_bytes: rules.max_bytes,
            ..Default::default()
        };
        self.session.ask(&due.asks, rules.partition_max_bytes, &mut request);
        channel.fetch(&request).await
    }

    fn lost(&mut self, due: &Due, lost: Lost) {
        self.hang_up();
        self.shared.absent().lost(self.leader());
        self.tell(lost.0);
        for key in due.asks.keys() {
            if let Some(partition) = due.partitions.get(key) {
                partition.rest(self.rules.backoff);
            }
        }
    }

    fn tell(&mut self, trouble: String) {
        let leader = self.leader();
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::warn!(%leader, trouble, "cannot fetch from a leader");
            self.trouble = Some(trouble);
        }
    }

    async fn take(&mut self, due: &Due, response: FetchResponse) {
        let code = response.error_code;
        if !self.session.answered(&response) {
            tracing::debug!(leader = %self.leader(), %code, "a leader refuses a fetch");
            return;
        }
        if self.trouble.take().is_some() {
            tracing::info!(leader = %self.leader(), "fetching from the leader again");
        }
        let mut settling = Vec::new();
        for topic in &response.responses {
            for answered in &topic.partitions {
                let key = (topic.topic_id, answered.partition_index);
                let (Some(partition), Some(asked)) =
                    (due.partitions.get(&key), self.session.asked(&key))
                else {
                    continue;
                };
                let after = self.take_one(partition, asked, answered);
                if after != After::default() {
                    // All syncs run at the same time.
                    partition.begin_to_settle(after);
                    settling.push((Arc::clone(partition), after));
                }
            }
        }
        for (partition, after) in settling {
            partition.settled(after).await;
        }
    }

    fn take_one(
        &self,
        partition: &Partition,
        asked: &Ask,
        answered: &FetchPartitionResponse,
    ) -> After {
        let (epoch, backoff) = (asked.leadership.epoch, self.rules.backoff);
        let take = || partition.take(epoch, answered, WallClock.now(), backoff);
        let bytes = answered.records.as_ref().map_or(0, |records| records.0.len());
        if is_costly(answered) || bytes >= COSTLY_FROM_BYTES {
            off_the_reactor(take)
        } else {
            take()
        }
    }
}

async fn reached(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn wait(
    changed: impl Future<Output = ()>,
    loosened: impl Future<Output = ()>,
    until: Option<tokio::time::Instant>,
) {
    milena_client::select! {
        () = changed => {}
        () = loosened => {}
        () = reached(until) => {}
    }
}
