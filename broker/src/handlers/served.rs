//! Which APIs are served, on which listeners and in which versions. Only what stands here is
//! advertised.

use milena_protocol::api::{self, ApiKey};
use milena_protocol::message::{Message, Versions};

use crate::request::Scope;

macro_rules! served {
    ($($key:ident: $request:ty,)*) => {
        /// Every API that is served, in the order of the keys.
        pub const SERVED: &[(ApiKey, Versions)] =
            &[$((ApiKey::$key, <$request as Message>::VERSIONS),)*];
    };
}

served! {
    Produce: api::produce::ProduceRequest,
    Fetch: api::fetch::FetchRequest,
    ListOffsets: api::list_offsets::ListOffsetsRequest,
    Metadata: api::metadata::MetadataRequest,
    OffsetCommit: api::offset_commit::OffsetCommitRequest,
    OffsetFetch: api::offset_fetch::OffsetFetchRequest,
    FindCoordinator: api::find_coordinator::FindCoordinatorRequest,
    JoinGroup: api::join_group::JoinGroupRequest,
    Heartbeat: api::heartbeat::HeartbeatRequest,
    LeaveGroup: api::leave_group::LeaveGroupRequest,
    SyncGroup: api::sync_group::SyncGroupRequest,
    DescribeGroups: api::describe_groups::DescribeGroupsRequest,
    ListGroups: api::list_groups::ListGroupsRequest,
    ApiVersions: api::api_versions::ApiVersionsRequest,
    CreateTopics: api::create_topics::CreateTopicsRequest,
    DeleteTopics: api::delete_topics::DeleteTopicsRequest,
    DeleteRecords: api::delete_records::DeleteRecordsRequest,
    InitProducerId: api::init_producer_id::InitProducerIdRequest,
    AddPartitionsToTxn: api::add_partitions_to_txn::AddPartitionsToTxnRequest,
    AddOffsetsToTxn: api::add_offsets_to_txn::AddOffsetsToTxnRequest,
    EndTxn: api::end_txn::EndTxnRequest,
    WriteTxnMarkers: api::write_txn_markers::WriteTxnMarkersRequest,
    DescribeTransactions: api::describe_transactions::DescribeTransactionsRequest,
    ListTransactions: api::list_transactions::ListTransactionsRequest,
    OffsetForLeaderEpoch: api::offset_for_leader_epoch::OffsetForLeaderEpochRequest,
    TxnOffsetCommit: api::txn_offset_commit::TxnOffsetCommitRequest,
    DescribeConfigs: api::describe_configs::DescribeConfigsRequest,
    AlterConfigs: api::alter_configs::AlterConfigsRequest,
    DescribeLogDirs: api::describe_log_dirs::DescribeLogDirsRequest,
    CreatePartitions: api::create_partitions::CreatePartitionsRequest,
    DeleteGroups: api::delete_groups::DeleteGroupsRequest,
    ElectLeaders: api::elect_leaders::ElectLeadersRequest,
    IncrementalAlterConfigs: api::incremental_alter_configs::IncrementalAlterConfigsRequest,
    AlterPartitionReassignments:
        api::alter_partition_reassignments::AlterPartitionReassignmentsRequest,
    ListPartitionReassignments:
        api::list_partition_reassignments::ListPartitionReassignmentsRequest,
    OffsetDelete: api::offset_delete::OffsetDeleteRequest,
    Vote: api::vote::VoteRequest,
    BeginQuorumEpoch: api::begin_quorum_epoch::BeginQuorumEpochRequest,
    EndQuorumEpoch: api::end_quorum_epoch::EndQuorumEpochRequest,
    DescribeQuorum: api::describe_quorum::DescribeQuorumRequest,
    AlterPartition: api::alter_partition::AlterPartitionRequest,
    UpdateFeatures: api::update_features::UpdateFeaturesRequest,
    Envelope: api::envelope::EnvelopeRequest,
    FetchSnapshot: api::fetch_snapshot::FetchSnapshotRequest,
    DescribeCluster: api::describe_cluster::DescribeClusterRequest,
    DescribeProducers: api::describe_producers::DescribeProducersRequest,
    BrokerRegistration: api::broker_registration::BrokerRegistrationRequest,
    BrokerHeartbeat: api::broker_heartbeat::BrokerHeartbeatRequest,
    UnregisterBroker: api::unregister_broker::UnregisterBrokerRequest,
    AllocateProducerIds: api::allocate_producer_ids::AllocateProducerIdsRequest,
    ConsumerGroupHeartbeat: api::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest,
    ConsumerGroupDescribe: api::consumer_group_describe::ConsumerGroupDescribeRequest,
    ControllerRegistration: api::controller_registration::ControllerRegistrationRequest,
    AssignReplicasToDirs: api::assign_replicas_to_dirs::AssignReplicasToDirsRequest,
    ListConfigResources: api::list_config_resources::ListConfigResourcesRequest,
    DescribeTopicPartitions: api::describe_topic_partitions::DescribeTopicPartitionsRequest,
    AddRaftVoter: api::add_raft_voter::AddRaftVoterRequest,
    RemoveRaftVoter: api::remove_raft_voter::RemoveRaftVoterRequest,
    UpdateRaftVoter: api::update_raft_voter::UpdateRaftVoterRequest,
}

