//! Topics: make, remove, grow, list.

use std::sync::Arc;

use milena_protocol::api::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use milena_protocol::api::create_topics::{
    CreateTopicsConfig, CreateTopicsReplicaAssignment, CreateTopicsRequest, CreateTopicsTopic,
    CreateTopicsTopicResult,
};
use milena_protocol::api::delete_topics::{DeleteTopicsRequest, DeleteTopicsTopic};
use milena_protocol::ids::{NodeId, PartitionIndex, Uuid};

use super::ask::{Admin, Each};
use crate::client::Topics;
use crate::error::{ClientError, Refused};
use crate::metadata::Topic;

/// A topic to be made.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; −1 leaves it to the broker.
    pub partitions: i32,
    /// How many replicas of each; −1 leaves it to the broker.
    pub replication_factor: i16,
    /// Which brokers have which partition, instead of the two numbers.
    pub assignment: Vec<Vec<NodeId>>,
    /// Its configuration where it differs from the broker's.
    pub configs: Vec<(String, String)>,
}

impl NewTopic {
    /// A topic with as many partitions and replicas as the broker thinks right.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            partitions: -1,
            replication_factor: -1,
            assignment: Vec::new(),
            configs: Vec::new(),
        }
    }

    /// With so many partitions.
    #[must_use]
    pub fn partitions(mut self, count: i32) -> Self {
        self.partitions = count;
        self
    }

    /// With so many replicas of each partition.
    #[must_use]
    pub fn replication_factor(mut self, count: i16) -> Self {
        self.replication_factor = count;
        self
    }

    /// With one more setting.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.push((name.into(), value.into()));
        self
    }
}

/// A topic that was made, as far as the broker tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id; zero where the broker does not tell.
    pub id: Uuid,
    /// How many partitions; −1 where the broker does not tell.
    pub partitions: i32,
    /// How many replicas of each; −1 where the broker does not tell.
    pub replication_factor: i16,
}

impl Admin {
    /// Makes topics, or with `validate_only` says whether they could be made.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Each<CreatedTopic>, ClientError> {
        let request = CreateTopicsRequest {
            topics: topics.iter().map(wanted).collect(),
            timeout_ms: self.timeout_ms(),
            validate_only,
        };
        let response = self.client.ask_controller(&request).await?;
        let created = |result: &CreateTopicsTopicResult| {
            Refused::check(result.error_code, result.error_message.as_deref())?;
            Ok(CreatedTopic {
                id: result.topic_id,
                partitions: result.num_partitions,
                replication_factor: result.replication_factor,
            })
        };
        let each = response.topics.iter().map(|result| (result.name.to_string(), created(result)));
        Ok(each.collect())
    }

    /// Removes topics with all they hold.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn delete_topics(&self, names: &[&str]) -> Result<Each<()>, ClientError> {
        let by_name =
            |name: &&str| DeleteTopicsTopic { name: Some((*name).into()), topic_id: Uuid::ZERO };
        let request = DeleteTopicsRequest {
            topics: names.iter().map(by_name).collect(),
            topic_names: names.iter().map(|name| (*name).into()).collect(),
            timeout_ms: self.timeout_ms(),
        };
        let response = self.client.ask_controller(&request).await?;
        self.client.forget(names);
        let each = response.responses.iter().map(|result| {
            let name = result.name.as_ref().map(ToString::to_string).unwrap_or_default();
            (name, Refused::check(result.error_code, result.error_message.as_deref()))
        });
        Ok(each.collect())
    }

    /// Grows a topic to so many partitions. Keys go to other partitions from then on.
    ///
    /// # Errors
    /// When there is no answer, or the broker refuses.
    pub async fn create_partitions(&self, topic: &str, count: i32) -> Result<(), ClientError> {
        let wanted = CreatePartitionsTopic { name: topic.into(), count, assignments: None };
        let request = CreatePartitionsRequest {
            topics: vec![wanted],
            timeout_ms: self.timeout_ms(),
            validate_only: false,
        };
        let response = self.client.ask_controller(&request).await?;
        self.client.forget(&[topic]);
        for result in &response.results {
            Refused::check(result.error_code, result.error_message.as_deref())
                .map_err(|refused| refused.of(format!("topic {topic}")))?;
        }
        Ok(())
    }

    /// Every topic, by name.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn list_topics(&self) -> Result<Vec<Arc<Topic>>, ClientError> {
        let metadata = self.client.refresh(Topics::All, false).await?;
        Ok(metadata.topics.values().cloned().collect())
    }

    /// One topic as it is now. It is not made if it is missing.
    ///
    /// # Errors
    /// When there is no answer, or no such topic.
    pub async fn describe_topic(&self, name: &str) -> Result<Arc<Topic>, ClientError> {
        let metadata = self.client.refresh(Topics::Named(&[name]), false).await?;
        match metadata.topic(name) {
            Some(topic) => Ok(Arc::clone(topic)),
            None => {
                let code = metadata.troubles.get(name).copied().unwrap_or_default();
                Err(Refused { code, message: None }.of(format!("topic {name}")))
            }
        }
    }
}

fn wanted(topic: &NewTopic) -> CreateTopicsTopic {
    let is_assigned = !topic.assignment.is_empty();
    let assigned =
        (0..).zip(&topic.assignment).map(|(index, brokers)| CreateTopicsReplicaAssignment {
            partition_index: PartitionIndex(index),
            broker_ids: brokers.clone(),
        });
    CreateTopicsTopic {
        name: topic.name.as_str().into(),
        num_partitions: if is_assigned { -1 } else { topic.partitions },
        replication_factor: if is_assigned { -1 } else { topic.replication_factor },
        assignments: assigned.collect(),
        configs: topic
            .configs
            .iter()
            .map(|(name, value)| CreateTopicsConfig {
                name: name.as_str().into(),
                value: Some(value.as_str().into()),
            })
            .collect(),
    }
}
