//! Records of `__consumer_offsets` about streams groups (KIP-1071).

use crate::codec::Text;
use crate::ids::{PartitionIndex, Timestamp};
use crate::message;

message! {
    /// Key of a streams group (17).
    pub struct StreamsGroupMetadataKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
    }

    /// The epoch of a streams group.
    pub struct StreamsGroupMetadataValue: 0..=0, flexible 0 {
        /// The epoch.
        epoch: i32 [0..],
        /// A hash over the topics subscribed to; 0 none.
        metadata_hash: i64 [0..],
        /// The topology epoch that was found valid.
        validated_topology_epoch: i32 [0.., tag 0, default -1],
        /// The configuration that the last assignment was computed with.
        last_assignment_configs: Option<Vec<StreamsGroupMetadataLastAssignmentConfig>>
            [0.., nullable 0.., tag 1, default Some(Default::default())],
    }

    /// A configuration entry.
    pub struct StreamsGroupMetadataLastAssignmentConfig {
        /// The key.
        key: Text [0..],
        /// The value.
        value: Text [0..],
    }

    /// Key of a member of a streams group (19).
    pub struct StreamsGroupMemberMetadataKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
        /// The member.
        member_id: Text [0..=0],
    }

    /// A member of a streams group, as it described itself.
    pub struct StreamsGroupMemberMetadataValue: 0..=0, flexible 0 {
        /// The name of a static member; null for a dynamic one.
        instance_id: Option<Text> [0.., nullable 0..],
        /// The rack.
        rack_id: Option<Text> [0.., nullable 0..],
        /// What the client calls itself.
        client_id: Text [0..],
        /// The host that the client connects from.
        client_host: Text [0..],
        /// Milliseconds that a member may take to give up its partitions.
        rebalance_timeout_ms: i32 [0.., default -1],
        /// The epoch of the topology.
        topology_epoch: i32 [0..],
        /// Tells processes apart that run several members.
        process_id: Text [0..],
        /// Where the member can be queried.
        user_endpoint: Option<StreamsGroupMemberMetadataEndpoint> [0.., nullable 0..],
        /// Tags that rack awareness looks at.
        client_tags: Vec<StreamsGroupMemberMetadataKeyValue> [0..],
    }

    /// A place to connect to.
    pub struct StreamsGroupMemberMetadataEndpoint {
        /// The host.
        host: Text [0..],
        /// The port.
        port: u16 [0..],
    }

    /// A key and its value.
    pub struct StreamsGroupMemberMetadataKeyValue {
        /// The key.
        key: Text [0..],
        /// The value.
        value: Text [0..],
    }

    /// Key of a streams group's target assignment (20).
    pub struct StreamsGroupTargetAssignmentMetadataKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
    }

    /// When the target assignment of a streams group was made.
    pub struct StreamsGroupTargetAssignmentMetadataValue: 0..=0, flexible 0 {
        /// The group epoch that the assignment belongs to.
        assignment_epoch: i32 [0..],
        /// When the assignment was computed.
        assignment_timestamp: Timestamp [0.., tag 0],
    }

    /// Key of a member's target assignment (21).
    pub struct StreamsGroupTargetAssignmentMemberKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
        /// The member.
        member_id: Text [0..=0],
    }

    /// The tasks that a member of a streams group shall run.
    pub struct StreamsGroupTargetAssignmentMemberValue: 0..=0, flexible 0 {
        /// Tasks that process.
        active_tasks: Vec<StreamsGroupTargetAssignmentMemberTaskIds> [0..],
        /// Tasks that keep a copy of the state.
        standby_tasks: Vec<StreamsGroupTargetAssignmentMemberTaskIds> [0..],
        /// Tasks that catch up to become active elsewhere.
        warmup_tasks: Vec<StreamsGroupTargetAssignmentMemberTaskIds> [0..],
    }

    /// Tasks of one part of the topology.
    pub struct StreamsGroupTargetAssignmentMemberTaskIds {
        /// Which part of the topology.
        subtopology_id: Text [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }

    /// Key of a member's current assignment (22).
    pub struct StreamsGroupCurrentMemberAssignmentKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
        /// The member.
        member_id: Text [0..=0],
    }

    /// The tasks that a member of a streams group runs now.
    pub struct StreamsGroupCurrentMemberAssignmentValue: 0..=0, flexible 0 {
        /// The member's epoch.
        member_epoch: i32 [0..],
        /// The member's epoch before.
        previous_member_epoch: i32 [0..],
        /// The member's state.
        state: i8 [0..],
        /// Tasks that process.
        active_tasks: Vec<StreamsGroupCurrentMemberAssignmentTaskIds> [0..],
        /// Tasks that keep a copy of the state.
        standby_tasks: Vec<StreamsGroupCurrentMemberAssignmentTaskIds> [0..],
        /// Tasks that catch up to become active elsewhere.
        warmup_tasks: Vec<StreamsGroupCurrentMemberAssignmentTaskIds> [0..],
        /// Active tasks that the member has not given up yet.
        active_tasks_pending_revocation: Vec<StreamsGroupCurrentMemberAssignmentTaskIds> [0..],
        /// Standby tasks that the member has not given up yet.
        standby_tasks_pending_revocation: Vec<StreamsGroupCurrentMemberAssignmentTaskIds> [0..],
        /// Warm-up tasks that the member has not given up yet.
        warmup_tasks_pending_revocation: Vec<StreamsGroupCurrentMemberAssignmentTaskIds> [0..],
    }

    /// Tasks of one part of the topology.
    pub struct StreamsGroupCurrentMemberAssignmentTaskIds {
        /// Which part of the topology.
        subtopology_id: Text [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
        /// The epoch at which each partition was assigned.
        assignment_epochs:
            Option<Vec<i32>> [0.., nullable 0.., tag 0, default Some(Default::default())],
    }

    /// Key of a streams group's topology (23).
    pub struct StreamsGroupTopologyKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
    }

    /// A streams group's topology.
    pub struct StreamsGroupTopologyValue: 0..=0, flexible 0 {
        /// The epoch.
        epoch: i32 [0..],
        /// The parts of the topology that share no task.
        subtopologies: Vec<StreamsGroupTopologySubtopology> [0..],
    }

    /// A part of the topology that shares no task with the others.
    pub struct StreamsGroupTopologySubtopology {
        /// Which part of the topology.
        subtopology_id: Text [0..],
        /// Source topics.
        source_topics: Vec<Text> [0..],
        /// Source topics, by pattern.
        source_topic_regex: Vec<Text> [0..],
        /// Changelogs of its stores.
        state_changelog_topics: Vec<StreamsGroupTopologyTopicInfo> [0..],
        /// Repartition topics it writes to.
        repartition_sink_topics: Vec<Text> [0..],
        /// Repartition topics it reads.
        repartition_source_topics: Vec<StreamsGroupTopologyTopicInfo> [0..],
        /// Source topics that must have equally many partitions.
        copartition_groups: Vec<StreamsGroupTopologyCopartitionGroup> [0..],
    }

    /// A topic.
    pub struct StreamsGroupTopologyTopicInfo {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: PartitionIndex [0..],
        /// How many replicas each partition has.
        replication_factor: i16 [0..],
        /// Configuration entries for the topic.
        topic_configs: Vec<StreamsGroupTopologyTopicConfig> [0..],
    }

    /// Topics that must have equally many partitions.
    pub struct StreamsGroupTopologyCopartitionGroup {
        /// Source topics.
        source_topics: Vec<i16> [0..],
        /// Source topics, by pattern.
        source_topic_regex: Vec<i16> [0..],
        /// Repartition topics it reads.
        repartition_source_topics: Vec<i16> [0..],
    }

    /// A configuration entry.
    pub struct StreamsGroupTopologyTopicConfig {
        /// The key.
        key: Text [0..],
        /// The value.
        value: Text [0..],
    }
}
