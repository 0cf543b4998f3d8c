//! The one place where a request meets its handler: version, authorisation, quota, handler, answer.
//!
//! What a handler needs no waiting for is answered at once, without a box or a task. A produce
//! appends here and now, in the order of its connection; only its acknowledgement may wait.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use milena_cluster::wire::Decided;
use milena_protocol::api::allocate_producer_ids::AllocateProducerIdsRequest;
use milena_protocol::api::alter_partition::AlterPartitionRequest;
use milena_protocol::api::alter_partition_reassignments::AlterPartitionReassignmentsRequest;
use milena_protocol::api::assign_replicas_to_dirs::AssignReplicasToDirsRequest;
use milena_protocol::api::controller_registration::ControllerRegistrationRequest;
use milena_protocol::api::elect_leaders::ElectLeadersRequest;
use milena_protocol::api::header::RequestHeader;
use milena_protocol::api::unregister_broker::UnregisterBrokerRequest;
use milena_protocol::api::{self, ApiKey, Request};
use milena_protocol::codec::Reader;

use super::verdict::Verdict;
use super::{api_versions, served};
use crate::broker::Broker;
use crate::request::{Answer, Context, Opened, Peer, Refusal, Scope};

/// An answer that has to be waited for.
pub type Later = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What became of a request when it began.
pub enum Begun {
    /// It is answered.
    Done(Answer),
    /// A produce has appended and waits for its acknowledgement.
    Produce(Later),
    /// Anything else that waits; it begins when it is first polled.
    Other(Later),
}

/// Reads a frame's header and decides whether the API is served.
///
/// # Errors
/// [`Refusal`] when the connection must be closed.
pub fn open(peer: &Arc<Peer>, frame: Bytes) -> Result<Opened, Refusal> {
    let frame_bytes = frame.len();
    let mut body = Reader::new(frame);
    let header = RequestHeader::read(&mut body).map_err(Refusal::Malformed)?;
    let key = ApiKey::from_number(header.api_key).ok_or(Refusal::UnknownApi(header.api_key))?;
    let is_for_peer = peer.is_forwarded || served::is_for(key, peer.scope);
    let Some(versions) = served::versions(key).filter(|_| is_for_peer) else {
        return Err(Refusal::UnknownApi(header.api_key));
    };
    // An ApiVersions of the future is answered: the client then asks in a version it is told.
    if !versions.contains(header.api_version) && key != ApiKey::ApiVersions {
        return Err(Refusal::UnsupportedVersion(key, header.api_version));
    }
    let context = Context {
        peer: peer.clone(),
        version: header.api_version,
        correlation_id: header.correlation_id,
        // In memory of its own: a produce that waits must not hold its frame.
        client_id: header.client_id.map(|id| id.detach()).unwrap_or_default(),
        received_at: Instant::now(),
        frame_bytes,
    };
    Ok(Opened { context, key, body })
}

/// Waits until clients are served, where the request is a client's: those of the quorum come first.
pub async fn ready(broker: &Broker, opened: &Opened) {
    let is_of_the_quorum = served::is_for(opened.key, Scope::Controllers);
    if !is_of_the_quorum {
        broker.readiness.ready().await;
    }
}

/// Begins a request.
///
/// # Errors
/// [`Refusal`] when the connection must be closed.
pub fn begin(broker: &Arc<Broker>, opened: Opened) -> Result<Begun, Refusal> {
    let key = opened.key;
    route(broker, opened).inspect_err(|_| broker.metrics.request_failed(key))
}

