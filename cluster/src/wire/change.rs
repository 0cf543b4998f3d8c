//! AddRaftVoter (80) and RemoveRaftVoter (81): what administrators ask, and nodes that want to vote
//! (KIP-853, KIP-1186). Their answers say nothing about the leader.

use milena_protocol::api::add_raft_voter::{
    AddRaftVoterListener, AddRaftVoterRequest, AddRaftVoterResponse,
};
use milena_protocol::api::remove_raft_voter::{RemoveRaftVoterRequest, RemoveRaftVoterResponse};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;

use super::{BadAnswer, Carried, Link, check_cluster, refused};
use crate::quorum::{
    AddVoterRequest, Endpoint, KRAFT_VERSIONS, RemoveVoterRequest, ReplicaKey, Response,
    ResponseBody, Voter,
};

/// How long Apache Kafka lets an added voter take to catch up.
const TIMEOUT_MS: i32 = 1_000;

impl Carried for AddVoterRequest {
    type Carrier = AddRaftVoterRequest;

    fn carry(&self, link: &Link) -> AddRaftVoterRequest {
        let listener = |at: &Endpoint| AddRaftVoterListener {
            name: at.name.as_str().into(),
            host: at.host.as_str().into(),
            port: at.port,
        };
        AddRaftVoterRequest {
            cluster_id: Some(link.cluster_id.clone()),
            timeout_ms: TIMEOUT_MS,
            voter_id: self.voter.key.id,
            voter_directory_id: self.voter.key.directory_id,
            listeners: self.voter.endpoints.iter().map(listener).collect(),
            ack_when_committed: self.ack_when_committed,
        }
    }

    /// The request does not say at which levels of `kraft.version` the voter can run; its update
    /// does, once it votes. Whoever sends this knows the level from which voters can be added.
    fn unpack(carrier: AddRaftVoterRequest, link: &Link) -> Result<Self, ErrorCode> {
        check_cluster(carrier.cluster_id.as_ref(), link)?;
        let endpoint = |at: &AddRaftVoterListener| Endpoint {
            name: at.name.to_string(),
            host: at.host.to_string(),
            port: at.port,
        };
        let is_whole = carrier.voter_id.0 >= 0 && !carrier.voter_directory_id.is_reserved();
        if !is_whole || carrier.listeners.is_empty() {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        Ok(Self {
            voter: Voter {
                key: ReplicaKey { id: carrier.voter_id, directory_id: carrier.voter_directory_id },
                endpoints: carrier.listeners.iter().map(endpoint).collect(),
                kraft_versions: KRAFT_VERSIONS,
            },
            ack_when_committed: carrier.ack_when_committed,
        })
    }

    fn carry_answer(response: &Response, _: &Link) -> AddRaftVoterResponse {
        Self::refuse(response.error)
    }

    fn refuse(error_code: ErrorCode) -> AddRaftVoterResponse {
        AddRaftVoterResponse {
            throttle_time_ms: 0,
            error_code,
            error_message: explained(error_code),
        }
    }

    fn unpack_answer(answer: AddRaftVoterResponse, _: &Link) -> Result<Response, BadAnswer> {
        Ok(refused(answer.error_code, ResponseBody::AddVoter))
    }
}

impl Carried for RemoveVoterRequest {
    type Carrier = RemoveRaftVoterRequest;

    fn carry(&self, link: &Link) -> RemoveRaftVoterRequest {
        RemoveRaftVoterRequest {
            cluster_id: Some(link.cluster_id.clone()),
            voter_id: self.voter.id,
            voter_directory_id: self.voter.directory_id,
        }
    }

    fn unpack(carrier: RemoveRaftVoterRequest, link: &Link) -> Result<Self, ErrorCode> {
        check_cluster(carrier.cluster_id.as_ref(), link)?;
        if carrier.voter_id.0 < 0 || carrier.voter_directory_id.is_reserved() {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let voter = ReplicaKey { id: carrier.voter_id, directory_id: carrier.voter_directory_id };
        Ok(Self { voter })
    }

    fn carry_answer(response: &Response, _: &Link) -> RemoveRaftVoterResponse {
        Self::refuse(response.error)
    }

    fn refuse(error_code: ErrorCode) -> RemoveRaftVoterResponse {
        RemoveRaftVoterResponse {
            throttle_time_ms: 0,
            error_code,
            error_message: explained(error_code),
        }
    }

    fn unpack_answer(answer: RemoveRaftVoterResponse, _: &Link) -> Result<Response, BadAnswer> {
        Ok(refused(answer.error_code, ResponseBody::RemoveVoter))
    }
}

/// Why voters are not changed, for people.
fn explained(error: ErrorCode) -> Option<Text> {
    let sentence = match error {
        ErrorCode::DUPLICATE_VOTER => "a node with this id votes already",
        ErrorCode::VOTER_NOT_FOUND => {
            "no voter has this id and directory, or it is the last one that is left"
        }
        ErrorCode::REQUEST_TIMED_OUT => {
            "the voter has not caught up with the metadata log, or another change is not committed"
        }
        ErrorCode::UNSUPPORTED_VERSION => {
            "the voters are configured: raise kraft.version to 1, and they can be changed"
        }
        ErrorCode::INVALID_REQUEST => {
            "the request names no node, directory or listener that could vote"
        }
        ErrorCode::INCONSISTENT_CLUSTER_ID => "the request is about another cluster",
        _ => return None,
    };
    Some(Text::from_static(sentence))
}
