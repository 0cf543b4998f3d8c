//! What classic consumers write into the opaque bytes of JoinGroup and SyncGroup.
//!
//! The bytes begin with the version as an `int16`. Versions may be newer than ours: fields that
//! follow are skipped.

use bytes::Bytes;

use crate::codec::Text;
use crate::ids::PartitionIndex;
use crate::message;
use crate::message::Shape;

message! {
    /// What a classic consumer subscribes to.
    pub struct ConsumerProtocolSubscription: 0..=3, flexible none {
        /// The topics.
        topics: Vec<Text> [0..],
        /// Whatever the assignor wants to pass on.
        user_data: Option<Bytes> [0.., nullable 0..],
        /// Partitions owned now.
        owned_partitions: Vec<ConsumerProtocolSubscriptionTopicPartition> [1..],
        /// The generation; −1 none.
        generation_id: i32 [2.., default -1],
        /// The rack.
        rack_id: Option<Text> [3.., nullable 3..],
    }

    /// A topic and partitions of it.
    pub struct ConsumerProtocolSubscriptionTopicPartition {
        /// The topic's name.
        topic: Text [1..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [1..],
    }

    /// What a classic consumer is assigned.
    pub struct ConsumerProtocolAssignment: 0..=3, flexible none {
        /// The partitions assigned.
        assigned_partitions: Vec<ConsumerProtocolAssignmentTopicPartition> [0..],
        /// Whatever the assignor wants to pass on.
        user_data: Option<Bytes> [0.., nullable 0..],
    }

    /// A topic and partitions of it.
    pub struct ConsumerProtocolAssignmentTopicPartition {
        /// The topic's name.
        topic: Text [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }
}

/// The shapes of all that is declared here.
pub const ALL: &[Shape] =
    &[Shape::of::<ConsumerProtocolSubscription>(), Shape::of::<ConsumerProtocolAssignment>()];
