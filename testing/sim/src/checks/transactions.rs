//! A transaction is all or nothing: in every partition the same, what was committed is there once,
//! what was aborted nobody is shown who reads what is committed, and a producer that was fenced
//! writes nothing any more.

use std::collections::{BTreeMap, BTreeSet};

use milena_cluster::coordinator::Producer;
use milena_cluster::quorum::Batch;
use milena_protocol::ids::{Offset, ProducerEpoch, ProducerId};
use milena_protocol::record::batch;
use milena_protocol::record::record::Records;

use super::require;
use crate::broker::{Aborted, Marker, Sent, Written, written};
use crate::host::Key;
use crate::quorum_checks::Violation;

/// One transaction of one producer, and one record in it, as the run counts them.
pub type Uid = u64;
pub type Name = (Uid, u32);

/// What a record of a transaction says.
pub fn value((uid, number): Name) -> [u8; 12] {
    let mut value = [0; 12];
    value[..8].copy_from_slice(&uid.to_be_bytes());
    value[8..].copy_from_slice(&number.to_be_bytes());
    value
}

/// The records of transactions in a batch.
fn names(bytes: &[u8]) -> Vec<Name> {
    let Ok((batch, _)) = batch::Batch::parse(bytes) else { return Vec::new() };
    let records = Records::new(batch.records_bytes(), batch.record_count());
    let name = |value: &[u8]| {
        let (uid, number) = value.split_first_chunk::<8>()?;
        Some((u64::from_be_bytes(*uid), u32::from_be_bytes(*number.first_chunk()?)))
    };
    records.filter_map(|record| name(record.ok()?.value?)).collect()
}

/// What became of a transaction.
#[derive(Clone, Debug, Default)]
struct Fate {
    /// What its producer was told.
    told: Option<bool>,
    /// What markers say.
    marked: Option<bool>,
    /// What its producer was told to be written.
    written: BTreeSet<u32>,
    /// What stands in partitions that know it to be committed.
    committed: BTreeSet<u32>,
    /// Somebody who reads what is committed was shown some of it.
    is_seen: bool,
}

/// The transactions of a run.
#[derive(Default)]
pub struct Transactions {
    fates: BTreeMap<Uid, Fate>,
    /// Acknowledged records of transactions that no acknowledged marker has ended.
    open: BTreeMap<(Key, ProducerId), Vec<Name>>,
    /// The newest epoch that a producer has begun anew with.
    epochs: BTreeMap<ProducerId, ProducerEpoch>,
    /// What a leader appended although its producer was fenced: it must never count.
    fenced: BTreeSet<(Key, ProducerId, ProducerEpoch, Offset)>,
    /// How many transactions were decided.
    pub committed: u64,
    pub aborted: u64,
}

impl Transactions {
    /// A producer begins anew, and the one before it is fenced: all that it wrote is decided.
    pub fn given(&mut self, id: ProducerId, epoch: ProducerEpoch) {
        let known = self.epochs.entry(id).or_insert(epoch);
        *known = epoch.max(*known);
    }

    /// A leader appends.
    pub fn appended(&mut self, key: Key, producer: Producer, sent: Sent) {
        let newest = self.epochs.get(&producer.id);
        if sent.is_transactional && newest.is_some_and(|newest| producer.epoch < *newest) {
            self.fenced.insert((key, producer.id, producer.epoch, sent.base_offset));
        }
    }

    /// A batch is acknowledged.
    pub fn acknowledged(&mut self, key: Key, batch: &Batch) -> Result<(), Violation> {
        match written(&batch.bytes, batch.base_offset) {
            Some(Written::Records(id, sent)) if sent.is_transactional => {
                self.begun(key, id, sent, names(&batch.bytes))
            }
            Some(Written::Marker(marker)) => self.marked(key, marker),
            _ => Ok(()),
        }
    }

