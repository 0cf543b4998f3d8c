//! What is decided about a batch: a walk through a log from its beginning that knows the aborted
//! transactions.
//!
//! The records of an aborted transaction may go at once. A marker stays as long as a batch of its
//! transaction was there in this walk; in the next one, when none is left, it may go too.

use std::collections::{HashMap, HashSet};

use milena_protocol::ids::{Offset, ProducerId};
use milena_protocol::record::batch::Batch;
use milena_protocol::record::control::ControlType;
use milena_protocol::record::record::Records;

use crate::index::AbortedTransaction;

/// The state of a walk.
#[derive(Debug)]
pub(super) struct Transactions {
    /// By first offset; those before `next` have begun.
    aborted: Vec<AbortedTransaction>,
    next: usize,
    /// Aborted transactions that are open at this place, and whether a batch of them was there.
    open_aborted: HashMap<ProducerId, (AbortedTransaction, bool)>,
    /// Producers of which a batch was there since their last marker.
    open_committed: HashSet<ProducerId>,
}

/// What a control batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MarkerFate {
    /// Nothing of its transaction was there.
    pub(super) may_go: bool,
    /// The transaction that it aborts and of which something was there.
    pub(super) aborts: Option<AbortedTransaction>,
}

impl Transactions {
    /// A walk through a range to which these aborted transactions belong.
    pub(super) fn new(mut aborted: Vec<AbortedTransaction>) -> Self {
        aborted.sort_by_key(|transaction| transaction.first_offset);
        Self { aborted, next: 0, open_aborted: HashMap::new(), open_committed: HashSet::new() }
    }

    fn begin_up_to(&mut self, offset: Offset) {
        while let Some(transaction) = self.aborted.get(self.next)
            && transaction.first_offset <= offset
        {
            self.open_aborted.entry(transaction.producer_id).or_insert((*transaction, false));
            self.next += 1;
        }
    }

    /// Passes a batch of records; whether they belong to an aborted transaction.
    pub(super) fn records(&mut self, batch: &Batch<'_>) -> bool {
        self.begin_up_to(batch.last_offset());
        if !batch.attributes().is_transactional() {
            return false;
        }
        if let Some((_, was_there)) = self.open_aborted.get_mut(&batch.producer_id()) {
            *was_there = true;
            return true;
        }
        self.open_committed.insert(batch.producer_id());
        false
    }

    /// Passes a control batch.
    pub(super) fn marker(&mut self, batch: &Batch<'_>) -> MarkerFate {
        self.begin_up_to(batch.last_offset());
        let producer_id = batch.producer_id();
        let (may_go, aborts) = match control_type(batch) {
            // Its record went before; what it stood for did too.
            None if batch.record_count() == 0 => (true, None),
            Some(ControlType::Abort) => {
                let open = self.open_aborted.remove(&producer_id);
                let aborts =
                    open.and_then(|(transaction, was_there)| was_there.then_some(transaction));
                (aborts.is_none(), aborts)
            }
            Some(ControlType::Commit) => (!self.open_committed.remove(&producer_id), None),
            _ => (false, None),
        };
        MarkerFate { may_go, aborts }
    }
}

fn control_type(batch: &Batch<'_>) -> Option<ControlType> {
    let record = Records::new(batch.records_bytes(), batch.record_count()).next()?.ok()?;
    ControlType::from_key(record.key?)
}
