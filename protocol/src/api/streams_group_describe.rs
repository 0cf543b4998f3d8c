//! StreamsGroupDescribe (89), version 0: states, topologies and members of streams groups
//! (KIP-1071).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{Offset, PartitionIndex};
use crate::message;

message! {
    /// The groups.
    pub struct StreamsGroupDescribeRequest: 0..=0, flexible 0 {
        /// The groups.
        group_ids: Vec<Text> [0..],
        /// Whether to say what the caller may do.
        include_authorized_operations: bool [0..],
    }

    /// Their states.
    pub struct StreamsGroupDescribeResponse: 0..=0, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// The groups.
        groups: Vec<StreamsGroupDescribeGroup> [0..],
    }

    /// A group.
    pub struct StreamsGroupDescribeGroup {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The group.
        group_id: Text [0..],
        /// The group's state, by name.
        group_state: Text [0..],
        /// The group's epoch.
        group_epoch: i32 [0..],
        /// The group epoch that the assignment belongs to.
        assignment_epoch: i32 [0..],
        /// The topology.
        topology: Option<StreamsGroupDescribeTopology> [0.., nullable 0..],
        /// The members.
        members: Vec<StreamsGroupDescribeMember> [0..],
        /// What the caller may do, as bits.
        authorized_operations: i32 [0.., default i32::MIN],
    }

    /// What the members compute.
    pub struct StreamsGroupDescribeTopology {
        /// The epoch.
        epoch: i32 [0..],
        /// The parts of the topology that share no task.
        subtopologies: Option<Vec<StreamsGroupDescribeSubtopology>> [0.., nullable 0..],
    }

    /// A member.
    pub struct StreamsGroupDescribeMember {
        /// The member.
        member_id: Text [0..],
        /// The member's epoch.
        member_epoch: i32 [0..],
        /// The name of a static member; null for a dynamic one.
        instance_id: Option<Text> [0.., nullable 0..],
        /// The rack.
        rack_id: Option<Text> [0.., nullable 0..],
        /// What the client calls itself.
        client_id: Text [0..],
        /// The host that the client connects from.
        client_host: Text [0..],
        /// The epoch of the topology.
        topology_epoch: i32 [0..],
        /// Tells processes apart that run several members.
        process_id: Text [0..],
        /// Where the member can be queried.
        user_endpoint: Option<StreamsGroupDescribeEndpoint> [0.., nullable 0..],
        /// Tags that rack awareness looks at.
        client_tags: Vec<StreamsGroupDescribeKeyValue> [0..],
        /// How far its tasks have read the changelogs.
        task_offsets: Vec<StreamsGroupDescribeTaskOffset> [0..],
        /// Where the changelogs of its tasks end.
        task_end_offsets: Vec<StreamsGroupDescribeTaskOffset> [0..],
        /// The assignment.
        assignment: StreamsGroupDescribeAssignment [0..],
        /// What the member shall own.
        target_assignment: StreamsGroupDescribeAssignment [0..],
        /// Whether the member uses the classic protocol.
        is_classic: bool [0..],
    }

    /// A part of the topology that shares no task with the others.
    pub struct StreamsGroupDescribeSubtopology {
        /// Which part of the topology.
        subtopology_id: Text [0..],
        /// Source topics.
        source_topics: Vec<Text> [0..],
        /// Repartition topics it writes to.
        repartition_sink_topics: Vec<Text> [0..],
        /// Changelogs of its stores.
        state_changelog_topics: Vec<StreamsGroupDescribeTopicInfo> [0..],
        /// Repartition topics it reads.
        repartition_source_topics: Vec<StreamsGroupDescribeTopicInfo> [0..],
    }

    /// A place to connect to.
    pub struct StreamsGroupDescribeEndpoint {
        /// The host.
        host: Text [0..],
        /// The port.
        port: u16 [0..],
    }

    /// A key and its value.
    pub struct StreamsGroupDescribeKeyValue {
        /// The key.
        key: Text [0..],
        /// The value.
        value: Text [0..],
    }

    /// How far a task is.
    pub struct StreamsGroupDescribeTaskOffset {
        /// Which part of the topology.
        subtopology_id: Text [0..],
        /// The partition.
        partition: PartitionIndex [0..],
        /// The offset.
        offset: Offset [0..],
    }

    /// Partitions or tasks of a member.
    pub struct StreamsGroupDescribeAssignment {
        /// Tasks that process.
        active_tasks: Vec<StreamsGroupDescribeTaskIds> [0..],
        /// Tasks that keep a copy of the state.
        standby_tasks: Vec<StreamsGroupDescribeTaskIds> [0..],
        /// Tasks that catch up to become active elsewhere.
        warmup_tasks: Vec<StreamsGroupDescribeTaskIds> [0..],
    }

    /// A topic.
    pub struct StreamsGroupDescribeTopicInfo {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: PartitionIndex [0..],
        /// How many replicas each partition has.
        replication_factor: i16 [0..],
        /// Configuration entries for the topic.
        topic_configs: Vec<StreamsGroupDescribeKeyValue> [0..],
    }

    /// Tasks of one part of the topology.
    pub struct StreamsGroupDescribeTaskIds {
        /// Which part of the topology.
        subtopology_id: Text [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }
}

request!(StreamsGroupDescribe, StreamsGroupDescribeRequest => StreamsGroupDescribeResponse);
