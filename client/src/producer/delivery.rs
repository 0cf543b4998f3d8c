//! What became of a record. The records of a batch share one outcome.

use std::sync::{Arc, OnceLock};

use milena_protocol::ids::{Offset, PartitionIndex, Timestamp};
use tokio::sync::Notify;

use crate::error::ClientError;

/// A record that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: PartitionIndex,
    /// Its place; −1 where the broker does not tell (`acks=0`).
    pub offset: Offset,
    /// When the broker appended it; −1 where the record's own time holds.
    pub log_append_time: Timestamp,
}

/// A record under way.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub(super) outcome: Arc<Outcome>,
    pub(super) index: i32,
}

impl Delivery {
    /// Waits until the record is acknowledged or given up.
    ///
    /// # Errors
    /// When it was given up. After a timeout or a lost connection it may have been written all the
    /// same.
    pub async fn wait(self) -> Result<Delivered, ClientError> {
        let first = self.outcome.wait().await?;
        // A broker that tells no offset tells none for any record of the batch.
        let offset = match first.offset {
            Offset::NONE => Offset::NONE,
            base => base.plus(i64::from(self.index)),
        };
        Ok(Delivered { offset, ..first })
    }
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    result: OnceLock<Result<Delivered, ClientError>>,
    settled: Notify,
}

impl Outcome {
    /// Says it; the first word counts.
    pub fn settle(&self, result: Result<Delivered, ClientError>) {
        let _ = self.result.set(result);
        self.settled.notify_waiters();
    }

    async fn wait(&self) -> Result<Delivered, ClientError> {
        loop {
            // Made before the look, so that a word between the look and the wait is not missed.
            let settled = self.settled.notified();
            if let Some(result) = self.result.get() {
                return result.clone();
            }
            settled.await;
        }
    }
}
