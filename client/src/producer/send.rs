//! What applications hold: hands records in, and waits for what became of them.

use std::sync::{Arc, Mutex};

use milena_protocol::api::ApiKey;
use tokio::sync::{Notify, Semaphore};
use tokio::task::AbortHandle;

use super::delivery::Delivery;
use super::options::{Acks, ProducerOptions};
use super::partitioner::{self, Sticky, partition_of_key};
use super::record::NewRecord;
use super::shared::Shared;
use super::{lane, sender};
use crate::client::Client;
use crate::error::ClientError;

/// A producer. Dropping it forgets what is not acknowledged yet: [`Producer::close`] does not.
#[derive(Debug)]
pub struct Producer {
    pub(super) shared: Arc<Shared>,
    sticky: Mutex<Sticky>,
    sender: AbortHandle,
}

impl Producer {
    /// A producer with connections of its own. Must be called on a tokio runtime.
    #[must_use]
    pub fn new(client: Client, mut options: ProducerOptions) -> Self {
        if options.transactional_id.is_some() {
            (options.acks, options.idempotence) = (Acks::All, true);
        }
        let shared = Arc::new(Shared {
            client: client.apart(),
            memory: Arc::new(Semaphore::new(options.buffer_bytes)),
            options,
            lanes: Mutex::default(),
            wake: Notify::new(),
            transaction: Mutex::default(),
            adding: Arc::default(),
            coordinators: Arc::default(),
        });
        let sender = tokio::spawn(sender::run(Arc::clone(&shared))).abort_handle();
        Self { shared, sticky: Mutex::default(), sender }
    }

    /// Hands in a record. Waits while the topic is unknown and while the producer's memory is
    /// full, not for the acknowledgement: that is [`Delivery::wait`].
    ///
    /// # Errors
    /// When the topic does not appear, has no such partition, the record is larger than the
    /// producer's memory, or a transactional producer has no transaction open.
    pub async fn send(&self, record: NewRecord) -> Result<Delivery, ClientError> {
        let options = &self.shared.options;
        let cost = record.cost();
        if cost > options.max_request_bytes.min(options.buffer_bytes) {
            return Err(ClientError::Unwritable {
                api: ApiKey::Produce,
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
        if self.shared.is_transactional() {
            self.shared.transaction().take()?;
        }
        let (delivery, wake) =
            lane::lock(&self.shared.lanes).append(&topic, partition, &record, permit, options)?;
        if wake {
            self.shared.wake.notify_one();
        }
        Ok(delivery)
    }

    /// Sends what waits to be sent, and returns when every record handed in before was acknowledged
    /// or given up. Whoever stops waiting has lost nothing: batches linger again from then on.
    pub async fn flush(&self) {
        let waiting = lane::lock(&self.shared.lanes).begin_flush();
        let flushing = Flushing(&self.shared);
        self.shared.wake.notify_one();
        for outcome in waiting {
            outcome.over().await;
        }
        drop(flushing);
    }

    /// Flushes and ends.
    pub async fn close(self) {
        self.flush().await;
    }
}

/// A flush that somebody waits for.
struct Flushing<'a>(&'a Shared);

impl Drop for Flushing<'_> {
    fn drop(&mut self) {
        lane::lock(&self.0.lanes).end_flush();
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.sender.abort();
        self.shared.memory.close();
        lane::lock(&self.shared.lanes).abandon();
    }
}

#[cfg(test)]
mod tests {
    use milena_protocol::ids::{PartitionIndex, Uuid};

    use super::*;
    use crate::client::ClientOptions;
    use crate::metadata::Topic;

    /// A flush that is given up, as under a timeout, would keep every later batch from lingering.
    #[tokio::test]
    async fn a_flush_that_is_dropped_is_over() {
        let client = Client::unconnected(ClientOptions::new("127.0.0.1:1"));
        let producer = Producer::new(client, ProducerOptions::default());
        let shared = &producer.shared;
        let name = Arc::from("t");
        let topic = Topic { name, id: Uuid::ZERO, is_internal: false, partitions: Vec::new() };
        let permit = Arc::clone(&shared.memory).try_acquire_many_owned(100).unwrap();
        let record = NewRecord::new("t");
        let _delivery = lane::lock(&shared.lanes)
            .append(&topic, PartitionIndex(0), &record, permit, &shared.options)
            .unwrap();
        tokio::select! {
            biased;
            () = producer.flush() => panic!("nobody can have acknowledged the record"),
            () = std::future::ready(()) => {}
        }
        assert!(!lane::lock(&shared.lanes).is_flushing());
    }
}
