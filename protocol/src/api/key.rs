//! The keys of all APIs, and in which version their messages become flexible.

/// An API of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
#[allow(missing_docs, reason = "the names are the protocol's own")]
pub enum ApiKey {
    Produce = 0,
    Fetch = 1,
    ListOffsets = 2,
    Metadata = 3,
    LeaderAndIsr = 4,
    StopReplica = 5,
    UpdateMetadata = 6,
    ControlledShutdown = 7,
    OffsetCommit = 8,
    OffsetFetch = 9,
    FindCoordinator = 10,
    JoinGroup = 11,
    Heartbeat = 12,
    LeaveGroup = 13,
    SyncGroup = 14,
    DescribeGroups = 15,
    ListGroups = 16,
    SaslHandshake = 17,
    ApiVersions = 18,
    CreateTopics = 19,
    DeleteTopics = 20,
    DeleteRecords = 21,
    InitProducerId = 22,
    OffsetForLeaderEpoch = 23,
    AddPartitionsToTxn = 24,
    AddOffsetsToTxn = 25,
    EndTxn = 26,
    WriteTxnMarkers = 27,
    TxnOffsetCommit = 28,
    DescribeAcls = 29,
    CreateAcls = 30,
    DeleteAcls = 31,
    DescribeConfigs = 32,
    AlterConfigs = 33,
    AlterReplicaLogDirs = 34,
    DescribeLogDirs = 35,
    SaslAuthenticate = 36,
    CreatePartitions = 37,
    CreateDelegationToken = 38,
    RenewDelegationToken = 39,
    ExpireDelegationToken = 40,
    DescribeDelegationToken = 41,
    DeleteGroups = 42,
    ElectLeaders = 43,
    IncrementalAlterConfigs = 44,
    AlterPartitionReassignments = 45,
    ListPartitionReassignments = 46,
    OffsetDelete = 47,
    DescribeClientQuotas = 48,
    AlterClientQuotas = 49,
    DescribeUserScramCredentials = 50,
    AlterUserScramCredentials = 51,
    Vote = 52,
    BeginQuorumEpoch = 53,
    EndQuorumEpoch = 54,
    DescribeQuorum = 55,
    AlterPartition = 56,
    UpdateFeatures = 57,
    Envelope = 58,
    FetchSnapshot = 59,
    DescribeCluster = 60,
    DescribeProducers = 61,
    BrokerRegistration = 62,
    BrokerHeartbeat = 63,
    UnregisterBroker = 64,
    DescribeTransactions = 65,
    ListTransactions = 66,
    AllocateProducerIds = 67,
    ConsumerGroupHeartbeat = 68,
    ConsumerGroupDescribe = 69,
    ControllerRegistration = 70,
    GetTelemetrySubscriptions = 71,
    PushTelemetry = 72,
    AssignReplicasToDirs = 73,
    ListConfigResources = 74,
    DescribeTopicPartitions = 75,
    ShareGroupHeartbeat = 76,
    ShareGroupDescribe = 77,
    ShareFetch = 78,
    ShareAcknowledge = 79,
    AddRaftVoter = 80,
    RemoveRaftVoter = 81,
    UpdateRaftVoter = 82,
    InitializeShareGroupState = 83,
    ReadShareGroupState = 84,
    WriteShareGroupState = 85,
    DeleteShareGroupState = 86,
    ReadShareGroupStateSummary = 87,
    StreamsGroupHeartbeat = 88,
    StreamsGroupDescribe = 89,
    DescribeShareGroupOffsets = 90,
    AlterShareGroupOffsets = 91,
    DeleteShareGroupOffsets = 92,
}

