//! Asking leaders for offsets: where logs begin and end, what was written when.

use milena_protocol::api::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsTopic,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex, Timestamp};

use crate::client::Client;
use crate::error::{ClientError, Refused};

/// Which records are handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// All up to the high watermark.
    #[default]
    ReadUncommitted,
    /// Those that belong to no transaction or to a committed one.
    ReadCommitted,
}

impl Isolation {
    /// The number in a request.
    #[must_use]
    pub const fn number(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

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

pub(crate) fn missing() -> Refused {
    let message = Some("the broker did not answer for it".to_owned());
    Refused { code: ErrorCode::UNKNOWN_SERVER_ERROR, message }
}

pub(crate) fn request(
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

pub(crate) fn read(
    topic: &str,
    answer: &ListOffsetsPartitionResponse,
) -> Result<FoundOffset, ClientError> {
    let what = || format!("offsets of {topic} {}", answer.partition_index);
    Refused::check(answer.error_code, None).map_err(|refused| refused.of(what()))?;
    Ok(FoundOffset {
        offset: answer.offset,
        timestamp: answer.timestamp,
        leader_epoch: answer.leader_epoch,
    })
}
