//! The consumer: positions, fetches under way, and records handed out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex, Timestamp};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::fetch::{self, Fetched, Wanted};
use super::options::{ConsumerOptions, Reset, Start};
use super::place::{Ends, Key};
use super::record::ConsumedRecord;
use super::start::{self, Found, Sought};
use crate::backoff::Backoff;
use crate::client::{Client, Topics};
use crate::error::{ClientError, Refused};
use crate::metadata::Metadata;
use crate::offsets::{Isolation, OffsetSpec, ask_offset};

/// A consumer with connections of its own.
#[derive(Debug)]
pub struct Consumer {
    client: Client,
    options: ConsumerOptions,
    partitions: BTreeMap<Key, Assigned>,
    tasks: JoinSet<Event>,
    /// Leaders that a fetch is under way to.
    asked: BTreeSet<NodeId>,
    ready: VecDeque<ConsumedRecord>,
    /// Assignments so far: none has the number of another.
    generations: u64,
    /// Leaders are being asked for anew.
    is_refreshing: bool,
    /// When they may be asked for again.
    refresh_at: Instant,
    backoff: Backoff,
}

/// What comes back from a task.
#[derive(Debug)]
enum Event {
    Fetched(Fetched),
    Found(Found),
    Refreshed(BTreeSet<Arc<str>>, Result<Arc<Metadata>, ClientError>),
}

/// A partition that is read.
#[derive(Debug)]
struct Assigned {
    start: Start,
    /// Behind the last record handed out; unknown until the start was looked up.
    position: Option<Offset>,
    /// The leader's epoch of the last record handed out; −1 before the first.
    read_epoch: LeaderEpoch,
    /// Where to fetch next.
    fetched: Option<Offset>,
    /// Records that were fetched and not handed out.
    waiting: usize,
    /// Which assignment this is: what was asked for an earlier one is not used.
    generation: u64,
    is_paused: bool,
    ends: Option<Ends>,
    /// Its start is being looked for.
    is_sought: bool,
    /// Since when a start is wanted.
    unplaced_at: Instant,
    /// Its leader must be asked for anew before it is tried again.
    is_stale: bool,
    /// Why it could not be read when it was last tried.
    trouble: Option<ClientError>,
}

impl Assigned {
    /// Somebody else may lead by now.
    fn fail(&mut self, error: ClientError) {
        self.is_stale = true;
        self.trouble = Some(error);
    }

    /// Begins anew somewhere.
    fn place_at(&mut self, start: Start) {
        (self.start, self.position, self.fetched) = (start, None, None);
        self.unplaced_at = Instant::now();
    }

    /// Where nothing waits, the position is behind what left nothing to hand out as well.
    fn catch_up(&mut self) {
        if self.waiting == 0 {
            self.position = self.fetched;
        }
    }
}

impl Consumer {
    /// A consumer that reads nothing yet.
    #[must_use]
    pub fn new(client: &Client, options: ConsumerOptions) -> Self {
        Self {
            client: client.apart(),
            options,
            partitions: BTreeMap::new(),
            tasks: JoinSet::new(),
            asked: BTreeSet::new(),
            ready: VecDeque::new(),
            generations: 0,
            is_refreshing: false,
            refresh_at: Instant::now(),
            backoff: Backoff::default(),
        }
    }

    /// Reads a partition too, from a start; one that is read already is read from there.
    pub fn assign(&mut self, topic: impl Into<Arc<str>>, partition: PartitionIndex, start: Start) {
        let key = (topic.into(), partition);
        self.generations += 1;
        let generation = self.generations;
        self.ready.retain(|record| !record.is_of(&key));
        let position = match start {
            Start::Offset(offset) => Some(offset),
            Start::Beginning | Start::End | Start::BeforeEnd(_) | Start::Time(_) => None,
        };
        let assigned = Assigned {
            start,
            position,
            read_epoch: LeaderEpoch::NONE,
            fetched: position,
            waiting: 0,
            generation,
            is_paused: false,
            ends: None,
            is_sought: false,
            unplaced_at: Instant::now(),
            is_stale: false,
            trouble: None,
        };
        self.partitions.insert(key, assigned);
    }

    /// Reads a partition no longer.
    pub fn unassign(&mut self, topic: &str, partition: PartitionIndex) {
        let key = (Arc::from(topic), partition);
        self.partitions.remove(&key);
        self.ready.retain(|record| !record.is_of(&key));
    }