/// Key and the first flexible version of every API; `i16::MAX` where none is.
const TABLE: &[(ApiKey, i16)] = &[
    (ApiKey::Produce, 9),
    (ApiKey::Fetch, 12),
    (ApiKey::ListOffsets, 6),
    (ApiKey::Metadata, 9),
    (ApiKey::LeaderAndIsr, i16::MAX),
    (ApiKey::StopReplica, i16::MAX),
    (ApiKey::UpdateMetadata, i16::MAX),
    (ApiKey::ControlledShutdown, i16::MAX),
    (ApiKey::OffsetCommit, 8),
    (ApiKey::OffsetFetch, 6),
    (ApiKey::FindCoordinator, 3),
    (ApiKey::JoinGroup, 6),
    (ApiKey::Heartbeat, 4),
    (ApiKey::LeaveGroup, 4),
    (ApiKey::SyncGroup, 4),
    (ApiKey::DescribeGroups, 5),
    (ApiKey::ListGroups, 3),
    (ApiKey::SaslHandshake, i16::MAX),
    (ApiKey::ApiVersions, 3),
    (ApiKey::CreateTopics, 5),
    (ApiKey::DeleteTopics, 4),
    (ApiKey::DeleteRecords, 2),
    (ApiKey::InitProducerId, 2),
    (ApiKey::OffsetForLeaderEpoch, 4),
    (ApiKey::AddPartitionsToTxn, 3),
    (ApiKey::AddOffsetsToTxn, 3),
    (ApiKey::EndTxn, 3),
    (ApiKey::WriteTxnMarkers, 1),
    (ApiKey::TxnOffsetCommit, 3),
    (ApiKey::DescribeAcls, 2),
    (ApiKey::CreateAcls, 2),
    (ApiKey::DeleteAcls, 2),
    (ApiKey::DescribeConfigs, 4),
    (ApiKey::AlterConfigs, 2),
    (ApiKey::AlterReplicaLogDirs, 2),
    (ApiKey::DescribeLogDirs, 2),
    (ApiKey::SaslAuthenticate, 2),
    (ApiKey::CreatePartitions, 2),
    (ApiKey::CreateDelegationToken, 2),
    (ApiKey::RenewDelegationToken, 2),
    (ApiKey::ExpireDelegationToken, 2),
    (ApiKey::DescribeDelegationToken, 2),
    (ApiKey::DeleteGroups, 2),
    (ApiKey::ElectLeaders, 2),
    (ApiKey::IncrementalAlterConfigs, 1),
    (ApiKey::AlterPartitionReassignments, 0),
    (ApiKey::ListPartitionReassignments, 0),
    (ApiKey::OffsetDelete, i16::MAX),
    (ApiKey::DescribeClientQuotas, 1),
    (ApiKey::AlterClientQuotas, 1),
    (ApiKey::DescribeUserScramCredentials, 0),
    (ApiKey::AlterUserScramCredentials, 0),
    (ApiKey::Vote, 0),
    (ApiKey::BeginQuorumEpoch, 1),
    (ApiKey::EndQuorumEpoch, 1),
    (ApiKey::DescribeQuorum, 0),
    (ApiKey::AlterPartition, 0),
    (ApiKey::UpdateFeatures, 0),
    (ApiKey::Envelope, 0),
    (ApiKey::FetchSnapshot, 0),
    (ApiKey::DescribeCluster, 0),
    (ApiKey::DescribeProducers, 0),
    (ApiKey::BrokerRegistration, 0),
    (ApiKey::BrokerHeartbeat, 0),
    (ApiKey::UnregisterBroker, 0),
    (ApiKey::DescribeTransactions, 0),
    (ApiKey::ListTransactions, 0),
    (ApiKey::AllocateProducerIds, 0),
    (ApiKey::ConsumerGroupHeartbeat, 0),
    (ApiKey::ConsumerGroupDescribe, 0),
    (ApiKey::ControllerRegistration, 0),
    (ApiKey::GetTelemetrySubscriptions, 0),
    (ApiKey::PushTelemetry, 0),
    (ApiKey::AssignReplicasToDirs, 0),
    (ApiKey::ListConfigResources, 0),
    (ApiKey::DescribeTopicPartitions, 0),
    (ApiKey::ShareGroupHeartbeat, 0),
    (ApiKey::ShareGroupDescribe, 0),
    (ApiKey::ShareFetch, 0),
    (ApiKey::ShareAcknowledge, 0),
    (ApiKey::AddRaftVoter, 0),
    (ApiKey::RemoveRaftVoter, 0),
    (ApiKey::UpdateRaftVoter, 0),
    (ApiKey::InitializeShareGroupState, 0),
    (ApiKey::ReadShareGroupState, 0),
    (ApiKey::WriteShareGroupState, 0),
    (ApiKey::DeleteShareGroupState, 0),
    (ApiKey::ReadShareGroupStateSummary, 0),
    (ApiKey::StreamsGroupHeartbeat, 0),
    (ApiKey::StreamsGroupDescribe, 0),
    (ApiKey::DescribeShareGroupOffsets, 0),
    (ApiKey::AlterShareGroupOffsets, 0),
    (ApiKey::DeleteShareGroupOffsets, 0),
];

impl ApiKey {
    /// All keys in their order.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// The API with this number.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        usize::try_from(number).ok().and_then(|index| TABLE.get(index)).map(|row| row.0)
    }

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// The version of the request header for a version of this API.
    #[must_use]
    pub fn request_header_version(self, version: i16) -> i16 {
        let flexible = TABLE.get(self as usize).is_some_and(|row| version >= row.1);
        if flexible { 2 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request would be read as another API.
    #[test]
    fn table_is_in_the_order_of_the_numbers() {
        for (index, key) in ApiKey::all().enumerate() {
            assert_eq!(key.number() as usize, index);
            assert_eq!(ApiKey::from_number(index as i16), Some(key));
        }
        assert_eq!(ApiKey::all().count(), 93);
        assert_eq!(ApiKey::from_number(93), None);
        assert_eq!(ApiKey::from_number(-1), None);
    }
}
