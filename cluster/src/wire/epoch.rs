//! BeginQuorumEpoch (53) and EndQuorumEpoch (54).

use milena_protocol::api::begin_quorum_epoch::{
    BeginQuorumEpochLeaderEndpoint, BeginQuorumEpochNodeEndpoint, BeginQuorumEpochPartition,
    BeginQuorumEpochPartitionResponse, BeginQuorumEpochRequest as BeginCarrier,
    BeginQuorumEpochResponse, BeginQuorumEpochTopic, BeginQuorumEpochTopicResponse,
};
use milena_protocol::api::end_quorum_epoch::{
    EndQuorumEpochCandidate, EndQuorumEpochNodeEndpoint, EndQuorumEpochPartition,
    EndQuorumEpochPartitionResponse, EndQuorumEpochRequest as EndCarrier, EndQuorumEpochResponse,
    EndQuorumEpochTopic, EndQuorumEpochTopicResponse,
};
use milena_protocol::error_code::ErrorCode;

use super::{
    BadAnswer, Carried, Link, PARTITION, TOPIC, check_cluster, endpoint, is_metadata_log,
    leader_endpoint, only, other_topic, refused,
};
use crate::quorum::{
    BeginQuorumEpochRequest, EndQuorumEpochRequest, Endpoint, ReplicaKey, Response, ResponseBody,
};

impl Carried for BeginQuorumEpochRequest {
    type Carrier = BeginCarrier;

    fn carry(&self, link: &Link) -> BeginCarrier {
        let partition = BeginQuorumEpochPartition {
            partition_index: PARTITION,
            voter_directory_id: self.voter.directory_id,
            leader_id: self.leader,
            leader_epoch: self.epoch,
        };
        let topic = BeginQuorumEpochTopic { topic_name: TOPIC.into(), partitions: vec![partition] };
        let place = |at: &Endpoint| BeginQuorumEpochLeaderEndpoint {
            name: at.name.as_str().into(),
            host: at.host.as_str().into(),
            port: at.port,
        };
        BeginCarrier {
            cluster_id: Some(link.cluster_id.clone()),
            voter_id: self.voter.id,
            topics: vec![topic],
            leader_endpoints: self.endpoints.iter().map(place).collect(),
        }
    }

    fn unpack(carrier: BeginCarrier, link: &Link) -> Result<Self, ErrorCode> {
        check_cluster(carrier.cluster_id.as_ref(), link)?;
        let topic = only(carrier.topics).ok_or(ErrorCode::INVALID_REQUEST)?;
        let partition = only(topic.partitions)
            .filter(|partition| is_metadata_log(&topic.topic_name, partition.partition_index))
            .ok_or(ErrorCode::INVALID_REQUEST)?;
        let place = |at: &BeginQuorumEpochLeaderEndpoint| Endpoint {
            name: at.name.to_string(),
            host: at.host.to_string(),
            port: at.port,
        };
        Ok(Self {
            voter: ReplicaKey { id: carrier.voter_id, directory_id: partition.voter_directory_id },
            leader: partition.leader_id,
            epoch: partition.leader_epoch,
            endpoints: carrier.leader_endpoints.iter().map(place).collect(),
        })
    }

    fn carry_answer(response: &Response, link: &Link) -> BeginQuorumEpochResponse {
        let partition = BeginQuorumEpochPartitionResponse {
            partition_index: PARTITION,
            error_code: response.error,
            leader_id: response.leader,
            leader_epoch: response.epoch,
        };
        let node = leader_endpoint(response, link).map(|at| BeginQuorumEpochNodeEndpoint {
            node_id: response.leader,
            host: at.host.as_str().into(),
            port: at.port,
        });
        BeginQuorumEpochResponse {
            error_code: ErrorCode::NONE,
            topics: vec![BeginQuorumEpochTopicResponse {
                topic_name: TOPIC.into(),
                partitions: vec![partition],
            }],
            node_endpoints: node.into_iter().collect(),
        }
    }

    fn refuse(error_code: ErrorCode) -> BeginQuorumEpochResponse {
        BeginQuorumEpochResponse { error_code, ..Default::default() }
    }