    fn begun(
        &mut self,
        key: Key,
        id: ProducerId,
        sent: Sent,
        names: Vec<Name>,
    ) -> Result<(), Violation> {
        let place = (key, id, sent.epoch, sent.base_offset);
        require(!self.fenced.contains(&place), || {
            format!("{id:?} writes with {:?} at {}, fenced", sent.epoch, sent.base_offset)
        })?;
        for name in names {
            let fate = self.fates.entry(name.0).or_default();
            // Where it is aborted over its producer's head, this partition's marker is to come.
            let is_over = fate.told == Some(true) || fate.marked == Some(true);
            require(!is_over, || format!("{name:?} is written after it was committed"))?;
            let open = self.open.entry((key, id)).or_default();
            open.push(name);
            let joined = open.iter().find(|(uid, _)| *uid != name.0);
            require(joined.is_none(), || format!("{name:?} and {joined:?} are one transaction"))?;
        }
        Ok(())
    }

    fn marked(&mut self, key: Key, marker: Marker) -> Result<(), Violation> {
        let is_commit = marker.is_commit;
        for (uid, number) in self.open.remove(&(key, marker.producer.id)).unwrap_or_default() {
            let fate = self.fates.entry(uid).or_default();
            if fate.marked.is_none() {
                *(if is_commit { &mut self.committed } else { &mut self.aborted }) += 1;
            }
            require(fate.marked.is_none_or(|before| before == is_commit), || {
                format!("transaction {uid} commits here and aborts there")
            })?;
            fate.marked = Some(is_commit);
            require(!is_commit || fate.committed.insert(number), || {
                format!("{number} of transaction {uid} is there twice")
            })?;
            fate.check(uid)?;
        }
        Ok(())
    }

    /// A producer was told that its records are written.
    pub fn was_written(&mut self, names: impl Iterator<Item = Name>) {
        for (uid, number) in names {
            self.fates.entry(uid).or_default().written.insert(number);
        }
    }

    /// A producer was told that its transaction is decided.
    pub fn was_told(&mut self, uid: Uid, is_commit: bool) -> Result<(), Violation> {
        let fate = self.fates.entry(uid).or_default();
        fate.told = Some(is_commit);
        fate.check(uid)
    }

    /// Somebody who reads what is committed was shown batches, and what among them was aborted.
    pub fn read(&mut self, batches: &[Batch], aborted: &[Aborted]) -> Result<(), Violation> {
        let mut ignored: BTreeSet<ProducerId> = BTreeSet::new();
        for batch in batches {
            let begun = |it: &&Aborted| {
                it.first_offset < batch.end_offset && it.last_offset >= batch.base_offset
            };
            ignored.extend(aborted.iter().filter(begun).map(|it| it.producer));
            match written(&batch.bytes, batch.base_offset) {
                Some(Written::Records(id, sent)) if sent.is_transactional => {
                    if ignored.contains(&id) {
                        continue;
                    }
                    for (uid, _) in names(&batch.bytes) {
                        let fate = self.fates.entry(uid).or_default();
                        fate.is_seen = true;
                        fate.check(uid)?;
                    }
                }
                Some(Written::Marker(marker)) if !marker.is_commit => {
                    ignored.remove(&marker.producer.id);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// With the faults over for a while every transaction has ended, and is whole.
    pub fn check_healed(&self) -> Result<(), Violation> {
        let open = self.open.iter().find(|(_, names)| !names.is_empty());
        require(open.is_none(), || format!("after healing {open:?} is undecided"))?;
        for (uid, fate) in &self.fates {
            let is_whole = fate.marked != Some(true) && fate.told != Some(true)
                || fate.written.is_subset(&fate.committed);
            require(is_whole, || format!("of transaction {uid} something lacks: {fate:?}"))?;
            require(!fate.is_seen || fate.marked == Some(true), || {
                format!("transaction {uid} was shown and never committed: {fate:?}")
            })?;
        }
        Ok(())
    }
}

impl Fate {
    fn check(&self, uid: Uid) -> Result<(), Violation> {
        let agree = self.told.is_none() || self.marked.is_none() || self.told == self.marked;
        require(agree, || format!("transaction {uid} was told what is not so: {self:?}"))?;
        let is_aborted = self.marked == Some(false) || self.told == Some(false);
        require(!(self.is_seen && is_aborted), || {
            format!("transaction {uid} was aborted, and shown to who reads what is committed")
        })
    }
}
