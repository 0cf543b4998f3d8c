//! The consumer of a group: what it was assigned is read, and committed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use milena_protocol::ids::{Offset, PartitionIndex};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::driver::{self, Link};
use super::offsets::{self, CommittedOffset, Committer, Offsets};
use super::options::{GroupOptions, Subscription};
use super::step::{Input, Notice, Standing};
use crate::client::Client;
use crate::consumer::{
    ConsumedRecord, Consumer, ConsumerOptions, Ends, Isolation, Key, Reset, Start,
};
use crate::error::ClientError;

/// What a poll brings.
#[derive(Debug)]
pub enum GroupEvent {
    /// Records; those of one partition come in order.
    Records(Vec<ConsumedRecord>),
    /// These partitions are read from now on. Whoever wants to begin somewhere else than at the
    /// committed offset seeks now.
    Assigned(BTreeSet<Key>),
    /// These partitions are given up with the next poll: no records of them come any more, and what
    /// was done with those that came can still be committed. With automatic commits it is already.
    Revoking(BTreeSet<Key>),
    /// These partitions belong to somebody else already: nothing can be committed for them.
    Lost(BTreeSet<Key>),
    /// Nothing happened in time.
    Nothing,
}

/// As whom a member of a group commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadata {
    /// The group.
    pub group: String,
    /// The member's id; empty while it is none.
    pub member_id: String,
    /// The member's epoch or generation; −1 while it is none.
    pub epoch: i32,
    /// The member's name, if it is static.
    pub instance_id: Option<String>,
}

/// A member of a group that reads what it is assigned.
///
/// It joins when it is made and lives on in the background. What polls hand out counts as done with
/// at the next poll: then it is committed, if commits are automatic. Dropping it leaves the group;
/// [`GroupConsumer::close`] commits before that and waits.
#[derive(Debug)]
pub struct GroupConsumer {
    consumer: Consumer,
    client: Client,
    options: GroupOptions,
    isolation: Isolation,
    reset: Reset,
    wishes: mpsc::UnboundedSender<Input>,
    notices: mpsc::UnboundedReceiver<Notice>,
    standing: watch::Receiver<Standing>,
    /// What the group has given, with the number of its assignment.
    owned: BTreeMap<Key, u64>,
    assignments: u64,
    /// What is read: its start is known.
    placed: BTreeSet<Key>,
    /// What is given up with the next poll, how far it was read, and what to answer then.
    leaving: Offsets,
    /// The number of the last notice that something is revoked, until the application knows.
    revoking: Option<u64>,
    release: Option<u64>,
    /// What polls bring next.
    events: VecDeque<Result<GroupEvent, ClientError>>,
    tasks: JoinSet<Done>,
    /// What the group is known to have.
    committed: Offsets,
    is_committing: bool,
    commit_at: Instant,
    polled_at: Option<Instant>,
}

/// What comes back from a task.
#[derive(Debug)]
enum Done {
    Found(BTreeMap<Key, u64>, Result<Offsets, ClientError>),
    Committed(Offsets, Result<(), ClientError>),
    /// What was revoked is committed: the application may hear of it.
    Settled(u64, BTreeSet<Key>),
}

impl GroupConsumer {
    /// Joins a group in the background, with connections of its own. Must be called on a tokio
    /// runtime.
    #[must_use]
    pub fn join(
        client: &Client,
        wanted: Subscription,
        options: GroupOptions,
        reading: ConsumerOptions,
    ) -> Self {
        let Link { wishes, notices, standing } =
            driver::start(client, options.clone(), &reading.rack, wanted);
        let now = Instant::now();
        Self {
            client: client.apart(),
            isolation: reading.isolation,
            reset: reading.reset,
            consumer: Consumer::new(client, reading),
            commit_at: now + options.auto_commit.unwrap_or_default(),
            options,
            wishes,
            notices,
            standing,
            owned: BTreeMap::new(),
            assignments: 0,
            placed: BTreeSet::new(),
            leaving: Offsets::new(),
            revoking: None,
            release: None,
            events: VecDeque::new(),
            tasks: JoinSet::new(),
            committed: Offsets::new(),
            is_committing: false,
            polled_at: None,
        }
    }

