//! FetchSnapshot (59).

use milena_protocol::api::fetch_snapshot::{
    FetchSnapshotCurrentLeader, FetchSnapshotNodeEndpoint, FetchSnapshotPartition,
    FetchSnapshotPartitionResponse, FetchSnapshotRequest as Carrier,
    FetchSnapshotRequestSnapshotId, FetchSnapshotResponse, FetchSnapshotResponseSnapshotId,
    FetchSnapshotTopic, FetchSnapshotTopicResponse,
};
use milena_protocol::codec::Records;
use milena_protocol::error_code::ErrorCode;

use super::{
    BadAnswer, Carried, Link, PARTITION, TOPIC, check_cluster, endpoint, is_metadata_log,
    leader_endpoint, only, other_topic, refused,
};
use crate::quorum::{
    FetchSnapshotRequest, Fetched, Piece, ReplicaKey, Response, ResponseBody, SnapshotId,
};

impl Carried for FetchSnapshotRequest {
    type Carrier = Carrier;

    fn carry(&self, link: &Link) -> Carrier {
        let SnapshotId { end_offset, epoch } = self.snapshot;
        let partition = FetchSnapshotPartition {
            partition: PARTITION,
            current_leader_epoch: self.epoch,
            snapshot_id: FetchSnapshotRequestSnapshotId { end_offset, epoch },
            position: i64::try_from(self.position).unwrap_or(i64::MAX),
            replica_directory_id: self.replica.directory_id,
        };
        Carrier {
            cluster_id: Some(link.cluster_id.clone()),
            replica_id: self.replica.id,
            max_bytes: i32::try_from(self.max_bytes).unwrap_or(i32::MAX),
            topics: vec![FetchSnapshotTopic { name: TOPIC.into(), partitions: vec![partition] }],
        }
    }

    fn unpack(carrier: Carrier, link: &Link) -> Result<Self, ErrorCode> {
        check_cluster(carrier.cluster_id.as_ref(), link)?;
        let topic = only(carrier.topics).ok_or(ErrorCode::INVALID_REQUEST)?;
        let partition = only(topic.partitions)
            .filter(|partition| is_metadata_log(&topic.name, partition.partition))
            .ok_or(ErrorCode::INVALID_REQUEST)?;
        let FetchSnapshotRequestSnapshotId { end_offset, epoch } = partition.snapshot_id;
        Ok(Self {
            replica: ReplicaKey {
                id: carrier.replica_id,
                directory_id: partition.replica_directory_id,
            },
            epoch: partition.current_leader_epoch,
            snapshot: SnapshotId { end_offset, epoch },
            position: u64::try_from(partition.position)
                .map_err(|_| ErrorCode::POSITION_OUT_OF_RANGE)?,
            max_bytes: carrier.max_bytes.max(0) as usize,
        })
    }

    fn carry_answer(response: &Response, link: &Link) -> FetchSnapshotResponse {
        let mut partition = FetchSnapshotPartitionResponse {
            index: PARTITION,
            error_code: response.error,
            current_leader: FetchSnapshotCurrentLeader {
                leader_id: response.leader,
                leader_epoch: response.epoch,
            },
            ..Default::default()
        };
        if let ResponseBody::FetchSnapshot(piece) = &response.body {
            let SnapshotId { end_offset, epoch } = piece.snapshot;
            partition.snapshot_id = FetchSnapshotResponseSnapshotId { end_offset, epoch };
            partition.size = i64::try_from(piece.size).unwrap_or(i64::MAX);
            partition.position = i64::try_from(piece.position).unwrap_or(i64::MAX);
            partition.unaligned_records = Records(piece.bytes.clone());
        }
        let node = leader_endpoint(response, link).map(|at| FetchSnapshotNodeEndpoint {
            node_id: response.leader,
            host: at.host.as_str().into(),
            port: at.port,
        });
        FetchSnapshotResponse {
            topics: vec![FetchSnapshotTopicResponse {
                name: TOPIC.into(),
                partitions: vec![partition],
            }],
            node_endpoints: node.into_iter().collect(),
            ..Default::default()
        }
    }

    fn refuse(error_code: ErrorCode) -> FetchSnapshotResponse {
        FetchSnapshotResponse { error_code, ..Default::default() }
    }

    fn unpack_answer(answer: FetchSnapshotResponse, link: &Link) -> Result<Response, BadAnswer> {
        if !answer.error_code.is_none() {
            // Both kinds of fetch are answered alike.
            return Ok(refused(answer.error_code, ResponseBody::Fetch(Fetched::Nothing)));
        }
        let topic = only(answer.topics).ok_or_else(other_topic)?;
        let partition = only(topic.partitions)
            .filter(|partition| is_metadata_log(&topic.name, partition.index))
            .ok_or_else(other_topic)?;
        let number = |what: &str, number: i64| {
            u64::try_from(number).map_err(|_| BadAnswer(format!("{what} {number} of a snapshot")))
        };
        let FetchSnapshotResponseSnapshotId { end_offset, epoch } = partition.snapshot_id;
        let leader = &partition.current_leader;
        let nodes = answer.node_endpoints.iter();
        Ok(Response {
            error: partition.error_code,
            epoch: leader.leader_epoch,
            leader: leader.leader_id,
            leader_endpoints: nodes
                .filter(|node| node.node_id == leader.leader_id)
                .map(|node| endpoint(link, &node.host, node.port))
                .collect(),
            body: ResponseBody::FetchSnapshot(Piece {
                snapshot: SnapshotId { end_offset, epoch },
                size: number("size", partition.size)?,
                position: number("position", partition.position)?,
                bytes: partition.unaligned_records.0,
            }),
        })
    }
}
