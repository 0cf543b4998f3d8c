//! Which APIs are served, and in which versions. Only what stands here is advertised.

use milena_protocol::api::{self, ApiKey};
use milena_protocol::message::{Message, Versions};

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
    ApiVersions: api::api_versions::ApiVersionsRequest,
    CreateTopics: api::create_topics::CreateTopicsRequest,
    DeleteTopics: api::delete_topics::DeleteTopicsRequest,
    DeleteRecords: api::delete_records::DeleteRecordsRequest,
    InitProducerId: api::init_producer_id::InitProducerIdRequest,
    OffsetForLeaderEpoch: api::offset_for_leader_epoch::OffsetForLeaderEpochRequest,
    DescribeConfigs: api::describe_configs::DescribeConfigsRequest,
    AlterConfigs: api::alter_configs::AlterConfigsRequest,
    DescribeLogDirs: api::describe_log_dirs::DescribeLogDirsRequest,
    CreatePartitions: api::create_partitions::CreatePartitionsRequest,
    ElectLeaders: api::elect_leaders::ElectLeadersRequest,
    IncrementalAlterConfigs: api::incremental_alter_configs::IncrementalAlterConfigsRequest,
    ListPartitionReassignments:
        api::list_partition_reassignments::ListPartitionReassignmentsRequest,
    DescribeQuorum: api::describe_quorum::DescribeQuorumRequest,
    UpdateFeatures: api::update_features::UpdateFeaturesRequest,
    DescribeCluster: api::describe_cluster::DescribeClusterRequest,
    DescribeProducers: api::describe_producers::DescribeProducersRequest,
    ListConfigResources: api::list_config_resources::ListConfigResourcesRequest,
    DescribeTopicPartitions: api::describe_topic_partitions::DescribeTopicPartitionsRequest,
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