    /// Goes on somewhere else.
    pub fn seek(&mut self, topic: &str, partition: PartitionIndex, start: Start) {
        self.assign(topic, partition, start);
    }

    /// Asks for no more of a partition; what is here already is still handed out.
    pub fn pause(&mut self, topic: &str, partition: PartitionIndex) {
        self.set_paused(topic, partition, true);
    }

    /// Goes on with a partition that was paused.
    pub fn resume(&mut self, topic: &str, partition: PartitionIndex) {
        self.set_paused(topic, partition, false);
    }

    fn set_paused(&mut self, topic: &str, partition: PartitionIndex, is_paused: bool) {
        if let Some(assigned) = self.partitions.get_mut(&(Arc::from(topic), partition)) {
            assigned.is_paused = is_paused;
        }
    }

    /// The offset behind the last one handed out; `None` while the start is not looked up.
    #[must_use]
    pub fn position(&self, topic: &str, partition: PartitionIndex) -> Option<Offset> {
        self.partitions.get(&(Arc::from(topic), partition))?.position
    }

    /// The epoch of the leader that wrote the last record handed out; −1 where there is none.
    #[must_use]
    pub fn read_epoch(&self, topic: &str, partition: PartitionIndex) -> LeaderEpoch {
        let assigned = self.partitions.get(&(Arc::from(topic), partition));
        assigned.map_or(LeaderEpoch::NONE, |assigned| assigned.read_epoch)
    }

    /// Where a partition's log ended when its leader last answered.
    #[must_use]
    pub fn ends(&self, topic: &str, partition: PartitionIndex) -> Option<Ends> {
        self.partitions.get(&(Arc::from(topic), partition))?.ends
    }