/// What members of the quorum and brokers ask a controller, and nobody else.
const FOR_CONTROLLERS: &[ApiKey] = &[
    ApiKey::Vote,
    ApiKey::BeginQuorumEpoch,
    ApiKey::EndQuorumEpoch,
    ApiKey::AlterPartition,
    ApiKey::Envelope,
    ApiKey::FetchSnapshot,
    ApiKey::BrokerRegistration,
    ApiKey::BrokerHeartbeat,
    ApiKey::AllocateProducerIds,
    ApiKey::ControllerRegistration,
    ApiKey::AssignReplicasToDirs,
    ApiKey::UpdateRaftVoter,
];

/// What a controller answers on its own listener as a broker does on its.
const FOR_BOTH: &[ApiKey] = &[
    ApiKey::Fetch,
    ApiKey::ApiVersions,
    ApiKey::DescribeConfigs,
    ApiKey::DescribeCluster,
    ApiKey::DescribeQuorum,
];

/// What only the active controller decides: it is passed on to it.
const FORWARDED: &[ApiKey] = &[
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::AlterConfigs,
    ApiKey::CreatePartitions,
    ApiKey::ElectLeaders,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::AlterPartitionReassignments,
    ApiKey::ListPartitionReassignments,
    ApiKey::DescribeQuorum,
    ApiKey::UpdateFeatures,
    ApiKey::UnregisterBroker,
    ApiKey::AddRaftVoter,
    ApiKey::RemoveRaftVoter,
];

/// Whether an API is the active controller's to answer, whichever broker it comes to.
#[must_use]
pub fn is_forwarded(key: ApiKey) -> bool {
    FORWARDED.contains(&key)
}

/// Whether an API is served to those whom a listener is for.
#[must_use]
pub fn is_for(key: ApiKey, scope: Scope) -> bool {
    match scope {
        Scope::All => true,
        Scope::Brokers => !FOR_CONTROLLERS.contains(&key),
        Scope::Controllers => {
            FOR_CONTROLLERS.contains(&key) || FOR_BOTH.contains(&key) || is_forwarded(key)
        }
    }
}

/// The versions in which an API is served; none where it is not.
#[must_use]
pub fn versions(key: ApiKey) -> Option<Versions> {
    let declared = SERVED.iter().find(|row| row.0 == key).map(|row| row.1)?;
    // Version 6 of InitProducerId is not stable yet (KIP-939).
    let max = if key == ApiKey::InitProducerId { 5 } else { declared.max };
    Some(Versions { max, ..declared })
}

/// The versions that are advertised. Produce is advertised from 0 on although 0–2 are refused:
/// old librdkafka takes a higher minimum for a broker that is too new (KAFKA-18659).
#[must_use]
pub fn advertised(key: ApiKey) -> Option<Versions> {
    let served = versions(key)?;
    Some(if key == ApiKey::Produce { Versions { min: 0, ..served } } else { served })
}

/// The APIs that are served, as a document.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(
        "# Protocol support\n\nWritten by the tests from the code: `UPDATE=1 cargo test -p milena \
         --lib protocol_support` writes it anew.\n\nVersions that a client may use, by API. An API \
         of Apache Kafka 4.3.1 that is not advertised is refused by closing the connection, as \
         Kafka does.\n\n| key | API | advertised | served |\n| --- | --- | --- | --- |\n",
    );
    for api in api::ALL {
        let shown = |versions: Versions| format!("{}–{}", versions.min, versions.max);
        let row = match (advertised(api.key), versions(api.key)) {
            (Some(advertised), Some(served)) => {
                format!("{} | {}", shown(advertised), shown(served))
            }
            _ => "not yet | ".to_owned(),
        };
        page.push_str(&format!("| {} | {:?} | {row} |\n", api.key.number(), api.key));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The document would promise other versions than the broker serves.
    #[test]
    fn protocol_support_is_written_down() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol-support.md");
        let page = markdown();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == page, "docs/protocol-support.md is stale: UPDATE=1 writes it anew");
    }
}