fn route(broker: &Arc<Broker>, opened: Opened) -> Result<Begun, Refusal> {
    use super::*;
    use milena_cluster::quorum::Request as Q;
    match opened.key {
        ApiKey::Produce => begin_produce(broker, opened),
        ApiKey::Fetch => later(broker, opened, fetch::handle),
        ApiKey::ListOffsets => later(broker, opened, list_offsets::handle),
        ApiKey::Metadata => later(broker, opened, metadata::handle),
        ApiKey::OffsetCommit => later(broker, opened, offset_commit::handle),
        ApiKey::OffsetFetch => later(broker, opened, offset_fetch::handle),
        ApiKey::FindCoordinator => later(broker, opened, find_coordinator::handle),
        ApiKey::JoinGroup => later(broker, opened, join_group::handle),
        ApiKey::Heartbeat => later(broker, opened, heartbeat::handle),
        ApiKey::LeaveGroup => later(broker, opened, leave_group::handle),
        ApiKey::SyncGroup => later(broker, opened, sync_group::handle),
        ApiKey::DescribeGroups => later(broker, opened, describe_groups::handle),
        ApiKey::ListGroups => later(broker, opened, list_groups::handle),
        ApiKey::DeleteGroups => later(broker, opened, delete_groups::handle),
        ApiKey::OffsetDelete => later(broker, opened, offset_delete::handle),
        ApiKey::ApiVersions => begin_api_versions(broker, opened),
        ApiKey::InitProducerId => later(broker, opened, init_producer_id::handle),
        ApiKey::AddPartitionsToTxn => later(broker, opened, add_partitions_to_txn::handle),
        ApiKey::AddOffsetsToTxn => later(broker, opened, add_offsets_to_txn::handle),
        ApiKey::EndTxn => later(broker, opened, end_txn::handle),
        ApiKey::WriteTxnMarkers => later(broker, opened, write_txn_markers::handle),
        ApiKey::DescribeTransactions => later(broker, opened, describe_transactions::handle),
        ApiKey::ListTransactions => later(broker, opened, list_transactions::handle),
        ApiKey::OffsetForLeaderEpoch => now(broker, opened, offset_for_leader_epoch::handle),
        ApiKey::CreateTopics => later(broker, opened, create_topics::handle),
        ApiKey::DeleteTopics => later(broker, opened, delete_topics::handle),
        ApiKey::DeleteRecords => later(broker, opened, delete_records::handle),
        ApiKey::TxnOffsetCommit => later(broker, opened, txn_offset_commit::handle),
        ApiKey::DescribeConfigs => later(broker, opened, describe_configs::handle),
        ApiKey::AlterConfigs => later(broker, opened, alter_configs::handle),
        ApiKey::DescribeLogDirs => later(broker, opened, describe_log_dirs::handle),
        ApiKey::CreatePartitions => later(broker, opened, create_partitions::handle),
        ApiKey::ElectLeaders => of_client::<ElectLeadersRequest>(broker, opened),
        ApiKey::IncrementalAlterConfigs => later(broker, opened, incremental_alter_configs::handle),
        ApiKey::ListPartitionReassignments => {
            later(broker, opened, list_partition_reassignments::handle)
        }
        ApiKey::DescribeQuorum => later(broker, opened, describe_quorum::handle),
        ApiKey::UpdateFeatures => later(broker, opened, update_features::handle),
        ApiKey::DescribeCluster => later(broker, opened, describe_cluster::handle),
        ApiKey::DescribeProducers => later(broker, opened, describe_producers::handle),
        ApiKey::ConsumerGroupHeartbeat => later(broker, opened, consumer_group_heartbeat::handle),
        ApiKey::ConsumerGroupDescribe => later(broker, opened, consumer_group_describe::handle),
        ApiKey::ListConfigResources => later(broker, opened, list_config_resources::handle),
        ApiKey::DescribeTopicPartitions => later(broker, opened, describe_topic_partitions::handle),
        ApiKey::Vote => later(broker, opened, |b, c, r| quorum::relay(b, c, r, Q::Vote)),
        ApiKey::BeginQuorumEpoch => {
            later(broker, opened, |b, c, r| quorum::relay(b, c, r, Q::BeginQuorumEpoch))
        }
        ApiKey::EndQuorumEpoch => {
            later(broker, opened, |b, c, r| quorum::relay(b, c, r, Q::EndQuorumEpoch))
        }
        ApiKey::FetchSnapshot => {
            later(broker, opened, |b, c, r| quorum::relay(b, c, r, Q::FetchSnapshot))
        }
        ApiKey::UpdateRaftVoter => {
            later(broker, opened, |b, c, r| quorum::relay(b, c, r, Q::UpdateVoter))
        }
        ApiKey::AddRaftVoter => later(broker, opened, voters::add),
        ApiKey::RemoveRaftVoter => later(broker, opened, voters::remove),
        ApiKey::BrokerRegistration => later(broker, opened, decided::registration),
        ApiKey::BrokerHeartbeat => later(broker, opened, decided::heartbeat),
        ApiKey::AlterPartition => of_node::<AlterPartitionRequest>(broker, opened),
        ApiKey::AllocateProducerIds => of_node::<AllocateProducerIdsRequest>(broker, opened),
        ApiKey::ControllerRegistration => of_node::<ControllerRegistrationRequest>(broker, opened),
        ApiKey::AssignReplicasToDirs => of_node::<AssignReplicasToDirsRequest>(broker, opened),
        ApiKey::UnregisterBroker => of_client::<UnregisterBrokerRequest>(broker, opened),
        ApiKey::AlterPartitionReassignments => {
            of_client::<AlterPartitionReassignmentsRequest>(broker, opened)
        }
        ApiKey::Envelope => later(broker, opened, envelope::handle),
        key => Err(Refusal::UnknownApi(key.number())),
    }
}

