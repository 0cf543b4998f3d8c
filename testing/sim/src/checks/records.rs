//! Records that were acknowledged stay, each once, in its producer's order; whoever leads has all
//! of them, and nobody is ever shown anything else.

use std::collections::BTreeMap;

use milena_cluster::coordinator::Producer;
use milena_cluster::quorum::Batch;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, ProducerEpoch, ProducerId};

use super::require;
use super::transactions::Transactions;
use crate::broker::{Marker, Sent, Written, written};
use crate::host::Key;
use crate::quorum_checks::Violation;

/// The records of all partitions of a run.
#[derive(Default)]
pub struct Records {
    leaders: BTreeMap<(Key, LeaderEpoch), (NodeId, u64)>,
    shown: BTreeMap<Key, Shown>,
    /// What became of transactions.
    pub transactions: Transactions,
}

/// What was acknowledged of a partition.
#[derive(Default)]
pub struct Shown {
    /// The log up to the highest watermark that any leader had.
    pub log: Vec<Batch>,
    /// The latest epoch that added to it.
    epoch: LeaderEpoch,
    /// The epoch of each producer, and the next sequence in it.
    sequences: BTreeMap<ProducerId, (ProducerEpoch, i32)>,
}

fn ending_at(log: &[Batch], end: Offset) -> Option<&Batch> {
    let found = log.binary_search_by_key(&end, |batch| batch.end_offset);
    log.get(found.ok()?)
}

impl Shown {
    fn end(&self) -> Offset {
        self.log.last().map_or(Offset::ZERO, |last| last.end_offset)
    }

    /// Another batch is acknowledged: the next one of its producer.
    fn push(&mut self, batch: &Batch) -> Result<(), Violation> {
        self.log.push(batch.clone());
        match written(&batch.bytes, batch.base_offset).ok_or("it is no batch")? {
            // A coordinator's records have no producer, or no sequence.
            Written::Records(_, sent) if sent.first < 0 => Ok(()),
            Written::Records(id, sent) => {
                self.check_sequence(id, sent)?;
                self.sequences.insert(id, (sent.epoch, sent.last + 1));
                Ok(())
            }
            Written::Marker(Marker { producer: Producer { id, epoch }, .. }) => {
                let known = self.sequences.entry(id).or_insert((epoch, 0));
                require(epoch >= known.0, || format!("a marker of {id:?} goes back to {epoch:?}"))?;
                *known = if epoch > known.0 { (epoch, 0) } else { *known };
                Ok(())
            }
        }
    }

    fn check_sequence(&self, id: ProducerId, sent: Sent) -> Result<(), Violation> {
        let (epoch, next) = self.sequences.get(&id).copied().unwrap_or((sent.epoch, 0));
        let next = if sent.epoch > epoch { 0 } else { next };
        require(sent.epoch >= epoch && sent.first == next, || {
            let (at, first) = (sent.base_offset, sent.first);
            format!("{at} holds {first} of {id:?} in {:?}, after {next} in {epoch:?}", sent.epoch)
        })
    }
}

impl Records {
    /// What was acknowledged of a partition so far.
    pub fn shown(&self, key: Key) -> &[Batch] {
        self.shown.get(&key).map_or(&[], |shown| &shown.log)
    }

    /// A leader begins: the only one of its epoch, with everything that was acknowledged.
    pub fn leads(
        &mut self,
        key: Key,
        leader: (NodeId, u64),
        epoch: LeaderEpoch,
        log: &[Batch],
    ) -> Result<(), Violation> {
        let known = *self.leaders.entry((key, epoch)).or_insert(leader);
        require(known == leader, || {
            format!("{known:?} and {leader:?} both lead a partition in epoch {epoch}")
        })?;
        let is_old = self.shown.get(&key).is_some_and(|shown| epoch < shown.epoch);
        if is_old { Ok(()) } else { self.may_lead(key, leader.0, log) }
    }

    /// Whoever leads, or may be elected, has everything.
    pub fn may_lead(&self, key: Key, id: NodeId, log: &[Batch]) -> Result<(), Violation> {
        let shown = self.shown(key);
        require(log.starts_with(shown), || {
            let common = log.iter().zip(shown).take_while(|(own, other)| own == other).count();
            let at = shown.get(common).map_or(Offset::ZERO, |lacked| lacked.base_offset);
            format!("{id} may be elected without what was acknowledged at {at}")
        })
    }

    /// A leader's high watermark moves. Logs are compared as a whole when a leader begins.
    pub fn acknowledges(
        &mut self,
        key: Key,
        id: NodeId,
        epoch: LeaderEpoch,
        log: &[Batch],
        end: Offset,
    ) -> Result<(), Violation> {
        let last = ending_at(log, end);
        require(last.is_some() || end == Offset::ZERO, || {
            format!("{id} acknowledges {end}, which is no end of a batch")
        })?;
        let shown = self.shown.entry(key).or_default();
        let common = shown.end().min(end);
        require(ending_at(log, common) == ending_at(&shown.log, common), || {
            format!("{id} acknowledges other records below {common}, in epoch {epoch}")
        })?;
        let from = log.partition_point(|batch| batch.end_offset <= common);
        for batch in log.iter().skip(from).take_while(|batch| batch.end_offset <= end) {
            shown.push(batch)?;
            self.transactions.acknowledged(key, batch)?;
            shown.epoch = shown.epoch.max(epoch);
        }
        Ok(())
    }

    /// A replica shows what is below its high watermark: nothing that no leader acknowledged.
    pub fn shows(&self, key: Key, id: NodeId, log: &[Batch], end: Offset) -> Result<(), Violation> {
        let shown = self.shown(key);
        require(ending_at(log, end) == ending_at(shown, end), || {
            format!("{id} shows below {end} what no leader has acknowledged")
        })
    }

    /// A consumer was shown batches.
    pub fn consumed(&self, key: Key, batches: &[Batch]) -> Result<(), Violation> {
        let shown = self.shown(key);
        for batch in batches {
            require(ending_at(shown, batch.end_offset) == Some(batch), || {
                format!("a consumer reads at {} what was never acknowledged", batch.base_offset)
            })?;
        }
        Ok(())
    }

    /// A producer was told where its batch is.
    pub fn told(
        &self,
        key: Key,
        producer: ProducerId,
        sequence: i32,
        base_offset: Offset,
    ) -> Result<(), Violation> {
        let log = self.shown(key);
        let at = log.partition_point(|batch| batch.base_offset < base_offset);
        let found = log.get(at).filter(|batch| batch.base_offset == base_offset);
        let found = found.and_then(|batch| written(&batch.bytes, batch.base_offset));
        let is_it = matches!(found, Some(Written::Records(id, sent))
            if id == producer && sent.first == sequence);
        require(is_it, || {
            format!(
                "{sequence} of producer {producer:?} is acknowledged, and is not at {base_offset}"
            )
        })
    }
}