    fn unpack_answer(answer: BeginQuorumEpochResponse, link: &Link) -> Result<Response, BadAnswer> {
        if !answer.error_code.is_none() {
            return Ok(refused(answer.error_code, ResponseBody::BeginQuorumEpoch));
        }
        let topic = only(answer.topics).ok_or_else(other_topic)?;
        let partition = only(topic.partitions)
            .filter(|partition| is_metadata_log(&topic.topic_name, partition.partition_index))
            .ok_or_else(other_topic)?;
        let nodes = answer.node_endpoints.iter();
        Ok(Response {
            error: partition.error_code,
            epoch: partition.leader_epoch,
            leader: partition.leader_id,
            leader_endpoints: nodes
                .filter(|node| node.node_id == partition.leader_id)
                .map(|node| endpoint(link, &node.host, node.port))
                .collect(),
            body: ResponseBody::BeginQuorumEpoch,
        })
    }
}

impl Carried for EndQuorumEpochRequest {
    type Carrier = EndCarrier;

    fn carry(&self, link: &Link) -> EndCarrier {
        let candidate = |key: &ReplicaKey| EndQuorumEpochCandidate {
            candidate_id: key.id,
            candidate_directory_id: key.directory_id,
        };
        let partition = EndQuorumEpochPartition {
            partition_index: PARTITION,
            leader_id: self.leader,
            leader_epoch: self.epoch,
            preferred_candidates: self.preferred.iter().map(candidate).collect(),
            ..Default::default()
        };
        let topic = EndQuorumEpochTopic { topic_name: TOPIC.into(), partitions: vec![partition] };
        EndCarrier {
            cluster_id: Some(link.cluster_id.clone()),
            topics: vec![topic],
            ..Default::default()
        }
    }

    fn unpack(carrier: EndCarrier, link: &Link) -> Result<Self, ErrorCode> {
        check_cluster(carrier.cluster_id.as_ref(), link)?;
        let topic = only(carrier.topics).ok_or(ErrorCode::INVALID_REQUEST)?;
        let partition = only(topic.partitions)
            .filter(|partition| is_metadata_log(&topic.topic_name, partition.partition_index))
            .ok_or(ErrorCode::INVALID_REQUEST)?;
        let key = |candidate: &EndQuorumEpochCandidate| ReplicaKey {
            id: candidate.candidate_id,
            directory_id: candidate.candidate_directory_id,
        };
        Ok(Self {
            leader: partition.leader_id,
            epoch: partition.leader_epoch,
            preferred: partition.preferred_candidates.iter().map(key).collect(),
        })
    }

    fn carry_answer(response: &Response, link: &Link) -> EndQuorumEpochResponse {
        let partition = EndQuorumEpochPartitionResponse {
            partition_index: PARTITION,
            error_code: response.error,
            leader_id: response.leader,
            leader_epoch: response.epoch,
        };
        let node = leader_endpoint(response, link).map(|at| EndQuorumEpochNodeEndpoint {
            node_id: response.leader,
            host: at.host.as_str().into(),
            port: at.port,
        });
        EndQuorumEpochResponse {
            error_code: ErrorCode::NONE,
            topics: vec![EndQuorumEpochTopicResponse {
                topic_name: TOPIC.into(),
                partitions: vec![partition],
            }],
            node_endpoints: node.into_iter().collect(),
        }
    }

    fn refuse(error_code: ErrorCode) -> EndQuorumEpochResponse {
        EndQuorumEpochResponse { error_code, ..Default::default() }
    }

    fn unpack_answer(answer: EndQuorumEpochResponse, link: &Link) -> Result<Response, BadAnswer> {
        if !answer.error_code.is_none() {
            return Ok(refused(answer.error_code, ResponseBody::EndQuorumEpoch));
        }
        let topic = only(answer.topics).ok_or_else(other_topic)?;
        let partition = only(topic.partitions)
            .filter(|partition| is_metadata_log(&topic.topic_name, partition.partition_index))
            .ok_or_else(other_topic)?;
        let nodes = answer.node_endpoints.iter();
        Ok(Response {
            error: partition.error_code,
            epoch: partition.leader_epoch,
            leader: partition.leader_id,
            leader_endpoints: nodes
                .filter(|node| node.node_id == partition.leader_id)
                .map(|node| endpoint(link, &node.host, node.port))
                .collect(),
            body: ResponseBody::EndQuorumEpoch,
        })
    }
}
