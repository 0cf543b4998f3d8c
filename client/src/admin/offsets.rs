//! Offsets: where logs begin and end, what was written when, and removing what is old.

use std::collections::BTreeMap;

use milena_protocol::api::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use milena_protocol::api::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsTopic,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex, Timestamp};

use super::Admin;
use crate::client::Client;
use crate::consumer::Isolation;
use crate::error::{ClientError, Refused};

/// Which offset is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// Of the first record that is there.
    Earliest,
    /// Behind the last record that may be read.
    Latest,
    /// Of the record with the highest timestamp (KIP-734).
    MaxTimestamp,
    /// Of the first record on the broker's own disk (KIP-405).
    EarliestLocal,
    /// Of the last record that was moved to remote storage (KIP-1005).
    LatestTiered,
    /// Of the first record that is not older.
    Time(Timestamp),
}

impl OffsetSpec {
    /// The time, or what stands in its place, in a request.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        match self {
            Self::Latest => Timestamp(-1),
            Self::Earliest => Timestamp(-2),
            Self::MaxTimestamp => Timestamp(-3),
            Self::EarliestLocal => Timestamp(-4),
            Self::LatestTiered => Timestamp(-5),
            Self::Time(timestamp) => timestamp,
        }
    }
}

/// An offset that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset; −1 where there is no such record.
    pub offset: Offset,
    /// The record's time; −1 where the offset is no record's.
    pub timestamp: Timestamp,
    /// The epoch that the record was written in; −1 where it is unknown.
    pub leader_epoch: LeaderEpoch,
}

impl Admin {
    /// An offset in every partition of a topic, by partition.
    ///
    /// # Errors
    /// When there is no such topic, or a leader does not answer.
    pub async fn list_offsets(
        &self,
        topic: &str,
        spec: OffsetSpec,
        isolation: Isolation,
    ) -> Result<Vec<FoundOffset>, ClientError> {
        let known = self.describe_topic(topic).await?;
        let mut of_leaders: BTreeMap<NodeId, Vec<PartitionIndex>> = BTreeMap::new();
        for partition in &known.partitions {
            let leader = self.client.leader(topic, partition.index).await?;
            of_leaders.entry(leader.node_id).or_default().push(partition.index);
        }
        let mut found = BTreeMap::new();
        for (node_id, partitions) in of_leaders {
            let wanted = partitions.iter().map(|index| (*index, LeaderEpoch::NONE));
            let request = request(topic, wanted, spec, isolation);
            let response = self.client.broker(node_id).await?.ask(&request).await?;
            for answer in response.topics.iter().flat_map(|topic| &topic.partitions) {
                found.insert(answer.partition_index, read(topic, answer)?);
            }
        }
        Ok(found.into_values().collect())
    }

    /// Removes the records before an offset, and returns where the log begins then. `None` removes
    /// all there are now.
    ///
    /// # Errors
    /// When there is no such partition, or its leader refuses.
    pub async fn delete_records(
        &self,
        topic: &str,
        partition: PartitionIndex,
        before: Option<Offset>,
    ) -> Result<Offset, ClientError> {
        let leader = self.client.leader(topic, partition).await?;
        // −1 stands for the high watermark.
        let offset = before.unwrap_or(Offset::NONE);
        let wanted = DeleteRecordsPartition { partition_index: partition, offset };
        let topics = vec![DeleteRecordsTopic { name: topic.into(), partitions: vec![wanted] }];
        let request = DeleteRecordsRequest { topics, timeout_ms: self.timeout_ms() };
        let response = leader.connection.ask(&request).await?;
        let results = response.topics.iter().flat_map(|topic| &topic.partitions);
        let what = || format!("trimming {topic} {partition}");
        let result = results.into_iter().next().ok_or_else(|| missing().of(what()))?;
        Refused::check(result.error_code, None).map_err(|refused| refused.of(what()))?;
        Ok(result.low_watermark)
    }
}

/// One offset, asked of the partition's leader.
pub(crate) async fn ask_offset(
    client: &Client,
    topic: &str,
    partition: PartitionIndex,
    spec: OffsetSpec,
    isolation: Isolation,
) -> Result<FoundOffset, ClientError> {
    let leader = client.leader(topic, partition).await?;
    let wanted = std::iter::once((partition, leader.epoch));
    let request = request(topic, wanted, spec, isolation);
    let response = leader.connection.ask(&request).await?;
    let answer = response.topics.first().and_then(|topic| topic.partitions.first());
    let answer = answer.ok_or_else(|| missing().of(format!("offsets of {topic} {partition}")))?;
    read(topic, answer)
}

fn missing() -> Refused {
    let message = Some("the broker did not answer for it".to_owned());
    Refused { code: ErrorCode::UNKNOWN_SERVER_ERROR, message }
}

fn request(
    topic: &str,
    partitions: impl Iterator<Item = (PartitionIndex, LeaderEpoch)>,
    spec: OffsetSpec,
    isolation: Isolation,
) -> ListOffsetsRequest {
    let partition = |(partition_index, current_leader_epoch)| ListOffsetsPartition {
        partition_index,
        current_leader_epoch,
        timestamp: spec.timestamp(),
    };
    let partitions = partitions.map(partition).collect();
    ListOffsetsRequest {
        replica_id: NodeId::NONE,
        isolation_level: isolation.number(),
        topics: vec![ListOffsetsTopic { name: topic.into(), partitions }],
        ..Default::default()
    }
}

fn read(topic: &str, answer: &ListOffsetsPartitionResponse) -> Result<FoundOffset, ClientError> {
    let what = || format!("offsets of {topic} {}", answer.partition_index);
    Refused::check(answer.error_code, None).map_err(|refused| refused.of(what()))?;
    Ok(FoundOffset {
        offset: answer.offset,
        timestamp: answer.timestamp,
        leader_epoch: answer.leader_epoch,
    })
}
