//! What must never happen, whatever happens: one checker for the log of the coordinator, one for
//! what was written in transactions.

use std::collections::{BTreeMap, BTreeSet};

use milena_cluster::coordinator::{Producer, Record, Replayed};
use milena_cluster::transaction::{Markers, State, Transaction, record};
use milena_protocol::codec::Text;
use milena_protocol::ids::{Offset, ProducerId};

use crate::partition::{Partition, Uid};

/// What went wrong.
pub type Violation = String;

/// Fails with a text unless a condition holds.
pub fn ensure(holds: bool, text: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(text()) }
}

/// What the committed log of the coordinator says, and must not contradict.
#[derive(Clone, Debug, Default)]
pub struct LogCheck {
    ids: BTreeMap<Text, Transaction>,
    /// Which id a producer id belongs to: to one, for ever.
    owners: BTreeMap<ProducerId, Text>,
    /// The last decision of each producer, and all before.
    decisions: BTreeMap<Producer, (bool, BTreeSet<bool>)>,
    /// How many transactions ended.
    pub ended: u64,
}

impl LogCheck {
    /// A record is committed.
    pub fn committed(
        &mut self,
        record: &Record,
        partitions: &BTreeMap<i32, Partition>,
    ) -> Result<(), Violation> {
        let replayed = Replayed {
            offset: Offset(0),
            transaction: None,
            key: &record.key,
            value: record.value.as_deref(),
        };
        let (id, content) = record::read(&replayed).ok_or("a record that nobody can read")?;
        let before = self.ids.remove(&id);
        let Some(now) = content else { return Ok(()) };
        self.check_change(&id, before.as_ref(), &now)?;
        if let Some(is_commit) = now.state.decision() {
            let (last, all) = self.decisions.entry(now.producer).or_default();
            *last = is_commit;
            all.insert(is_commit);
        }
        if let (Some(before), Some(_)) = (before, now.state.outcome()) {
            self.ended += 1;
            check_marked(&id, &before, partitions)?;
        }
        self.ids.insert(id, now);
        Ok(())
    }

    fn check_change(
        &mut self,
        id: &Text,
        before: Option<&Transaction>,
        now: &Transaction,
    ) -> Result<(), Violation> {
        let text = || format!("{id}: {before:?} became {now:?}");
        let owner = self.owners.entry(now.producer.id).or_insert_with(|| id.clone());
        ensure(owner == id, || format!("the producer id of {owner} is given to {id}"))?;
        let Some(before) = before else { return ensure(now.state == State::Empty, text) };
        ensure(now.state.may_follow(before.state), text)?;
        let is_same = before.producer.id == now.producer.id;
        ensure(!is_same || before.producer.epoch <= now.producer.epoch, text)?;
        let decides = now.state.decision().is_some();
        ensure(!decides || before.partitions == now.partitions, text)
    }

    /// A marker is written: somebody decided that; the last that was decided, if it ends anything.
    pub fn marked(&self, markers: &Markers, ends: bool) -> Result<(), Violation> {
        let decided = self.decisions.get(&markers.producer);
        let is_decided = decided.is_some_and(|(last, all)| {
            if ends { *last == markers.is_commit } else { all.contains(&markers.is_commit) }
        });
        ensure(is_decided, || format!("{decided:?} was decided, and marked is {markers:?}"))
    }
}

/// A transaction is complete: no partition of it has anything open of its producer.
fn check_marked(
    id: &Text,
    transaction: &Transaction,
    partitions: &BTreeMap<i32, Partition>,
) -> Result<(), Violation> {
    for partition in &transaction.partitions {
        let known = partitions
            .get(&partition.partition.0)
            .and_then(|partition| partition.producers.get(&transaction.producer.id));
        ensure(known.is_none_or(|known| known.open.is_empty()), || {
            format!("{id} is complete, but {known:?} is open in {partition:?}")
        })?;
    }
    Ok(())
}

/// One transaction of one producer: all of it, or nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    /// What its producer was told.
    told: Option<bool>,
    /// What markers say.
    marked: Option<bool>,
}

/// What became of what was written.
#[derive(Clone, Debug, Default)]
pub struct FateCheck {
    fates: BTreeMap<Uid, Fate>,
    /// Which producer was given which epoch.
    holders: BTreeMap<Producer, usize>,
}

impl FateCheck {
    /// Something of a transaction is in a partition.
    pub fn written(&mut self, uid: Uid, partition: &Partition) -> Result<(), Violation> {
        let fate = self.fates.entry(uid).or_default();
        // Where it is aborted over the producer's head, this partition's marker is on its way.
        let is_over = fate.told.is_some() || fate.marked == Some(true);
        ensure(!is_over, || format!("{uid} writes after it was decided: {fate:?}"))?;
        let mut sharing = partition.producers.values().filter(|known| known.open.contains(&uid));
        let joined = sharing.find(|known| known.open.len() > 1);
        ensure(joined.is_none(), || format!("transactions run into each other: {joined:?}"))
    }

    /// A marker ended it in a partition.
    pub fn marked(&mut self, uid: Uid, is_commit: bool) -> Result<(), Violation> {
        let fate = self.fates.entry(uid).or_default();
        ensure(fate.marked.is_none_or(|before| before == is_commit), || {
            format!("{uid} commits here and aborts there")
        })?;
        fate.marked = Some(is_commit);
        fate.check(uid)
    }

    /// Its producer was told.
    pub fn told(&mut self, uid: Uid, is_commit: bool) -> Result<(), Violation> {
        let fate = self.fates.entry(uid).or_default();
        fate.told = Some(is_commit);
        fate.check(uid)
    }

    /// A producer was given an epoch.
    pub fn given(&mut self, producer: Producer, to: usize) -> Result<(), Violation> {
        let holder = *self.holders.entry(producer).or_insert(to);
        ensure(holder == to, || format!("{producer:?} is given to {holder} and to {to}"))
    }
}

impl Fate {
    fn check(self, uid: Uid) -> Result<(), Violation> {
        let agree = self.told.is_none() || self.marked.is_none() || self.told == self.marked;
        ensure(agree, || format!("{uid} was told what is not so: {self:?}"))
    }
}
