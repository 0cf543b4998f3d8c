//! Fetch (1) between members: the metadata log by its topic id, outside of sessions.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use milena_protocol::api::fetch::{
    FetchCurrentLeader, FetchEpochEndOffset, FetchNodeEndpoint, FetchPartition,
    FetchPartitionResponse, FetchReplicaState, FetchRequest as Carrier, FetchResponse,
    FetchSnapshotId, FetchTopic, FetchTopicResponse,
};
use milena_protocol::codec::Records;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, Offset};

use super::{
    BadAnswer, Carried, Link, PARTITION, TOPIC_ID, check_cluster, endpoint, leader_endpoint, only,
    other_topic, received_epoch, refused, sent_epoch,
};
use crate::metadata::batch;
use crate::quorum::{Batch, FetchRequest, Fetched, ReplicaKey, Response, ResponseBody, SnapshotId};

/// A high watermark that nobody said.
const UNSAID: Offset = Offset(i64::MAX);

impl Carried for FetchRequest {
    type Carrier = Carrier;

    fn carry(&self, link: &Link) -> Carrier {
        let max_bytes = i32::try_from(self.max_bytes).unwrap_or(i32::MAX);
        let partition = FetchPartition {
            partition: PARTITION,
            current_leader_epoch: self.epoch,
            fetch_offset: self.fetch_offset,
            last_fetched_epoch: sent_epoch(self.last_epoch),
            log_start_offset: Offset::ZERO,
            partition_max_bytes: max_bytes,
            replica_directory_id: self.replica.directory_id,
            high_watermark: self.high_watermark.unwrap_or(UNSAID),
        };
        Carrier {
            cluster_id: Some(link.cluster_id.clone()),
            replica_state: FetchReplicaState {
                replica_id: self.replica.id,
                replica_epoch: BrokerEpoch(-1),
            },
            max_wait_ms: i32::try_from(self.max_wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: 0,
            max_bytes,
            topics: vec![FetchTopic {
                topic_id: TOPIC_ID,
                partitions: vec![partition],
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    fn unpack(carrier: Carrier, link: &Link) -> Result<Self, ErrorCode> {
        check_cluster(carrier.cluster_id.as_ref(), link)?;
        let topic = only(carrier.topics)
            .filter(|topic| topic.topic_id == TOPIC_ID)
            .ok_or(ErrorCode::INVALID_REQUEST)?;
        let partition = only(topic.partitions)
            .filter(|partition| partition.partition == PARTITION)
            .ok_or(ErrorCode::INVALID_REQUEST)?;
        let max_bytes = carrier.max_bytes.min(partition.partition_max_bytes);
        Ok(Self {
            replica: ReplicaKey {
                id: carrier.replica_state.replica_id,
                directory_id: partition.replica_directory_id,
            },
            epoch: partition.current_leader_epoch,
            fetch_offset: partition.fetch_offset,
            last_epoch: received_epoch(partition.last_fetched_epoch, partition.fetch_offset),
            high_watermark: Some(partition.high_watermark).filter(|said| *said != UNSAID),
            max_wait: Duration::from_millis(carrier.max_wait_ms.max(0) as u64),
            max_bytes: max_bytes.max(0) as usize,
        })
    }

    fn carry_answer(response: &Response, link: &Link) -> FetchResponse {
        let mut partition = FetchPartitionResponse {
            partition_index: PARTITION,
            error_code: response.error,
            high_watermark: Offset::NONE,
            current_leader: FetchCurrentLeader {
                leader_id: response.leader,
                leader_epoch: response.epoch,
            },
            records: Some(Records(Bytes::new())),
            ..Default::default()
        };
        match &response.body {
            ResponseBody::Fetch(Fetched::Batches { high_watermark, batches }) => {
                partition.high_watermark = high_watermark.unwrap_or(Offset::NONE);
                partition.records = Some(Records(joined(batches)));
            }
            ResponseBody::Fetch(Fetched::Diverging { epoch, end_offset }) => {
                // Where the logs have nothing in common there is no epoch to name; none means that
                // they do not differ.
                let epoch = sent_epoch(*epoch);
                partition.diverging_epoch = FetchEpochEndOffset { epoch, end_offset: *end_offset };
            }
            ResponseBody::Fetch(Fetched::Snapshot(SnapshotId { end_offset, epoch })) => {
                partition.snapshot_id = FetchSnapshotId { end_offset: *end_offset, epoch: *epoch };
            }
            _ => {}
        }
        let node = leader_endpoint(response, link).map(|at| FetchNodeEndpoint {
            node_id: response.leader,
            host: at.host.as_str().into(),
            port: i32::from(at.port),
            rack: None,
        });
        FetchResponse {
            responses: vec![FetchTopicResponse {
                topic_id: TOPIC_ID,
                partitions: vec![partition],
                ..Default::default()
            }],
            node_endpoints: node.into_iter().collect(),
            ..Default::default()
        }
    }

    fn refuse(error_code: ErrorCode) -> FetchResponse {
        FetchResponse { error_code, ..Default::default() }
    }

    fn unpack_answer(answer: FetchResponse, link: &Link) -> Result<Response, BadAnswer> {
        if !answer.error_code.is_none() {
            return Ok(refused(answer.error_code, ResponseBody::Fetch(Fetched::Nothing)));
        }
        let topic = only(answer.responses)
            .filter(|topic| topic.topic_id == TOPIC_ID)
            .ok_or_else(other_topic)?;
        let partition = only(topic.partitions)
            .filter(|partition| partition.partition_index == PARTITION)
            .ok_or_else(other_topic)?;
        let leader = &partition.current_leader;
        let nodes = answer.node_endpoints.iter();
        Ok(Response {
            error: partition.error_code,
            epoch: leader.leader_epoch,
            leader: leader.leader_id,
            leader_endpoints: nodes
                .filter(|node| node.node_id == leader.leader_id)
                .filter_map(|node| {
                    let port = u16::try_from(node.port).ok()?;
                    Some(endpoint(link, &node.host, port))
                })
                .collect(),
            body: ResponseBody::Fetch(fetched(&partition)?),
        })
    }
}

fn joined(batches: &[Batch]) -> Bytes {
    if let [only] = batches {
        return only.bytes.clone();
    }
    let mut bytes = BytesMut::with_capacity(batches.iter().map(|batch| batch.bytes.len()).sum());
    batches.iter().for_each(|batch| bytes.extend_from_slice(&batch.bytes));
    bytes.freeze()
}

fn fetched(partition: &FetchPartitionResponse) -> Result<Fetched, BadAnswer> {
    if !partition.error_code.is_none() {
        return Ok(Fetched::Nothing);
    }
    if partition.diverging_epoch.epoch != LeaderEpoch::NONE {
        let FetchEpochEndOffset { epoch, end_offset } = partition.diverging_epoch;
        return Ok(Fetched::Diverging { epoch, end_offset });
    }
    if partition.snapshot_id.end_offset != Offset::NONE {
        let FetchSnapshotId { end_offset, epoch } = partition.snapshot_id;
        return Ok(Fetched::Snapshot(SnapshotId { end_offset, epoch }));
    }
    let high_watermark = Some(partition.high_watermark).filter(|known| known.0 >= 0);
    let bytes = partition.records.as_ref().map(|records| &records.0);
    let batches = bytes.map_or_else(|| Ok(Vec::new()), batch::of_quorum);
    let batches = batches.map_err(|error| BadAnswer(format!("damaged batch: {error}")))?;
    Ok(Fetched::Batches { high_watermark, batches })
}
