//! The requests of the metadata quorum, between its members: Vote (52), BeginQuorumEpoch (53),
//! EndQuorumEpoch (54), FetchSnapshot (59), UpdateRaftVoter (82), and Fetch (1) where it is about
//! the metadata log. The member on this node answers; here is only how it is asked.

use std::sync::Arc;

use milena_cluster::quorum;
use milena_cluster::wire::{Carried, TOPIC_ID};
use milena_protocol::api::Request;
use milena_protocol::api::fetch::FetchRequest;
use milena_protocol::error_code::ErrorCode;

use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Puts a request to this node's member of the quorum.
pub async fn relay<M: Carried>(
    broker: Arc<Broker>,
    context: Context,
    carrier: M::Carrier,
    to_request: fn(M) -> quorum::Request,
) -> <M::Carrier as Request>::Response {
    let principal = &context.peer.principal;
    if !broker.authorizer.allows(principal, Operation::ClusterAction, Resource::Cluster) {
        return M::refuse(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
    }
    let message = match M::unpack(carrier, &broker.quorum_link) {
        Ok(message) => message,
        Err(code) => return M::refuse(code),
    };
    match broker.controller.ask(to_request(message)).await {
        Ok(response) => M::carry_answer(&response, &broker.quorum_link),
        Err(code) => M::refuse(code),
    }
}

/// Whether a fetch is a member's, for the metadata log.
#[must_use]
pub fn is_of_the_quorum(request: &FetchRequest) -> bool {
    request.topics.iter().any(|topic| topic.topic_id == TOPIC_ID)
}
