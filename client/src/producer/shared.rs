//! What the producer and its sender share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};

use super::lane::{self, Lanes};
use super::options::ProducerOptions;
use super::transact::{Coordinator, Known};
use super::transaction::Transaction;
use crate::client::Client;
use crate::error::ClientError;

/// What the producer and its sender share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub client: Client,
    pub options: ProducerOptions,
    pub lanes: Mutex<Lanes>,
    /// There is something to send, or nothing left to wait for.
    pub wake: Notify,
    /// Bytes that records may still take.
    pub memory: Arc<Semaphore>,
    /// Where the transaction stands, of a transactional producer.
    pub transaction: Mutex<Transaction>,
    /// Held while partitions are being added to it.
    pub adding: Arc<tokio::sync::Mutex<()>>,
    /// Whom it asks.
    pub coordinators: Arc<Known>,
}

impl Shared {
    /// The transaction. Where the lanes are locked too, this comes first.
    pub fn transaction(&self) -> MutexGuard<'_, Transaction> {
        self.transaction.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether records are written in transactions.
    pub fn is_transactional(&self) -> bool {
        self.options.transactional_id.is_some()
    }

    /// A transaction that lost something can only be aborted: the rest of it is not written.
    pub fn drop_if_spoilt(&self) {
        if !self.is_transactional() {
            return;
        }
        let loss = lane::lock(&self.lanes).loss();
        let spoilt = {
            let mut transaction = self.transaction();
            if let Some(error) = &loss {
                transaction.spoil(error);
            }
            transaction.spoilt()
        };
        if let Some(error) = spoilt {
            lane::lock(&self.lanes).give_up_queued(&error);
        }
    }

    /// Something of the transaction failed.
    pub fn spoil(&self, error: &ClientError) {
        self.transaction().spoil(error);
        self.drop_if_spoilt();
    }

    /// The way to the coordinator, of a transactional producer.
    pub fn coordinator(&self) -> Option<Coordinator> {
        Some(Coordinator {
            client: self.client.clone(),
            id: self.options.transactional_id.clone()?,
            known: Arc::clone(&self.coordinators),
            patience: self.options.request_timeout.max(self.client.options().patience),
        })
    }
}
