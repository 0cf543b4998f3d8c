//! The consumer: positions, fetches under way, and records handed out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, Offset, PartitionIndex, Timestamp};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::fetch::{self, Fetched, Wanted};
use super::options::{ConsumerOptions, Reset, Start};
use super::place::{Ends, Key};
use super::record::ConsumedRecord;
use crate::backoff::Backoff;
use crate::client::{Client, Topics};
use crate::error::{ClientError, Refused};
use crate::offsets::{Isolation, OffsetSpec, ask_offset};

/// A consumer with connections of its own.
#[derive(Debug)]
pub struct Consumer {
    client: Client,
    options: ConsumerOptions,
    partitions: BTreeMap<Key, Assigned>,
    fetches: JoinSet<Fetched>,
    /// Leaders that a fetch is under way to, with what it asks for.
    asked: BTreeMap<NodeId, Vec<Wanted>>,
    ready: VecDeque<ConsumedRecord>,
    /// Assignments so far: none has the number of another.
    generations: u64,
    not_before: Instant,
    backoff: Backoff,
}

/// A partition that is read.
#[derive(Debug)]
struct Assigned {
    start: Start,
    /// Behind the last record handed out; unknown until the start was looked up.
    position: Option<Offset>,
    /// Where to fetch next.
    fetched: Option<Offset>,
    /// Records that were fetched and not handed out.
    waiting: usize,
    /// Which assignment this is: what was asked for an earlier one is not used.
    generation: u64,
    is_paused: bool,
    ends: Option<Ends>,
}

impl Assigned {
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
            fetches: JoinSet::new(),
            asked: BTreeMap::new(),
            ready: VecDeque::new(),
            generations: 0,
            not_before: Instant::now(),
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
            fetched: position,
            waiting: 0,
            generation,
            is_paused: false,
            ends: None,
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
            let began = Instant::now();
            if let Some(error) = self.look_up_starts(deadline).await {
                return Err(error);
            }
            self.send_fetches().await?;
            if !self.ready.is_empty() {
                return Ok(self.hand_out());
            }
            // What may not be tried yet is tried as soon as it may.
            let waits = self.not_before > began;
            let until = if waits { deadline.min(self.not_before) } else { deadline };
            tokio::select! {
                Some(fetched) = self.fetches.join_next(), if !self.fetches.is_empty() => {
                    if let Ok(fetched) = fetched {
                        self.take(fetched)?;
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
                assigned.catch_up();
            }
        }
        records
    }

    /// Finds offsets for starts that are none. What may heal is tried again at the next poll.
    async fn look_up_starts(&mut self, deadline: Instant) -> Option<ClientError> {
        if Instant::now() < self.not_before {
            return None;
        }
        let open = self.partitions.iter().filter(|(_, assigned)| assigned.position.is_none());
        let open: Vec<(Key, Start)> =
            open.map(|(key, assigned)| (key.clone(), assigned.start)).collect();
        for (key, start) in open {
            let found = timeout_at(deadline, self.look_up(&key, start)).await;
            match found {
                Ok(Ok(position)) => {
                    if let Some(assigned) = self.partitions.get_mut(&key) {
                        assigned.position = Some(position);
                        assigned.fetched = Some(position);
                    }
                }
                Ok(Err(error)) if error.is_retriable() => self.forget_leaders(),
                Ok(Err(error)) => return Some(error),
                Err(_) => return None,
            }
        }
        None
    }

    async fn look_up(&self, key: &Key, start: Start) -> Result<Offset, ClientError> {
        match start {
            Start::Offset(offset) => Ok(offset),
            Start::Beginning => Ok(self.ask(key, OffsetSpec::Earliest).await?),
            Start::End => Ok(self.ask(key, OffsetSpec::Latest).await?),
            Start::BeforeEnd(count) => {
                let first = self.ask(key, OffsetSpec::Earliest).await?;
                let end = self.ask(key, OffsetSpec::Latest).await?;
                Ok(Offset(end.0.saturating_sub_unsigned(count)).max(first))
            }
            // Where no record is that late, the next one will be.
            Start::Time(timestamp) => match self.ask(key, OffsetSpec::Time(timestamp)).await? {
                Offset::NONE => Ok(self.ask(key, OffsetSpec::Latest).await?),
                offset => Ok(offset),
            },
        }
    }

