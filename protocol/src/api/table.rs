//! All APIs as data: what is walked over to compare, document and fuzz them.

use super::key::ApiKey;
use super::request::Request;
use crate::message::Shape;

/// The messages of an API.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    /// Its key.
    pub key: ApiKey,
    /// The request.
    pub request: Shape,
    /// The response.
    pub response: Shape,
}

impl Api {
    const fn of<R: Request>() -> Self {
        Self { key: R::KEY, request: Shape::of::<R>(), response: Shape::of::<R::Response>() }
    }

    /// The API with a key, unless Kafka no longer has it.
    #[must_use]
    pub fn find(key: ApiKey) -> Option<&'static Self> {
        ALL.iter().find(|api| api.key == key)
    }
}

/// All APIs that are declared, in the order of their keys.
pub const ALL: &[Api] = &[
    Api::of::<super::produce::ProduceRequest>(),
    Api::of::<super::fetch::FetchRequest>(),
    Api::of::<super::list_offsets::ListOffsetsRequest>(),
    Api::of::<super::metadata::MetadataRequest>(),
    Api::of::<super::offset_commit::OffsetCommitRequest>(),
    Api::of::<super::offset_fetch::OffsetFetchRequest>(),
    Api::of::<super::find_coordinator::FindCoordinatorRequest>(),
    Api::of::<super::join_group::JoinGroupRequest>(),
    Api::of::<super::heartbeat::HeartbeatRequest>(),
    Api::of::<super::leave_group::LeaveGroupRequest>(),
    Api::of::<super::sync_group::SyncGroupRequest>(),
    Api::of::<super::describe_groups::DescribeGroupsRequest>(),
    Api::of::<super::list_groups::ListGroupsRequest>(),
    Api::of::<super::sasl_handshake::SaslHandshakeRequest>(),
    Api::of::<super::api_versions::ApiVersionsRequest>(),
    Api::of::<super::create_topics::CreateTopicsRequest>(),
    Api::of::<super::delete_topics::DeleteTopicsRequest>(),
    Api::of::<super::delete_records::DeleteRecordsRequest>(),
    Api::of::<super::init_producer_id::InitProducerIdRequest>(),
    Api::of::<super::offset_for_leader_epoch::OffsetForLeaderEpochRequest>(),
    Api::of::<super::add_partitions_to_txn::AddPartitionsToTxnRequest>(),
    Api::of::<super::add_offsets_to_txn::AddOffsetsToTxnRequest>(),
    Api::of::<super::end_txn::EndTxnRequest>(),
    Api::of::<super::write_txn_markers::WriteTxnMarkersRequest>(),
    Api::of::<super::txn_offset_commit::TxnOffsetCommitRequest>(),
    Api::of::<super::describe_acls::DescribeAclsRequest>(),
    Api::of::<super::create_acls::CreateAclsRequest>(),
    Api::of::<super::delete_acls::DeleteAclsRequest>(),
    Api::of::<super::describe_configs::DescribeConfigsRequest>(),
    Api::of::<super::alter_configs::AlterConfigsRequest>(),
    Api::of::<super::alter_replica_log_dirs::AlterReplicaLogDirsRequest>(),
    Api::of::<super::describe_log_dirs::DescribeLogDirsRequest>(),
    Api::of::<super::sasl_authenticate::SaslAuthenticateRequest>(),
    Api::of::<super::create_partitions::CreatePartitionsRequest>(),
    Api::of::<super::create_delegation_token::CreateDelegationTokenRequest>(),
    Api::of::<super::renew_delegation_token::RenewDelegationTokenRequest>(),
    Api::of::<super::expire_delegation_token::ExpireDelegationTokenRequest>(),
    Api::of::<super::describe_delegation_token::DescribeDelegationTokenRequest>(),
    Api::of::<super::delete_groups::DeleteGroupsRequest>(),
    Api::of::<super::elect_leaders::ElectLeadersRequest>(),
    Api::of::<super::incremental_alter_configs::IncrementalAlterConfigsRequest>(),
    Api::of::<super::alter_partition_reassignments::AlterPartitionReassignmentsRequest>(),
    Api::of::<super::list_partition_reassignments::ListPartitionReassignmentsRequest>(),
    Api::of::<super::offset_delete::OffsetDeleteRequest>(),
    Api::of::<super::describe_client_quotas::DescribeClientQuotasRequest>(),
    Api::of::<super::alter_client_quotas::AlterClientQuotasRequest>(),
    Api::of::<super::describe_user_scram_credentials::DescribeUserScramCredentialsRequest>(),
    Api::of::<super::alter_user_scram_credentials::AlterUserScramCredentialsRequest>(),
    Api::of::<super::vote::VoteRequest>(),
    Api::of::<super::begin_quorum_epoch::BeginQuorumEpochRequest>(),
    Api::of::<super::end_quorum_epoch::EndQuorumEpochRequest>(),
    Api::of::<super::describe_quorum::DescribeQuorumRequest>(),
    Api::of::<super::alter_partition::AlterPartitionRequest>(),
    Api::of::<super::update_features::UpdateFeaturesRequest>(),
    Api::of::<super::envelope::EnvelopeRequest>(),
    Api::of::<super::fetch_snapshot::FetchSnapshotRequest>(),
    Api::of::<super::describe_cluster::DescribeClusterRequest>(),
    Api::of::<super::describe_producers::DescribeProducersRequest>(),
    Api::of::<super::broker_registration::BrokerRegistrationRequest>(),
    Api::of::<super::broker_heartbeat::BrokerHeartbeatRequest>(),
    Api::of::<super::unregister_broker::UnregisterBrokerRequest>(),
    Api::of::<super::describe_transactions::DescribeTransactionsRequest>(),
    Api::of::<super::list_transactions::ListTransactionsRequest>(),
    Api::of::<super::allocate_producer_ids::AllocateProducerIdsRequest>(),
    Api::of::<super::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest>(),
    Api::of::<super::consumer_group_describe::ConsumerGroupDescribeRequest>(),
    Api::of::<super::controller_registration::ControllerRegistrationRequest>(),
    Api::of::<super::get_telemetry_subscriptions::GetTelemetrySubscriptionsRequest>(),
    Api::of::<super::push_telemetry::PushTelemetryRequest>(),
    Api::of::<super::assign_replicas_to_dirs::AssignReplicasToDirsRequest>(),
    Api::of::<super::list_config_resources::ListConfigResourcesRequest>(),
    Api::of::<super::describe_topic_partitions::DescribeTopicPartitionsRequest>(),
    Api::of::<super::share_group_heartbeat::ShareGroupHeartbeatRequest>(),
    Api::of::<super::share_group_describe::ShareGroupDescribeRequest>(),
    Api::of::<super::share_fetch::ShareFetchRequest>(),
    Api::of::<super::share_acknowledge::ShareAcknowledgeRequest>(),
    Api::of::<super::add_raft_voter::AddRaftVoterRequest>(),
    Api::of::<super::remove_raft_voter::RemoveRaftVoterRequest>(),
    Api::of::<super::update_raft_voter::UpdateRaftVoterRequest>(),
    Api::of::<super::initialize_share_group_state::InitializeShareGroupStateRequest>(),
    Api::of::<super::read_share_group_state::ReadShareGroupStateRequest>(),
    Api::of::<super::write_share_group_state::WriteShareGroupStateRequest>(),
    Api::of::<super::delete_share_group_state::DeleteShareGroupStateRequest>(),
    Api::of::<super::read_share_group_state_summary::ReadShareGroupStateSummaryRequest>(),
    Api::of::<super::streams_group_heartbeat::StreamsGroupHeartbeatRequest>(),
    Api::of::<super::streams_group_describe::StreamsGroupDescribeRequest>(),
    Api::of::<super::describe_share_group_offsets::DescribeShareGroupOffsetsRequest>(),
    Api::of::<super::alter_share_group_offsets::AlterShareGroupOffsetsRequest>(),
    Api::of::<super::delete_share_group_offsets::DeleteShareGroupOffsetsRequest>(),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A header would be read in the wrong version, and the body after it from the wrong place.
    #[test]
    fn headers_are_flexible_where_the_messages_are() {
        for api in ALL {
            assert_eq!(api.request.versions, api.response.versions, "{:?}", api.key);
            assert_eq!(api.request.flexible_from, api.response.flexible_from, "{:?}", api.key);
            for version in api.request.versions.min..=api.request.versions.max {
                let expected = if api.request.is_flexible(version) { 2 } else { 1 };
                let found = api.key.request_header_version(version);
                assert_eq!(found, expected, "{:?} version {version}", api.key);
            }
        }
        assert_eq!(ALL.len(), 89);
        assert!(ALL.windows(2).all(|pair| pair[0].key < pair[1].key));
    }
}
