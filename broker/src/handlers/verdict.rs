//! Whether an answer says that the whole request failed, for the figures.

use milena_protocol::api::*;

/// An answer of an API that is served.
pub trait Verdict {
    /// Whether the request failed as a whole. A failed part of it, such as one partition of many,
    /// is counted where it fails.
    fn has_failed(&self) -> bool;
}

/// Answers with an error code for the whole request.
macro_rules! of_the_whole {
    ($($response:ty),* $(,)?) => {
        $(impl Verdict for $response {
            fn has_failed(&self) -> bool {
                !self.error_code.is_none()
            }
        })*
    };
}

/// Answers with error codes for the parts of a request only.
macro_rules! of_its_parts {
    ($($response:ty),* $(,)?) => {
        $(impl Verdict for $response {
            fn has_failed(&self) -> bool {
                false
            }
        })*
    };
}

of_the_whole!(
    add_offsets_to_txn::AddOffsetsToTxnResponse,
    add_partitions_to_txn::AddPartitionsToTxnResponse,
    end_txn::EndTxnResponse,
    list_transactions::ListTransactionsResponse,
    api_versions::ApiVersionsResponse,
    alter_partition_reassignments::AlterPartitionReassignmentsResponse,
    assign_replicas_to_dirs::AssignReplicasToDirsResponse,
    controller_registration::ControllerRegistrationResponse,
    allocate_producer_ids::AllocateProducerIdsResponse,
    alter_partition::AlterPartitionResponse,
    broker_heartbeat::BrokerHeartbeatResponse,
    broker_registration::BrokerRegistrationResponse,
    unregister_broker::UnregisterBrokerResponse,
    begin_quorum_epoch::BeginQuorumEpochResponse,
    end_quorum_epoch::EndQuorumEpochResponse,
    envelope::EnvelopeResponse,
    fetch_snapshot::FetchSnapshotResponse,
    add_raft_voter::AddRaftVoterResponse,
    remove_raft_voter::RemoveRaftVoterResponse,
    update_raft_voter::UpdateRaftVoterResponse,
    vote::VoteResponse,
    consumer_group_heartbeat::ConsumerGroupHeartbeatResponse,
    describe_cluster::DescribeClusterResponse,
    describe_log_dirs::DescribeLogDirsResponse,
    describe_quorum::DescribeQuorumResponse,
    elect_leaders::ElectLeadersResponse,
    fetch::FetchResponse,
    find_coordinator::FindCoordinatorResponse,
    heartbeat::HeartbeatResponse,
    init_producer_id::InitProducerIdResponse,
    join_group::JoinGroupResponse,
    leave_group::LeaveGroupResponse,
    list_config_resources::ListConfigResourcesResponse,
    list_groups::ListGroupsResponse,
    list_partition_reassignments::ListPartitionReassignmentsResponse,
    metadata::MetadataResponse,
    offset_delete::OffsetDeleteResponse,
    offset_fetch::OffsetFetchResponse,
    sync_group::SyncGroupResponse,
    update_features::UpdateFeaturesResponse,
);

of_its_parts!(
    describe_transactions::DescribeTransactionsResponse,
    write_txn_markers::WriteTxnMarkersResponse,
    alter_configs::AlterConfigsResponse,
    consumer_group_describe::ConsumerGroupDescribeResponse,
    create_partitions::CreatePartitionsResponse,
    create_topics::CreateTopicsResponse,
    delete_groups::DeleteGroupsResponse,
    delete_records::DeleteRecordsResponse,
    delete_topics::DeleteTopicsResponse,
    describe_configs::DescribeConfigsResponse,
    describe_groups::DescribeGroupsResponse,
    describe_producers::DescribeProducersResponse,
    describe_topic_partitions::DescribeTopicPartitionsResponse,
    incremental_alter_configs::IncrementalAlterConfigsResponse,
    list_offsets::ListOffsetsResponse,
    offset_commit::OffsetCommitResponse,
    offset_for_leader_epoch::OffsetForLeaderEpochResponse,
    produce::ProduceResponse,
    txn_offset_commit::TxnOffsetCommitResponse,
);