    async fn ask(&self, key: &Key, spec: OffsetSpec) -> Result<Offset, ClientError> {
        let isolation = self.options.isolation;
        Ok(ask_offset(&self.client, &key.0, key.1, spec, isolation).await?.offset)
    }

    /// Sends a fetch to every leader that none is under way to.
    async fn send_fetches(&mut self) -> Result<(), ClientError> {
        if Instant::now() < self.not_before || self.ready.len() > self.options.max_poll_records {
            return Ok(());
        }
        let metadata = self.client.metadata();
        let mut unknown = Vec::new();
        let mut wanted: BTreeMap<NodeId, Vec<Wanted>> = BTreeMap::new();
        for (key, assigned) in &self.partitions {
            let (Some(offset), false) = (assigned.fetched, assigned.is_paused) else { continue };
            let Some((node_id, epoch)) = metadata.leader(&key.0, key.1) else {
                unknown.push(Arc::clone(&key.0));
                continue;
            };
            let topic_id = metadata.topic(&key.0).map(|topic| topic.id).unwrap_or_default();
            wanted.entry(node_id).or_default().push(Wanted {
                key: key.clone(),
                topic_id,
                offset,
                epoch,
                generation: assigned.generation,
            });
        }
        if !unknown.is_empty() {
            self.refresh(&unknown).await?;
        }
        for (node_id, wanted) in wanted {
            if self.asked.contains_key(&node_id) {
                continue;
            }
            self.asked.insert(node_id, wanted.clone());
            let (client, options) = (self.client.clone(), self.options.clone());
            self.fetches.spawn(fetch::fetch(client, options, node_id, wanted));
        }
        Ok(())
    }

    /// Learns leaders anew; a topic that does not exist is an error.
    async fn refresh(&mut self, topics: &[Arc<str>]) -> Result<(), ClientError> {
        self.not_before = Instant::now() + self.backoff.next();
        let names: Vec<&str> = topics.iter().map(AsRef::as_ref).collect();
        match self.client.refresh(Topics::Named(&names), false).await {
            Ok(metadata) => {
                let trouble = topics.iter().find_map(|topic| {
                    let code = *metadata.troubles.get(topic)?;
                    let is_missing = code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
                    (is_missing || !code.is_retriable()).then_some((topic, code))
                });
                for key in self.partitions.keys() {
                    let Some(topic) = metadata.topic(&key.0) else { continue };
                    let count = topic.partitions.len();
                    if usize::try_from(key.1.0).map_or(true, |index| index >= count) {
                        let (topic, partition) = (key.0.to_string(), key.1);
                        return Err(ClientError::NoSuchPartition { topic, partition, count });
                    }
                }
                match trouble {
                    Some((topic, code)) => {
                        Err(Refused { code, message: None }.of(format!("topic {topic}")))
                    }
                    None => Ok(()),
                }
            }
            Err(error) if error.is_retriable() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes an answer apart.
    fn take(&mut self, fetched: Fetched) -> Result<(), ClientError> {
        self.asked.remove(&fetched.node_id);
        let partitions = match fetched.outcome {
            Ok(partitions) => partitions,
            Err(error) if error.is_retriable() => {
                self.forget_leaders();
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
                    self.backoff.reset();
                    assigned.ends = Some(partition.ends);
                    assigned.fetched = Some(partition.next);
                    assigned.waiting += partition.records.len();
                    assigned.catch_up();
                    self.ready.extend(partition.records);
                }
                Err(error) => trouble = self.heal(&wanted, error).or(trouble),
            }
        }
        trouble.map_or(Ok(()), Err)
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
                    (assigned.start, assigned.position, assigned.fetched) = (start, None, None);
                }
                None
            }
            Some(code) if code.is_retriable() => {
                self.forget_leaders();
                None
            }
            _ => Some(error),
        }
    }

    /// Somebody else may lead by now: the next poll asks, after a while.
    fn forget_leaders(&mut self) {
        self.not_before = Instant::now() + self.backoff.next();
        let topics: Vec<Arc<str>> = self.partitions.keys().map(|key| Arc::clone(&key.0)).collect();
        self.client.forget(&topics);
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
