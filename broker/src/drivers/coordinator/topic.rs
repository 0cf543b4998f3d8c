//! The topics that coordinators write: made when the first of them is asked for.

use std::time::Duration;

use milena_cluster::controller::topics::NewTopic;
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;

use super::ground::Ground;
use crate::entropy::new_uuid;

/// A topic that coordinators write.
#[derive(Clone, Debug)]
pub struct InternalTopic {
    /// Its name.
    pub name: &'static str,
    /// How many partitions it gets.
    pub partitions: i32,
    /// How many replicas each gets, if there are so many brokers.
    pub replication_factor: i16,
    /// Its configuration.
    pub configs: Vec<(&'static str, String)>,
    /// How long an answer may wait for its records to be committed.
    pub commit_timeout: Duration,
}

impl InternalTopic {
    /// How many partitions the topic has; nothing while there is no topic.
    #[must_use]
    pub fn count(&self, ground: &Ground) -> Option<usize> {
        let image = ground.metadata.image();
        image.topic(self.name).map(|topic| topic.partitions().len())
    }

    /// Makes the topic if it is missing, and says how many partitions it has.
    ///
    /// # Errors
    /// What the controller says.
    pub async fn ensure(&self, ground: &Ground) -> Result<usize, ErrorCode> {
        if let Some(count) = self.count(ground) {
            return Ok(count);
        }
        // One node is no reason to refuse groups to those who left the factor at its default.
        let brokers = ground.metadata.image().brokers().filter(|broker| !broker.fenced).count();
        let brokers = i16::try_from(brokers.max(1)).unwrap_or(i16::MAX);
        let topic = NewTopic {
            name: Text::from_static(self.name),
            id: new_uuid(),
            partitions: self.partitions,
            replication_factor: self.replication_factor.min(brokers),
            assignments: Vec::new(),
            configs: self
                .configs
                .iter()
                .map(|(key, value)| (Text::from_static(key), Some(value.as_str().into())))
                .collect(),
        };
        match ground.controller.create_topic(topic).await {
            Ok(()) => {
                // Another node's controller has committed it before this broker has read it.
                let is_here = ground.metadata.until(|image| image.topic(self.name).is_some());
                let _ = tokio::time::timeout(self.commit_timeout, is_here).await;
                self.count(ground).ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)
            }
            Err(refused) => {
                let (name, reason) = (self.name, refused.message);
                tracing::error!(topic = name, reason, "cannot make the coordinators' topic");
                Err(ErrorCode::COORDINATOR_NOT_AVAILABLE)
            }
        }
    }
}