/// Runs a handler that needs no waiting.
fn now<R>(
    broker: &Arc<Broker>,
    opened: Opened,
    handle: impl FnOnce(&Broker, &Context, R) -> R::Response,
) -> Result<Begun, Refusal>
where
    R: Request,
    R::Response: Verdict,
{
    let Opened { context, body, .. } = opened;
    let request = context.decode::<R>(body)?;
    let response = handle(broker, &context, request);
    Ok(Begun::Done(finish::<R>(broker, &context, &response)))
}

/// Makes the future of a handler that may wait.
fn later<R, F>(
    broker: &Arc<Broker>,
    opened: Opened,
    handle: impl FnOnce(Arc<Broker>, Context, R) -> F + Send + 'static,
) -> Result<Begun, Refusal>
where
    R: Request + Send + 'static,
    R::Response: Verdict + Send,
    F: Future<Output = R::Response> + Send,
{
    let Opened { context, body, .. } = opened;
    let request = context.decode::<R>(body)?;
    let broker = broker.clone();
    Ok(Begun::Other(Box::pin(async move {
        let response = handle(broker.clone(), context.clone(), request).await;
        finish::<R>(&broker, &context, &response)
    })))
}

/// Asks this controller, for a broker or another controller.
fn of_node<R>(broker: &Arc<Broker>, opened: Opened) -> Result<Begun, Refusal>
where
    R: Decided + Send + Sync + 'static,
    R::Response: Verdict + Send,
{
    later::<R, _>(broker, opened, super::decided::of_node)
}

/// Asks the active controller, for a client.
fn of_client<R>(broker: &Arc<Broker>, opened: Opened) -> Result<Begun, Refusal>
where
    R: Decided + Send + Sync + 'static,
    R::Response: Verdict + Send,
{
    later::<R, _>(broker, opened, super::decided::of_client)
}

fn finish<R>(broker: &Broker, context: &Context, response: &R::Response) -> Answer
where
    R: Request,
    R::Response: Verdict,
{
    let answer = context.answer::<R>(response);
    if response.has_failed() || matches!(answer, Answer::Close(_)) {
        broker.metrics.request_failed(R::KEY);
    }
    account(broker, R::KEY, context, &answer);
    answer
}

fn account(broker: &Broker, key: ApiKey, context: &Context, answer: &Answer) {
    let sent = match answer {
        Answer::Send(chunks) => chunks.iter().map(Bytes::len).sum(),
        Answer::Nothing | Answer::Close(_) => 0,
    };
    broker.metrics.request(key, context.received_at.elapsed(), context.frame_bytes, sent);
}

fn begin_api_versions(broker: &Arc<Broker>, opened: Opened) -> Result<Begun, Refusal> {
    let known = served::versions(ApiKey::ApiVersions);
    if known.is_some_and(|versions| versions.contains(opened.context.version)) {
        return now(broker, opened, api_versions::handle);
    }
    let response = api_versions::unsupported_version();
    let answer = opened.context.frame(ApiKey::ApiVersions, &response, 0, 0);
    broker.metrics.request_failed(ApiKey::ApiVersions);
    account(broker, ApiKey::ApiVersions, &opened.context, &answer);
    Ok(Begun::Done(answer))
}

fn begin_produce(broker: &Arc<Broker>, opened: Opened) -> Result<Begun, Refusal> {
    use super::produce::{self, Outcome};
    type Produce = api::produce::ProduceRequest;
    let Opened { context, body, .. } = opened;
    let request = context.decode::<Produce>(body)?;
    let acks = request.acks;
    match produce::begin(broker, &context, request) {
        Outcome::Done(response) => {
            Ok(Begun::Done(finish_produce(broker, &context, acks, &response)))
        }
        Outcome::Waiting(waiting) => {
            let broker = broker.clone();
            Ok(Begun::Produce(Box::pin(async move {
                let response = waiting.acknowledged().await;
                finish::<Produce>(&broker, &context, &response)
            })))
        }
        Outcome::Asking(asking) => {
            let broker = broker.clone();
            Ok(Begun::Other(Box::pin(async move {
                let response = asking.answered().await;
                finish_produce(&broker, &context, acks, &response)
            })))
        }
    }
}

fn finish_produce(
    broker: &Broker,
    context: &Context,
    acks: i16,
    response: &api::produce::ProduceResponse,
) -> Answer {
    if acks != 0 {
        return finish::<api::produce::ProduceRequest>(broker, context, response);
    }
    // There is no answer to acks=0: an error can only be told by closing.
    let answer = if super::produce::has_failed(response) {
        broker.metrics.request_failed(ApiKey::Produce);
        Answer::Close(Refusal::UnacknowledgedFailure)
    } else {
        Answer::Nothing
    };
    account(broker, ApiKey::Produce, context, &answer);
    answer
}