    /// Waits for records or news of the group, at most this long. It may be dropped at any time:
    /// nothing is lost by that.
    ///
    /// # Errors
    /// When a partition cannot be read, a partition has no offset and the consumer has no other
    /// place to begin, or the member cannot be one. The next poll goes on where that is possible.
    pub async fn poll(&mut self, limit: Duration) -> Result<GroupEvent, ClientError> {
        let deadline = Instant::now() + limit;
        self.let_go();
        self.commit_when_due();
        loop {
            self.attend();
            if let Some(event) = self.events.pop_front() {
                if matches!(event, Ok(GroupEvent::Revoking(_))) {
                    self.release = self.revoking.take();
                }
                return event;
            }
            let left = deadline.saturating_duration_since(Instant::now()).min(self.patrol());
            tokio::select! {
                biased;
                notice = self.notices.recv() => match notice {
                    Some(notice) => self.heed(notice),
                    None => return Err(ClientError::Closed),
                },
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    // A task that panicked has nothing to say.
                    if let Ok(done) = done {
                        self.finish(done);
                    }
                }
                records = self.consumer.poll(left) => {
                    let records = records?;
                    if !records.is_empty() {
                        return Ok(GroupEvent::Records(records));
                    }
                    if Instant::now() >= deadline {
                        return Ok(GroupEvent::Nothing);
                    }
                }
            }
        }
    }

    /// Reads something else from now on.
    pub fn subscribe(&self, wanted: Subscription) {
        let _ = self.wishes.send(Input::Subscribed(wanted));
    }

    /// Commits how far every partition was handed out, and waits for that.
    ///
    /// # Errors
    /// When the coordinator does not answer, or refuses, as it does to who is no member any more.
    pub async fn commit(&mut self) -> Result<(), ClientError> {
        let offsets = self.open();
        self.commit_offsets(offsets).await
    }

    /// Commits offsets, each that of the record to read next, and waits for that.
    ///
    /// # Errors
    /// As [`GroupConsumer::commit`].
    pub async fn commit_offsets(&mut self, offsets: Offsets) -> Result<(), ClientError> {
        self.committer().commit(offsets.clone()).await?;
        self.committed.extend(offsets);
        Ok(())
    }

    /// How far the group has read in partitions; those without an offset are left out.
    ///
    /// # Errors
    /// When the coordinator does not answer, or refuses.
    pub async fn committed(&self, partitions: &[Key]) -> Result<Offsets, ClientError> {
        offsets::fetch(&self.client, &self.options.group, partitions, self.is_stable()).await
    }

    /// The partitions that are read now.
    #[must_use]
    pub fn assignment(&self) -> &BTreeSet<Key> {
        &self.placed
    }

    /// As whom this member commits.
    #[must_use]
    pub fn metadata(&self) -> GroupMetadata {
        let standing = self.standing.borrow().clone();
        GroupMetadata {
            group: self.options.group.clone(),
            member_id: standing.member_id,
            epoch: standing.epoch,
            instance_id: self.options.instance_id.clone(),
        }
    }

    /// How far partitions were handed out, those too that are given up with the next poll.
    #[must_use]
    pub fn positions(&self) -> Offsets {
        let mut positions = self.leaving.clone();
        positions.extend(self.placed.iter().filter_map(|key| self.position_of(key)));
        positions
    }

    /// The offset behind the last one handed out; `None` where the partition is not read.
    #[must_use]
    pub fn position(&self, topic: &str, partition: PartitionIndex) -> Option<Offset> {
        self.consumer.position(topic, partition)
    }

    /// Where a partition's log ended when its leader last answered.
    #[must_use]
    pub fn ends(&self, topic: &str, partition: PartitionIndex) -> Option<Ends> {
        self.consumer.ends(topic, partition)
    }

    /// Whether something is assigned, and all of it read up to where its log ended at the last
    /// answer.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        !self.placed.is_empty()
            && self.placed.len() == self.owned.len()
            && self.consumer.is_at_end()
    }

    /// Goes on somewhere else in a partition that is read.
    pub fn seek(&mut self, topic: &str, partition: PartitionIndex, start: Start) {
        if self.placed.contains(&(Arc::from(topic), partition)) {
            self.consumer.seek(topic, partition, start);
        }
    }

    /// Asks for no more of a partition until it is resumed; what is here is still handed out.
    pub fn pause(&mut self, topic: &str, partition: PartitionIndex) {
        self.consumer.pause(topic, partition);
    }

    /// Goes on with a partition that was paused.
    pub fn resume(&mut self, topic: &str, partition: PartitionIndex) {
        self.consumer.resume(topic, partition);
    }

    /// Commits, if commits are automatic, leaves the group and waits until it knows. A static
    /// member's partitions are kept for it until its session is over.
    ///
    /// # Errors
    /// When the last commit fails; the member leaves nevertheless.
    pub async fn close(mut self) -> Result<(), ClientError> {
        // What they were to do is done below, or not needed any more.
        self.tasks.shutdown().await;
        let outcome = match self.options.auto_commit {
            Some(_) => self.commit().await,
            None => Ok(()),
        };
        let outcome = outcome.or_else(|error| match error.is_of_the_past() {
            // The records come again to the next owner.
            true => Ok(()),
            false => Err(error),
        });
        let _ = self.wishes.send(Input::Leave);
        let over = async { while self.notices.recv().await.is_some() {} };
        // The coordinator may be gone; the session ends without it then.
        let _ = timeout(self.client.options().patience, over).await;
        outcome
    }

    fn committer(&self) -> Committer {
        Committer {
            client: self.client.clone(),
            group: self.options.group.clone(),
            instance_id: self.options.instance_id.clone(),
            standing: self.standing.clone(),
        }
    }

    /// Whether offsets of open transactions are waited for.
    fn is_stable(&self) -> bool {
        self.isolation == Isolation::ReadCommitted
    }

    fn position_of(&self, key: &Key) -> Option<(Key, CommittedOffset)> {
        let offset = self.consumer.position(&key.0, key.1)?;
        let leader_epoch = self.consumer.read_epoch(&key.0, key.1);
        Some((key.clone(), CommittedOffset { leader_epoch, ..CommittedOffset::at(offset) }))
    }

    /// How far was read behind what the group knows.
    fn open(&self) -> Offsets {
        let mut open = self.positions();
        let is_new = |key: &Key, position: &CommittedOffset| {
            self.committed.get(key).map(|committed| committed.offset) != Some(position.offset)
        };
        open.retain(|key, position| is_new(key, position));
        open
    }

    /// How often the group must hear that the application is alive.
    fn patrol(&self) -> Duration {
        self.options.max_poll_interval / 4
    }

    fn attend(&mut self) {
        let now = Instant::now();
        let is_due = self.polled_at.is_none_or(|at| now >= at + self.patrol() / 2);
        if is_due {
            self.polled_at = Some(now);
            let _ = self.wishes.send(Input::Polled);
        }
    }

    /// What the application was told to give up it has given up by polling again.
    fn let_go(&mut self) {
        if let Some(number) = self.release.take() {
            for key in std::mem::take(&mut self.leaving).keys() {
                self.committed.remove(key);
            }
            let _ = self.wishes.send(Input::Released(number));
        }
    }

    fn commit_when_due(&mut self) {
        let Some(interval) = self.options.auto_commit else { return };
        let now = Instant::now();
        if now < self.commit_at || self.is_committing {
            return;
        }
        self.commit_at = now + interval;
        let offsets = self.open();
        if offsets.is_empty() {
            return;
        }
        self.is_committing = true;
        let committer = self.committer();
        self.tasks.spawn(async move {
            let outcome = committer.commit(offsets.clone()).await;
            Done::Committed(offsets, outcome)
        });
    }

    fn heed(&mut self, notice: Notice) {
        match notice {
            Notice::Assigned(keys) => self.begin(keys),
            Notice::Revoking(number, keys) => self.end(number, keys),
            Notice::Lost(keys) => {
                self.forget(&keys);
                self.revoking = None;
                self.events.push_back(Ok(GroupEvent::Lost(keys)));
            }
            Notice::Failed(error) | Notice::Troubled(error) => self.events.push_back(Err(error)),
        }
    }

    /// Looks up where to begin with what was assigned.
    fn begin(&mut self, keys: BTreeSet<Key>) {
        self.assignments += 1;
        let number = self.assignments;
        let sought: BTreeMap<Key, u64> = keys.into_iter().map(|key| (key, number)).collect();
        self.owned.extend(sought.clone());
        self.look_up(sought);
    }

    fn look_up(&mut self, sought: BTreeMap<Key, u64>) {
        let (client, group, stable) =
            (self.client.clone(), self.options.group.clone(), self.is_stable());
        self.tasks.spawn(async move {
            let keys: Vec<Key> = sought.keys().cloned().collect();
            let found = offsets::fetch(&client, &group, &keys, stable).await;
            Done::Found(sought, found)
        });
    }

    /// Reads no more of what is revoked, and commits how far it was read.
    fn end(&mut self, number: u64, keys: BTreeSet<Key>) {
        let positions = keys.iter().filter(|key| self.placed.contains(*key));
        let positions: Offsets = positions.filter_map(|key| self.position_of(key)).collect();
        let told: BTreeSet<Key> = keys.intersection(&self.placed).cloned().collect();
        let open = self.open();
        self.forget(&keys);
        if told.is_empty() {
            // The application has not heard of them yet.
            let _ = self.wishes.send(Input::Released(number));
            return;
        }
        self.leaving.extend(positions);
        self.revoking = Some(number);
        if self.options.auto_commit.is_none() {
            self.finish(Done::Settled(number, told));
            return;
        }
        let offsets: Offsets = open.into_iter().filter(|(key, _)| keys.contains(key)).collect();
        let committer = self.committer();
        self.tasks.spawn(async move {
            // Where it fails the records come again to the next owner.
            let _ = committer.commit(offsets).await;
            Done::Settled(number, told)
        });
    }

    fn forget(&mut self, keys: &BTreeSet<Key>) {
        for key in keys {
            self.consumer.unassign(&key.0, key.1);
            self.owned.remove(key);
            self.placed.remove(key);
            self.leaving.remove(key);
            self.committed.remove(key);
        }
    }

    fn finish(&mut self, done: Done) {
        match done {
            Done::Found(sought, Ok(found)) => self.place(sought, found),
            Done::Found(sought, Err(error)) => {
                self.look_up(sought);
                self.events.push_back(Err(error));
            }
            Done::Committed(offsets, Ok(())) => {
                self.is_committing = false;
                let is_owned = |key: &Key| self.placed.contains(key);
                self.committed.extend(offsets.into_iter().filter(|(key, _)| is_owned(key)));
            }
            Done::Committed(_, Err(error)) => {
                self.is_committing = false;
                // Otherwise the group tells what is lost.
                if !error.is_of_the_past() {
                    self.events.push_back(Err(error));
                }
            }
            Done::Settled(number, keys) => {
                // Otherwise they are lost meanwhile, and the application knows.
                if self.revoking == Some(number) {
                    self.events.push_back(Ok(GroupEvent::Revoking(keys)));
                }
            }
        }
    }

    /// Begins to read at what was committed, or where the consumer begins otherwise.
    fn place(&mut self, sought: BTreeMap<Key, u64>, mut found: Offsets) {
        let mut told = BTreeSet::new();
        for (key, number) in sought {
            if self.owned.get(&key) != Some(&number) {
                continue;
            }
            let start = match (found.remove(&key), self.reset) {
                (Some(committed), _) => {
                    let start = Start::Offset(committed.offset);
                    self.committed.insert(key.clone(), committed);
                    start
                }
                (None, Reset::Beginning) => Start::Beginning,
                (None, Reset::End) => Start::End,
                (None, Reset::Fail) => {
                    self.events.push_back(Err(ClientError::NoOffset {
                        group: self.options.group.clone(),
                        topic: key.0.to_string(),
                        partition: key.1,
                    }));
                    continue;
                }
            };
            self.consumer.assign(Arc::clone(&key.0), key.1, start);
            self.placed.insert(key.clone());
            told.insert(key);
        }
        if !told.is_empty() {
            self.events.push_back(Ok(GroupEvent::Assigned(told)));
        }
    }
}
