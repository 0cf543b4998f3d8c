//! Moving replicas between brokers (KIP-455).

use std::collections::BTreeMap;

use milena_protocol::api::alter_partition_reassignments::{
    AlterPartitionReassignmentsPartition, AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsTopic,
};
use milena_protocol::api::list_partition_reassignments::ListPartitionReassignmentsRequest;
use milena_protocol::ids::{NodeId, PartitionIndex};

use super::ask::Admin;
use crate::error::{ClientError, Refused};

/// Where a partition's replicas shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: PartitionIndex,
    /// The brokers, the preferred leader first.
    pub replicas: Vec<NodeId>,
}

/// A move that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassignment {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: PartitionIndex,
    /// All replicas that it has now.
    pub replicas: Vec<NodeId>,
    /// Those that it gets.
    pub adding: Vec<NodeId>,
    /// Those that it loses once the new ones are in sync.
    pub removing: Vec<NodeId>,
}

impl Admin {
    /// Begins to move replicas. Answers for each partition whether that has begun.
    ///
    /// # Errors
    /// When there is no answer, or the controller refuses all of them.
    pub async fn reassign(
        &self,
        moves: &[Move],
    ) -> Result<Vec<(String, PartitionIndex, Result<(), Refused>)>, ClientError> {
        let mut topics: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for one in moves {
            topics.entry(&one.topic).or_default().push(AlterPartitionReassignmentsPartition {
                partition_index: one.partition,
                replicas: Some(one.replicas.clone()),
            });
        }
        let topic = |(name, partitions): (&str, _)| AlterPartitionReassignmentsTopic {
            name: name.into(),
            partitions,
        };
        let request = AlterPartitionReassignmentsRequest {
            timeout_ms: self.timeout_ms(),
            allow_replication_factor_change: true,
            topics: topics.into_iter().map(topic).collect(),
        };
        let response = self.client.ask_any(&request).await?;
        Refused::check(response.error_code, response.error_message.as_deref())
            .map_err(|refused| refused.of("the moves"))?;
        let mut begun = Vec::new();
        for topic in &response.responses {
            for one in &topic.partitions {
                let outcome = Refused::check(one.error_code, one.error_message.as_deref());
                begun.push((topic.name.to_string(), one.partition_index, outcome));
            }
        }
        Ok(begun)
    }

    /// The moves that go on.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn reassignments(&self) -> Result<Vec<Reassignment>, ClientError> {
        let request =
            ListPartitionReassignmentsRequest { timeout_ms: self.timeout_ms(), topics: None };
        let response = self.client.ask_any(&request).await?;
        Refused::check(response.error_code, response.error_message.as_deref())
            .map_err(|refused| refused.of("the moves"))?;
        let of_topic = response.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|one| Reassignment {
                topic: topic.name.to_string(),
                partition: one.partition_index,
                replicas: one.replicas.clone(),
                adding: one.adding_replicas.clone(),
                removing: one.removing_replicas.clone(),
            })
        });
        Ok(of_topic.collect())
    }
}
