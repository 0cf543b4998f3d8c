//! UpdateRaftVoter (82), which a voter sends by itself.

use milena_protocol::api::update_raft_voter::{
    UpdateRaftVoterCurrentLeader, UpdateRaftVoterKRaftVersionFeature, UpdateRaftVoterListener,
    UpdateRaftVoterRequest as Carrier, UpdateRaftVoterResponse,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;

use super::{BadAnswer, Carried, Link, check_cluster, endpoint, leader_endpoint};
use crate::quorum::{Endpoint, ReplicaKey, Response, ResponseBody, UpdateVoterRequest, Voter};

impl Carried for UpdateVoterRequest {
    type Carrier = Carrier;

    fn carry(&self, link: &Link) -> Carrier {
        let listener = |at: &Endpoint| UpdateRaftVoterListener {
            name: at.name.as_str().into(),
            host: at.host.as_str().into(),
            port: at.port,
        };
        let (min, max) = self.voter.kraft_versions;
        Carrier {
            cluster_id: Some(link.cluster_id.clone()),
            current_leader_epoch: self.epoch,
            voter_id: self.voter.key.id,
            voter_directory_id: self.voter.key.directory_id,
            listeners: self.voter.endpoints.iter().map(listener).collect(),
            kraft_version_feature: UpdateRaftVoterKRaftVersionFeature {
                min_supported_version: min,
                max_supported_version: max,
            },
        }
    }

    fn unpack(carrier: Carrier, link: &Link) -> Result<Self, ErrorCode> {
        check_cluster(carrier.cluster_id.as_ref(), link)?;
        let endpoint = |at: &UpdateRaftVoterListener| Endpoint {
            name: at.name.to_string(),
            host: at.host.to_string(),
            port: at.port,
        };
        let levels = carrier.kraft_version_feature;
        Ok(Self {
            epoch: carrier.current_leader_epoch,
            voter: Voter {
                key: ReplicaKey { id: carrier.voter_id, directory_id: carrier.voter_directory_id },
                endpoints: carrier.listeners.iter().map(endpoint).collect(),
                kraft_versions: (levels.min_supported_version, levels.max_supported_version),
            },
        })
    }

    fn carry_answer(response: &Response, link: &Link) -> UpdateRaftVoterResponse {
        let at = leader_endpoint(response, link);
        UpdateRaftVoterResponse {
            throttle_time_ms: 0,
            error_code: response.error,
            current_leader: UpdateRaftVoterCurrentLeader {
                leader_id: response.leader,
                leader_epoch: response.epoch,
                host: at.map_or_else(Text::default, |at| at.host.as_str().into()),
                port: at.map_or(0, |at| i32::from(at.port)),
            },
        }
    }

    fn refuse(error_code: ErrorCode) -> UpdateRaftVoterResponse {
        UpdateRaftVoterResponse { error_code, ..Default::default() }
    }

    fn unpack_answer(answer: UpdateRaftVoterResponse, link: &Link) -> Result<Response, BadAnswer> {
        let leader = answer.current_leader;
        let port = u16::try_from(leader.port).ok().filter(|port| *port > 0);
        Ok(Response {
            error: answer.error_code,
            epoch: leader.leader_epoch,
            leader: leader.leader_id,
            leader_endpoints: port
                .map(|port| endpoint(link, &leader.host, port))
                .into_iter()
                .collect(),
            body: ResponseBody::UpdateVoter,
        })
    }
}
