//! Who fetches what from whom: a lane is a leader, a share of its partitions, and one task with one
//! connection that fetches them together.
//!
//! Partitions that want every record on stable storage have lanes of their own: a lane's next fetch
//! waits for its syncs, and others should not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use milena_protocol::ids::{NodeId, PartitionIndex, Uuid};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::super::partition::Partition;

/// A partition.
pub(super) type Key = (Uuid, PartitionIndex);

/// Which lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneKey {
    /// Who is fetched from.
    pub leader: NodeId,
    /// Which of the lanes from there, of `num.replica.fetchers`.
    pub index: u32,
    /// Whether what comes is synced before it counts.
    pub is_durable: bool,
}

/// A lane.
#[derive(Debug)]
pub struct Lane {
    key: LaneKey,
    members: Mutex<BTreeMap<Key, Arc<Partition>>>,
    /// The partitions, or where their leader is, are others than they were.
    pub(super) changed: Notify,
    /// What a throttle withholds may be asked for sooner. It tells only a task that waits with
    /// nothing under way: a fetch is never cut short for it.
    pub(super) loosened: Notify,
    /// Somebody has to be told of a change.
    is_stale: AtomicBool,
    has_task: AtomicBool,
}

/// All lanes of a broker.
#[derive(Debug)]
pub struct Lanes {
    /// From one leader.
    count: AtomicU32,
    places: Mutex<Places>,
    opened: Notify,
}

#[derive(Debug, Default)]
struct Places {
    lanes: BTreeMap<LaneKey, Arc<Lane>>,
    of: BTreeMap<Key, LaneKey>,
}

impl Lane {
    fn new(key: LaneKey) -> Self {
        Self {
            key,
            members: Mutex::default(),
            changed: Notify::new(),
            loosened: Notify::new(),
            is_stale: AtomicBool::new(true),
            has_task: AtomicBool::new(false),
        }
    }

    /// Which lane it is.
    #[must_use]
    pub fn key(&self) -> LaneKey {
        self.key
    }

    /// Its partitions.
    pub(super) fn members(&self) -> Vec<Arc<Partition>> {
        self.members.lock().values().cloned().collect()
    }

    fn mark(&self) {
        self.is_stale.store(true, Ordering::Release);
    }
}

impl Lanes {
    /// No lanes yet; at most so many from one leader, twice.
    #[must_use]
    pub fn new(count: u32) -> Self {
        Self {
            count: AtomicU32::new(count.max(1)),
            places: Mutex::default(),
            opened: Notify::new(),
        }
    }

    /// Lets there be so many lanes from one leader; whether that is news. Partitions are in other
    /// lanes by then once they are assigned anew.
    pub fn resize(&self, count: u32) -> bool {
        let count = count.max(1);
        self.count.swap(count, Ordering::AcqRel) != count
    }

    /// Lets a partition be fetched from its leader, or from nobody where there is none. Tasks learn
    /// of it with [`Lanes::announce`].
    pub fn assign(&self, partition: &Arc<Partition>, leader: NodeId) {
        let id = (partition.topic_id(), partition.index());
        if leader == NodeId::NONE {
            return self.remove(id.0, id.1);
        }
        let key = LaneKey { leader, index: self.index_of(id), is_durable: partition.is_durable() };
        let mut places = self.places.lock();
        if places.of.get(&id).is_some_and(|before| *before != key) {
            places.take_out(id);
        }
        places.of.insert(id, key);
        let lane = places.lanes.entry(key).or_insert_with(|| Arc::new(Lane::new(key)));
        lane.members.lock().insert(id, Arc::clone(partition));
        lane.mark();
    }

    /// Sorts a partition in anew if it is fetched: it may want to be on stable storage by now.
    pub fn assign_anew(&self, partition: &Arc<Partition>) {
        let id = (partition.topic_id(), partition.index());
        let before = self.places.lock().of.get(&id).copied();
        if let Some(before) = before
            && before.is_durable != partition.is_durable()
        {
            self.assign(partition, before.leader);
        }
    }

    /// Lets a partition not be fetched any more.
    pub fn remove(&self, topic_id: Uuid, index: PartitionIndex) {
        self.places.lock().take_out((topic_id, index));
    }

    /// A broker came, went, or is elsewhere: who fetches from it tries again.
    pub fn look_again(&self, leader: NodeId) {
        let places = self.places.lock();
        for lane in places.lanes.values().filter(|lane| lane.key.leader == leader) {
            lane.members().iter().for_each(|partition| partition.resume());
            lane.mark();
        }
    }

    /// A partition is throttled otherwise: what is withheld of it may be asked for by now. Healthy
    /// connections and fetch sessions stay what they are.
    pub fn reconsider(&self, topic_id: Uuid, index: PartitionIndex) {
        let places = self.places.lock();
        let key = places.of.get(&(topic_id, index));
        if let Some(lane) = key.and_then(|key| places.lanes.get(key)) {
            lane.loosened.notify_waiters();
        }
    }

    /// As [`Lanes::reconsider`], for whatever is throttled.
    pub fn reconsider_all(&self) {
        self.places.lock().lanes.values().for_each(|lane| lane.loosened.notify_waiters());
    }

    /// Whether anything is fetched from anybody.
    #[must_use]
    pub fn has_any(&self) -> bool {
        !self.places.lock().of.is_empty()
    }

    /// Tells those who fetch of what is new.
    pub fn announce(&self) {
        let places = self.places.lock();
        let mut has_opened = false;
        for lane in places.lanes.values() {
            if lane.is_stale.swap(false, Ordering::AcqRel) {
                lane.changed.notify_one();
                has_opened |= !lane.has_task.load(Ordering::Acquire);
            }
        }
        if has_opened {
            self.opened.notify_one();
        }
    }

    /// The lanes that have no task yet, which have one from now on; waits for the first one.
    pub(super) async fn opened(&self) -> Vec<Arc<Lane>> {
        loop {
            let new: Vec<_> = {
                let places = self.places.lock();
                let all = places.lanes.values();
                all.filter(|lane| !lane.has_task.swap(true, Ordering::AcqRel)).cloned().collect()
            };
            if !new.is_empty() {
                return new;
            }
            self.opened.notified().await;
        }
    }

    /// Ends a lane that has no partitions; whether it had none.
    pub(super) fn close_if_empty(&self, lane: &Arc<Lane>) -> bool {
        let mut places = self.places.lock();
        let is_empty = lane.members.lock().is_empty();
        if is_empty {
            places.lanes.remove(&lane.key);
        }
        is_empty
    }

    /// How many lanes there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.places.lock().lanes.len()
    }

    fn index_of(&self, (topic_id, index): Key) -> u32 {
        let topic = u128::from_be_bytes(topic_id.0);
        let mixed = (topic ^ (topic >> 64)).wrapping_add(u128::from(index.0.unsigned_abs()));
        let count = self.count.load(Ordering::Acquire);
        u32::try_from(mixed % u128::from(count)).unwrap_or(0)
    }
}

impl Places {
    fn take_out(&mut self, id: Key) {
        let Some(key) = self.of.remove(&id) else { return };
        if let Some(lane) = self.lanes.get(&key) {
            lane.members.lock().remove(&id);
            lane.mark();
        }
    }
}