    /// Whether every partition is read up to where its log ended at the last answer.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.ready.is_empty()
            && self.partitions.values().all(|assigned| {
                let (Some(position), Some(ends)) = (assigned.position, assigned.ends) else {
                    return false;
                };
                match self.options.isolation {
                    Isolation::ReadUncommitted => position >= ends.high_watermark,
                    Isolation::ReadCommitted => position >= ends.last_stable_offset,
                }
            })
    }

    /// Waits for records, at most this long; an empty answer means that none came. Records of one
    /// partition come in order.
    ///
    /// # Errors
    /// When a partition cannot be read and waiting does not help. Others go on with the next poll.
    pub async fn poll(&mut self, limit: Duration) -> Result<Vec<ConsumedRecord>, ClientError> {
        let deadline = Instant::now() + limit;
        loop {
            self.send();
            if let Some(error) = self.overdue() {
                return Err(error);
            }
            if !self.ready.is_empty() {
                return Ok(self.hand_out());
            }
            // What may not be tried yet is tried as soon as it may.
            let waits = !self.is_refreshing && self.partitions.values().any(|one| one.is_stale);
            let until = if waits { deadline.min(self.refresh_at) } else { deadline };
            crate::select! {
                Some(event) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    // A task that panicked has nothing to say.
                    if let Ok(event) = event {
                        self.handle(event)?;
                    }
                }
                () = sleep_until(until) => {
                    if Instant::now() >= deadline {
                        return Ok(Vec::new());
                    }
                }
            }
        }
    }

    fn hand_out(&mut self) -> Vec<ConsumedRecord> {
        let count = self.options.max_poll_records.max(1).min(self.ready.len());
        let records: Vec<ConsumedRecord> = self.ready.drain(..count).collect();
        let is_same = |a: &ConsumedRecord, b: &ConsumedRecord| {
            a.partition == b.partition && a.topic == b.topic
        };
        for run in records.chunk_by(is_same) {
            let Some(last) = run.last() else { continue };
            let key = (Arc::clone(&last.topic), last.partition);
            if let Some(assigned) = self.partitions.get_mut(&key) {
                assigned.waiting = assigned.waiting.saturating_sub(run.len());
                assigned.position = Some(last.offset.plus(1));
                assigned.read_epoch = last.leader_epoch;
                assigned.catch_up();
            }
        }
        records
    }

    /// Asks every leader that nothing is under way to: for starts, and for records where there is
    /// room for them. Never waits, so that no partition holds up another.
    fn send(&mut self) {
        let metadata = self.client.metadata();
        let has_room = self.ready.len() <= self.options.max_poll_records;
        let mut wanted: BTreeMap<NodeId, Vec<Wanted>> = BTreeMap::new();
        let mut sought: BTreeMap<NodeId, Vec<Sought>> = BTreeMap::new();
        for (key, assigned) in &mut self.partitions {
            let is_idle = match assigned.fetched {
                None => assigned.is_sought,
                Some(_) => assigned.is_paused || !has_room,
            };
            if assigned.is_stale || is_idle {
                continue;
            }
            let Some((node_id, epoch)) = metadata.leader(&key.0, key.1) else {
                let refused = Refused { code: ErrorCode::LEADER_NOT_AVAILABLE, message: None };
                assigned.fail(refused.of(format!("the leader of {} {}", key.0, key.1)));
                continue;
            };
            let (key, generation) = (key.clone(), assigned.generation);
            match assigned.fetched {
                Some(_) if self.asked.contains(&node_id) => {}
                Some(offset) => {
                    let topic_id = metadata.topic(&key.0).map(|topic| topic.id).unwrap_or_default();
                    let one = Wanted { key, topic_id, offset, epoch, generation };
                    wanted.entry(node_id).or_default().push(one);
                }
                None => {
                    assigned.is_sought = true;
                    let one = Sought { key, start: assigned.start, epoch, generation };
                    sought.entry(node_id).or_default().push(one);
                }
            }
        }
        for (node_id, wanted) in wanted {
            self.asked.insert(node_id);
            let (client, options) = (self.client.clone(), self.options.clone());
            self.tasks.spawn(async move {
                Event::Fetched(fetch::fetch(client, options, node_id, wanted).await)
            });
        }
        for (node_id, sought) in sought {
            let (client, isolation) = (self.client.clone(), self.options.isolation);
            self.tasks.spawn(async move {
                Event::Found(start::find(client, isolation, node_id, sought).await)
            });
        }
        self.refresh();
    }

    /// Asks who leads what could not be read, unless it is too early to ask again.
    fn refresh(&mut self) {
        let stale = self.partitions.iter().filter(|(_, assigned)| assigned.is_stale);
        let topics: BTreeSet<Arc<str>> = stale.map(|(key, _)| Arc::clone(&key.0)).collect();
        if topics.is_empty() || self.is_refreshing || Instant::now() < self.refresh_at {
            return;
        }
        self.is_refreshing = true;
        self.refresh_at = Instant::now() + self.backoff.next();
        let client = self.client.clone();
        self.tasks.spawn(async move {
            let names: Vec<&str> = topics.iter().map(AsRef::as_ref).collect();
            let outcome = client.refresh(Topics::Named(&names), false).await;
            Event::Refreshed(topics, outcome)
        });
    }

    /// A start that was not found within the client's patience is told, once in that time.
    fn overdue(&mut self) -> Option<ClientError> {
        let (now, patience) = (Instant::now(), self.client.options().patience);
        let mut open = self.partitions.iter_mut().filter(|(_, one)| one.fetched.is_none());
        let (key, late) = open.find(|(_, one)| {
            one.trouble.is_some() && now.duration_since(one.unplaced_at) >= patience
        })?;
        late.unplaced_at = now;
        Some(ClientError::GaveUp {
            what: format!("the start of partition {} of topic {} was not found", key.1, key.0),
            after: patience,
            last: late.trouble.as_ref().map(ToString::to_string),
        })
    }

    fn handle(&mut self, event: Event) -> Result<(), ClientError> {
        match event {
            Event::Fetched(fetched) => self.take(fetched),
            Event::Found(found) => self.place(found),
            Event::Refreshed(topics, outcome) => self.refreshed(&topics, outcome),
        }
    }

    /// Begins where starts were found.
    fn place(&mut self, found: Found) -> Result<(), ClientError> {
        let mut trouble = None;
        for (sought, outcome) in found {
            let Some(assigned) = self.partitions.get_mut(&sought.key) else { continue };
            if assigned.generation != sought.generation || assigned.fetched.is_some() {
                continue;
            }
            assigned.is_sought = false;
            match outcome {
                Ok(offset) => {
                    (assigned.position, assigned.fetched) = (Some(offset), Some(offset));
                    assigned.trouble = None;
                }
                Err(error) if error.is_retriable() => assigned.fail(error),
                Err(error) => trouble = Some(error),
            }
        }
        self.calm_down();
        trouble.map_or(Ok(()), Err)
    }

    /// Tries again what waited for its leader; a topic that does not exist is an error.
    fn refreshed(
        &mut self,
        topics: &BTreeSet<Arc<str>>,
        outcome: Result<Arc<Metadata>, ClientError>,
    ) -> Result<(), ClientError> {
        self.is_refreshing = false;
        let metadata = match outcome {
            Ok(metadata) => metadata,
            Err(error) if error.is_retriable() => return Ok(()),
            Err(error) => return Err(error),
        };
        let asked = self.partitions.iter_mut().filter(|(key, _)| topics.contains(&key.0));
        let mut missing = None;
        for (key, assigned) in asked {
            assigned.is_stale = false;
            let Some(topic) = metadata.topic(&key.0) else { continue };
            let count = topic.partitions.len();
            if usize::try_from(key.1.0).map_or(true, |index| index >= count) {
                let (topic, partition) = (key.0.to_string(), key.1);
                missing = Some(ClientError::NoSuchPartition { topic, partition, count });
            }
        }
        let trouble = topics.iter().find_map(|topic| {
            let code = *metadata.troubles.get(topic)?;
            let is_missing = code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
            let refused = Refused { code, message: None };
            (is_missing || !code.is_retriable()).then(|| refused.of(format!("topic {topic}")))
        });
        missing.or(trouble).map_or(Ok(()), Err)
    }

    /// Where everything can be read, the next failure is a first one.
    fn calm_down(&mut self) {
        if self.partitions.values().all(|assigned| assigned.trouble.is_none()) {
            self.backoff.reset();
        }
    }

    /// Takes an answer apart.
    fn take(&mut self, fetched: Fetched) -> Result<(), ClientError> {
        self.asked.remove(&fetched.node_id);
        let partitions = match fetched.outcome {
            Ok(partitions) => partitions,
            Err(error) if error.is_retriable() => {
                self.lost(fetched.node_id, &error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut trouble = None;
        for (wanted, partition) in partitions {
            let Some(assigned) = self.partitions.get_mut(&wanted.key) else { continue };
            // Two leaders may have been asked for the same: the second answer is of no use.
            let is_current =
                assigned.generation == wanted.generation && assigned.fetched == Some(wanted.offset);
            if !is_current {
                continue;
            }
            match partition {
                Ok(partition) => {
                    assigned.trouble = None;
                    assigned.ends = Some(partition.ends);
                    assigned.fetched = Some(partition.next);
                    assigned.waiting += partition.records.len();
                    assigned.catch_up();
                    self.ready.extend(partition.records);
                }
                Err(error) => trouble = self.heal(&wanted, error).or(trouble),
            }
        }
        self.calm_down();
        trouble.map_or(Ok(()), Err)
    }

    /// A leader does not answer.
    fn lost(&mut self, node_id: NodeId, error: &ClientError) {
        let metadata = self.client.metadata();
        for (key, assigned) in &mut self.partitions {
            if metadata.leader(&key.0, key.1).is_none_or(|leader| leader.0 == node_id) {
                assigned.fail(error.clone());
            }
        }
    }

    /// Does what a partition's error asks for; an error that nothing can be done about is returned.
    fn heal(&mut self, wanted: &Wanted, error: ClientError) -> Option<ClientError> {
        match error.code() {
            Some(ErrorCode::OFFSET_OUT_OF_RANGE) => {
                let start = match self.options.reset {
                    Reset::Beginning => Start::Beginning,
                    Reset::End => Start::End,
                    Reset::Fail => return Some(error),
                };
                if let Some(assigned) = self.partitions.get_mut(&wanted.key) {
                    assigned.place_at(start);
                }
                None
            }
            Some(code) if code.is_retriable() => {
                if let Some(assigned) = self.partitions.get_mut(&wanted.key) {
                    assigned.fail(error);
                }
                None
            }
            _ => Some(error),
        }
    }

    /// The offset of the first record at or after a time, if there is one.
    ///
    /// # Errors
    /// When the leader does not answer.
    pub async fn offset_at(
        &self,
        topic: &str,
        partition: PartitionIndex,
        timestamp: Timestamp,
    ) -> Result<Option<Offset>, ClientError> {
        let spec = OffsetSpec::Time(timestamp);
        let isolation = self.options.isolation;
        let found = ask_offset(&self.client, topic, partition, spec, isolation).await?;
        Ok((found.offset != Offset::NONE).then_some(found.offset))
    }
}

#[cfg(test)]
mod tests;
