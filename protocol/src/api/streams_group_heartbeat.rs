//! StreamsGroupHeartbeat (88), version 0: a member of a streams group joins, reports and leaves
//! (KIP-1071).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{Offset, PartitionIndex};
use crate::message;

message! {
    /// The member's state; unchanged parts are null.
    pub struct StreamsGroupHeartbeatRequest: 0..=0, flexible 0 {
        /// The group.
        group_id: Text [0..],
        /// The member.
        member_id: Text [0..],
        /// The member's epoch.
        member_epoch: i32 [0..],
        /// Which state of the endpoints the member knows.
        endpoint_information_epoch: i32 [0..],
        /// The name of a static member; null for a dynamic one.
        instance_id: Option<Text> [0.., nullable 0..],
        /// The rack.
        rack_id: Option<Text> [0.., nullable 0..],
        /// Milliseconds that a member may take to give up its partitions.
        rebalance_timeout_ms: i32 [0.., default -1],
        /// The topology.
        topology: Option<StreamsGroupHeartbeatTopology> [0.., nullable 0..],
        /// Tasks that process.
        active_tasks: Option<Vec<StreamsGroupHeartbeatTaskIds>> [0.., nullable 0..],
        /// Tasks that keep a copy of the state.
        standby_tasks: Option<Vec<StreamsGroupHeartbeatTaskIds>> [0.., nullable 0..],
        /// Tasks that catch up to become active elsewhere.
        warmup_tasks: Option<Vec<StreamsGroupHeartbeatTaskIds>> [0.., nullable 0..],
        /// Tells processes apart that run several members.
        process_id: Option<Text> [0.., nullable 0..],
        /// Where the member can be queried.
        user_endpoint: Option<StreamsGroupHeartbeatEndpoint> [0.., nullable 0..],
        /// Tags that rack awareness looks at.
        client_tags: Option<Vec<StreamsGroupHeartbeatKeyValue>> [0.., nullable 0..],
        /// How far its tasks have read the changelogs.
        task_offsets: Option<Vec<StreamsGroupHeartbeatTaskOffset>> [0.., nullable 0..],
        /// Where the changelogs of its tasks end.
        task_end_offsets: Option<Vec<StreamsGroupHeartbeatTaskOffset>> [0.., nullable 0..],
        /// Whether all members shall stop.
        shutdown_application: bool [0..],
    }

    /// What the members compute.
    pub struct StreamsGroupHeartbeatTopology {
        /// The epoch.
        epoch: i32 [0..],
        /// The parts of the topology that share no task.
        subtopologies: Vec<StreamsGroupHeartbeatSubtopology> [0..],
    }

    /// Tasks of one part of the topology.
    pub struct StreamsGroupHeartbeatTaskIds {
        /// Which part of the topology.
        subtopology_id: Text [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }

    /// A place to connect to.
    pub struct StreamsGroupHeartbeatEndpoint {
        /// The host.
        host: Text [0..],
        /// The port.
        port: u16 [0..],
    }

    /// A key and its value.
    pub struct StreamsGroupHeartbeatKeyValue {
        /// The key.
        key: Text [0..],
        /// The value.
        value: Text [0..],
    }

    /// How far a task is.
    pub struct StreamsGroupHeartbeatTaskOffset {
        /// Which part of the topology.
        subtopology_id: Text [0..],
        /// The partition.
        partition: PartitionIndex [0..],
        /// The offset.
        offset: Offset [0..],
    }

    /// A part of the topology that shares no task with the others.
    pub struct StreamsGroupHeartbeatSubtopology {
        /// Which part of the topology.
        subtopology_id: Text [0..],
        /// Source topics.
        source_topics: Vec<Text> [0..],
        /// Source topics, by pattern.
        source_topic_regex: Vec<Text> [0..],
        /// Changelogs of its stores.
        state_changelog_topics: Vec<StreamsGroupHeartbeatTopicInfo> [0..],
        /// Repartition topics it writes to.
        repartition_sink_topics: Vec<Text> [0..],
        /// Repartition topics it reads.
        repartition_source_topics: Vec<StreamsGroupHeartbeatTopicInfo> [0..],
        /// Source topics that must have equally many partitions.
        copartition_groups: Vec<StreamsGroupHeartbeatCopartitionGroup> [0..],
    }

    /// A topic.
    pub struct StreamsGroupHeartbeatTopicInfo {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: PartitionIndex [0..],
        /// How many replicas each partition has.
        replication_factor: i16 [0..],
        /// Configuration entries for the topic.
        topic_configs: Vec<StreamsGroupHeartbeatKeyValue> [0..],
    }

    /// Topics that must have equally many partitions.
    pub struct StreamsGroupHeartbeatCopartitionGroup {
        /// Source topics.
        source_topics: Vec<i16> [0..],
        /// Source topics, by pattern.
        source_topic_regex: Vec<i16> [0..],
        /// Repartition topics it reads.
        repartition_source_topics: Vec<i16> [0..],
    }

    /// The member's epoch and its tasks.
    pub struct StreamsGroupHeartbeatResponse: 0..=0, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The member.
        member_id: Text [0..],
        /// The member's epoch.
        member_epoch: i32 [0..],
        /// Milliseconds until the next heartbeat.
        heartbeat_interval_ms: i32 [0..],
        /// How far behind a warm-up task may be and still count as caught up.
        acceptable_recovery_lag: i32 [0..],
        /// Milliseconds between two reports of task offsets.
        task_offset_interval_ms: i32 [0..],
        /// What the member should know of its group.
        status: Option<Vec<StreamsGroupHeartbeatStatus>> [0.., nullable 0..],
        /// Tasks that process.
        active_tasks: Option<Vec<StreamsGroupHeartbeatResponseTaskIds>> [0.., nullable 0..],
        /// Tasks that keep a copy of the state.
        standby_tasks: Option<Vec<StreamsGroupHeartbeatResponseTaskIds>> [0.., nullable 0..],
        /// Tasks that catch up to become active elsewhere.
        warmup_tasks: Option<Vec<StreamsGroupHeartbeatResponseTaskIds>> [0.., nullable 0..],
        /// Which state of the endpoints the member knows.
        endpoint_information_epoch: i32 [0..],
        /// Which partitions can be queried where.
        partitions_by_user_endpoint:
            Option<Vec<StreamsGroupHeartbeatEndpointToPartitions>> [0.., nullable 0..],
    }

    /// A condition of the group.
    pub struct StreamsGroupHeartbeatStatus {
        /// Which condition it is.
        status_code: i8 [0..],
        /// The condition in words.
        status_detail: Text [0..],
    }

    /// Tasks of one part of the topology.
    pub struct StreamsGroupHeartbeatResponseTaskIds {
        /// Which part of the topology.
        subtopology_id: Text [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }

    /// What can be queried at an endpoint.
    pub struct StreamsGroupHeartbeatEndpointToPartitions {
        /// Where the member can be queried.
        user_endpoint: StreamsGroupHeartbeatResponseEndpoint [0..],
        /// Partitions whose active tasks run at the endpoint.
        active_partitions: Vec<StreamsGroupHeartbeatTopicPartition> [0..],
        /// Partitions whose standby tasks run at the endpoint.
        standby_partitions: Vec<StreamsGroupHeartbeatTopicPartition> [0..],
    }

    /// A place to connect to.
    pub struct StreamsGroupHeartbeatResponseEndpoint {
        /// The host.
        host: Text [0..],
        /// The port.
        port: u16 [0..],
    }

    /// A topic and partitions of it.
    pub struct StreamsGroupHeartbeatTopicPartition {
        /// The topic's name.
        topic: Text [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }
}

request!(StreamsGroupHeartbeat, StreamsGroupHeartbeatRequest => StreamsGroupHeartbeatResponse);
