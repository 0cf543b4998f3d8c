//! What group, transaction and share coordinators write into their own topics.
//!
//! A record's key is an `int16` record type followed by the key's fields; its value is an `int16`
//! version followed by the value's fields. A null value is a tombstone.

pub mod consumer_group;
pub mod offset;
pub mod share_group;
pub mod share_state;
pub mod streams_group;
pub mod transaction;

use crate::message::Shape;

/// The shapes of all records, in the order of the topics.
pub const ALL: &[Shape] = &[
    Shape::of::<offset::LegacyOffsetCommitKey>(),
    Shape::of::<offset::LegacyOffsetCommitValue>(),
    Shape::of::<offset::OffsetCommitKey>(),
    Shape::of::<offset::OffsetCommitValue>(),
    Shape::of::<offset::GroupMetadataKey>(),
    Shape::of::<offset::GroupMetadataValue>(),
    Shape::of::<consumer_group::ConsumerGroupMetadataKey>(),
    Shape::of::<consumer_group::ConsumerGroupMetadataValue>(),
    Shape::of::<consumer_group::ConsumerGroupPartitionMetadataKey>(),
    Shape::of::<consumer_group::ConsumerGroupPartitionMetadataValue>(),
    Shape::of::<consumer_group::ConsumerGroupMemberMetadataKey>(),
    Shape::of::<consumer_group::ConsumerGroupMemberMetadataValue>(),
    Shape::of::<consumer_group::ConsumerGroupTargetAssignmentMetadataKey>(),
    Shape::of::<consumer_group::ConsumerGroupTargetAssignmentMetadataValue>(),
    Shape::of::<consumer_group::ConsumerGroupTargetAssignmentMemberKey>(),
    Shape::of::<consumer_group::ConsumerGroupTargetAssignmentMemberValue>(),
    Shape::of::<consumer_group::ConsumerGroupCurrentMemberAssignmentKey>(),
    Shape::of::<consumer_group::ConsumerGroupCurrentMemberAssignmentValue>(),
    Shape::of::<consumer_group::ConsumerGroupRegularExpressionKey>(),
    Shape::of::<consumer_group::ConsumerGroupRegularExpressionValue>(),
    Shape::of::<share_group::ShareGroupMemberMetadataKey>(),
    Shape::of::<share_group::ShareGroupMemberMetadataValue>(),
    Shape::of::<share_group::ShareGroupMetadataKey>(),
    Shape::of::<share_group::ShareGroupMetadataValue>(),
    Shape::of::<share_group::ShareGroupTargetAssignmentMetadataKey>(),
    Shape::of::<share_group::ShareGroupTargetAssignmentMetadataValue>(),
    Shape::of::<share_group::ShareGroupTargetAssignmentMemberKey>(),
    Shape::of::<share_group::ShareGroupTargetAssignmentMemberValue>(),
    Shape::of::<share_group::ShareGroupCurrentMemberAssignmentKey>(),
    Shape::of::<share_group::ShareGroupCurrentMemberAssignmentValue>(),
    Shape::of::<share_group::ShareGroupStatePartitionMetadataKey>(),
    Shape::of::<share_group::ShareGroupStatePartitionMetadataValue>(),
    Shape::of::<streams_group::StreamsGroupMetadataKey>(),
    Shape::of::<streams_group::StreamsGroupMetadataValue>(),
    Shape::of::<streams_group::StreamsGroupMemberMetadataKey>(),
    Shape::of::<streams_group::StreamsGroupMemberMetadataValue>(),
    Shape::of::<streams_group::StreamsGroupTargetAssignmentMetadataKey>(),
    Shape::of::<streams_group::StreamsGroupTargetAssignmentMetadataValue>(),
    Shape::of::<streams_group::StreamsGroupTargetAssignmentMemberKey>(),
    Shape::of::<streams_group::StreamsGroupTargetAssignmentMemberValue>(),
    Shape::of::<streams_group::StreamsGroupCurrentMemberAssignmentKey>(),
    Shape::of::<streams_group::StreamsGroupCurrentMemberAssignmentValue>(),
    Shape::of::<streams_group::StreamsGroupTopologyKey>(),
    Shape::of::<streams_group::StreamsGroupTopologyValue>(),
    Shape::of::<transaction::TransactionLogKey>(),
    Shape::of::<transaction::TransactionLogValue>(),
    Shape::of::<share_state::ShareSnapshotKey>(),
    Shape::of::<share_state::ShareSnapshotValue>(),
    Shape::of::<share_state::ShareUpdateKey>(),
    Shape::of::<share_state::ShareUpdateValue>(),
];
