//! AddRaftVoter (80), versions 0–1, and RemoveRaftVoter (81), version 0: who votes in the metadata
//! quorum (KIP-853, KIP-1186).
//!
//! A node that formed a quorum of its own has its vote from its configuration; the first change
//! puts the voters into the log. Configured voters are changed only once someone has raised
//! `kraft.version`, as in Apache Kafka.

use std::sync::Arc;
use std::time::Duration;

use milena_cluster::quorum::{self, AddVoterRequest, DYNAMIC_VOTERS, RemoveVoterRequest};
use milena_cluster::wire::Carried;
use milena_protocol::api::Request;
use milena_protocol::api::add_raft_voter::{AddRaftVoterRequest, AddRaftVoterResponse};
use milena_protocol::api::remove_raft_voter::{RemoveRaftVoterRequest, RemoveRaftVoterResponse};
use milena_protocol::error_code::ErrorCode;
use tokio::time::{Instant, sleep};

use super::forward;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// How long a change may wait for the one before it, or a voter may take to catch up. Requests
/// that are passed on wait behind each other, so it is short.
const PATIENCE: Duration = Duration::from_secs(1);
/// The rest between two looks at it.
const REST: Duration = Duration::from_millis(20);

/// Adds a voter.
pub async fn add(
    broker: Arc<Broker>,
    context: Context,
    request: AddRaftVoterRequest,
) -> AddRaftVoterResponse {
    let decide = |broker: Arc<Broker>, context, request| async move {
        change::<AddVoterRequest>(&broker, &context, request, quorum::Request::AddVoter).await
    };
    forward::at_the_controller(broker, context, request, decide).await
}

/// Removes a voter.
pub async fn remove(
    broker: Arc<Broker>,
    context: Context,
    request: RemoveRaftVoterRequest,
) -> RemoveRaftVoterResponse {
    let decide = |broker: Arc<Broker>, context, request| async move {
        let to_request = quorum::Request::RemoveVoter;
        change::<RemoveVoterRequest>(&broker, &context, request, to_request).await
    };
    forward::at_the_controller(broker, context, request, decide).await
}

async fn change<M: Carried + Clone>(
    broker: &Broker,
    context: &Context,
    carrier: M::Carrier,
    to_request: fn(M) -> quorum::Request,
) -> <M::Carrier as Request>::Response {
    let principal = &context.peer.principal;
    if !broker.authorizer.allows(principal, Operation::Alter, Resource::Cluster) {
        return M::refuse(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
    }
    let message = match M::unpack(carrier, &broker.quorum_link) {
        Ok(message) => message,
        Err(code) => return M::refuse(code),
    };
    if let Err(code) = upgrade(broker).await {
        return M::refuse(code);
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let response = match broker.controller.ask(to_request(message.clone())).await {
            Ok(response) => response,
            Err(code) => return M::refuse(code),
        };
        if response.error != ErrorCode::REQUEST_TIMED_OUT || Instant::now() >= deadline {
            return M::carry_answer(&response, &broker.quorum_link);
        }
        sleep(REST).await;
    }
}

/// Puts the voter of a quorum that nobody has configured into the log, where it does not stand
/// there yet.
async fn upgrade(broker: &Broker) -> Result<(), ErrorCode> {
    let view = broker.controller.quorum();
    let is_own = broker.config.quorum.voters.is_empty() && view.is_leading;
    if !is_own || view.kraft_version >= DYNAMIC_VOTERS {
        return Ok(());
    }
    broker.controller.upgrade_kraft_version(DYNAMIC_VOTERS).await
}
