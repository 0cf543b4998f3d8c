//! Vote (52).

use milena_protocol::api::vote::{
    VoteNodeEndpoint, VotePartition, VotePartitionResponse, VoteRequest as Carrier, VoteResponse,
    VoteTopic, VoteTopicResponse,
};
use milena_protocol::error_code::ErrorCode;

use super::{
    BadAnswer, Carried, Link, PARTITION, TOPIC, check_cluster, endpoint, is_metadata_log,
    leader_endpoint, only, other_topic, received_epoch, refused, sent_epoch,
};
use crate::quorum::{ReplicaKey, Response, ResponseBody, VoteRequest};

impl Carried for VoteRequest {
    type Carrier = Carrier;

    fn carry(&self, link: &Link) -> Carrier {
        let partition = VotePartition {
            partition_index: PARTITION,
            replica_epoch: self.epoch,
            replica_id: self.candidate.id,
            replica_directory_id: self.candidate.directory_id,
            voter_directory_id: self.voter.directory_id,
            last_offset_epoch: sent_epoch(self.last_epoch),
            last_offset: self.end_offset,
            pre_vote: self.pre_vote,
        };
        let topic = VoteTopic { topic_name: TOPIC.into(), partitions: vec![partition] };
        Carrier {
            cluster_id: Some(link.cluster_id.clone()),
            voter_id: self.voter.id,
            topics: vec![topic],
        }
    }

    fn unpack(carrier: Carrier, link: &Link) -> Result<Self, ErrorCode> {
        check_cluster(carrier.cluster_id.as_ref(), link)?;
        let topic = only(carrier.topics).ok_or(ErrorCode::INVALID_REQUEST)?;
        let partition = only(topic.partitions)
            .filter(|partition| is_metadata_log(&topic.topic_name, partition.partition_index))
            .ok_or(ErrorCode::INVALID_REQUEST)?;
        let key = |id, directory_id| ReplicaKey { id, directory_id };
        Ok(Self {
            voter: key(carrier.voter_id, partition.voter_directory_id),
            candidate: key(partition.replica_id, partition.replica_directory_id),
            epoch: partition.replica_epoch,
            last_epoch: received_epoch(partition.last_offset_epoch, partition.last_offset),
            end_offset: partition.last_offset,
            pre_vote: partition.pre_vote,
        })
    }

    fn carry_answer(response: &Response, link: &Link) -> VoteResponse {
        let partition = VotePartitionResponse {
            partition_index: PARTITION,
            error_code: response.error,
            leader_id: response.leader,
            leader_epoch: response.epoch,
            vote_granted: matches!(response.body, ResponseBody::Vote { granted: true }),
        };
        let node = leader_endpoint(response, link).map(|at| VoteNodeEndpoint {
            node_id: response.leader,
            host: at.host.as_str().into(),
            port: at.port,
        });
        VoteResponse {
            error_code: ErrorCode::NONE,
            topics: vec![VoteTopicResponse {
                topic_name: TOPIC.into(),
                partitions: vec![partition],
            }],
            node_endpoints: node.into_iter().collect(),
        }
    }

    fn refuse(error_code: ErrorCode) -> VoteResponse {
        VoteResponse { error_code, ..Default::default() }
    }

    fn unpack_answer(answer: VoteResponse, link: &Link) -> Result<Response, BadAnswer> {
        if !answer.error_code.is_none() {
            return Ok(refused(answer.error_code, ResponseBody::Vote { granted: false }));
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
            body: ResponseBody::Vote { granted: partition.vote_granted },
        })
    }
}
