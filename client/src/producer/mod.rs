//! Writing records.
//!
//! ```text
//! send() ─► partition ─► Lane (one per partition) ─► batches
//!                                                      │
//!           Delivery ◄─ one request per leader ◄─ Sender
//! ```
//!
//! Records of a partition are collected into batches, sent in order, and tried again until they are
//! acknowledged or their time is up. With idempotence (the default) a retry is never written twice
//! and up to five requests are under way for a partition without its order being lost (KIP-98);
//! without it a partition has one request under way.

mod delivery;
mod lane;
mod options;
mod partitioner;
mod record;
mod sender;

use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, Semaphore};
use tokio::task::AbortHandle;

pub use delivery::{Delivered, Delivery};
pub use options::{Acks, ProducerOptions};
pub use partitioner::{murmur2, partition_of_key};
pub use record::NewRecord;

use crate::client::Client;
use crate::error::ClientError;
use lane::Lanes;
use partitioner::Sticky;

/// A producer. Dropping it forgets what is not acknowledged yet: [`Producer::close`] does not.
#[derive(Debug)]
pub struct Producer {
    shared: Arc<Shared>,
    sticky: Mutex<Sticky>,
    sender: AbortHandle,
}

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
}

impl Producer {
    /// A producer with connections of its own. Must be called on a tokio runtime.
    #[must_use]
    pub fn new(client: Client, options: ProducerOptions) -> Self {
        let shared = Arc::new(Shared {
            client: client.apart(),
            memory: Arc::new(Semaphore::new(options.buffer_bytes)),
            options,
            lanes: Mutex::default(),
            wake: Notify::new(),
        });
        let sender = tokio::spawn(sender::run(Arc::clone(&shared))).abort_handle();
        Self { shared, sticky: Mutex::default(), sender }
    }

    /// Hands in a record. Waits while the topic is unknown and while the producer's memory is
    /// full, not for the acknowledgement: that is [`Delivery::wait`].
    ///
    /// # Errors
    /// When the topic does not appear, has no such partition, or the record is larger than the
    /// producer's memory.
    pub async fn send(&self, record: NewRecord) -> Result<Delivery, ClientError> {
        let options = &self.shared.options;
        let cost = record.cost();
        if cost > options.max_request_bytes.min(options.buffer_bytes) {
            return Err(ClientError::Unwritable {
                api: milena_protocol::api::ApiKey::Produce,
                why: format!(
                    "a record of {cost} bytes is larger than a request may be ({} bytes)",
                    options.max_request_bytes.min(options.buffer_bytes)
                ),
            });
        }
        let topic = self.shared.client.topic(&record.topic, options.create_topics).await?;
        let count = topic.partitions.len();
        let partition = match (record.partition, record.key.as_deref()) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_of_key(key, count),
            (None, None) => partitioner::lock(&self.sticky).choose(&topic, cost, options),
        };
        if usize::try_from(partition.0).map_or(true, |index| index >= count) {
            let topic = record.topic.to_string();
            return Err(ClientError::NoSuchPartition { topic, partition, count });
        }
        let permit = Arc::clone(&self.shared.memory).acquire_many_owned(cost as u32);
        let permit = permit.await.map_err(|_| ClientError::Closed)?;
        let (delivery, wake) =
            lane::lock(&self.shared.lanes).append(&topic, partition, &record, permit, options)?;
        if wake {
            self.shared.wake.notify_one();
        }
        Ok(delivery)
    }

    /// Sends what waits to be sent, and returns when every record handed in before was acknowledged
    /// or given up.
    pub async fn flush(&self) {
        let waiting = lane::lock(&self.shared.lanes).begin_flush();
        self.shared.wake.notify_one();
        for delivery in waiting {
            // Whoever sent the record learns what became of it.
            let _ = delivery.wait().await;
        }
        lane::lock(&self.shared.lanes).end_flush();
    }

    /// Flushes and ends.
    pub async fn close(self) {
        self.flush().await;
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.sender.abort();
        self.shared.memory.close();
        lane::lock(&self.shared.lanes).abandon();
    }
}
