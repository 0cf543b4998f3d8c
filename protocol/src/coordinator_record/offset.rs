//! Records of `__consumer_offsets` about classic groups and stored offsets.
//!
//! A key is prefixed with its record type as an `int16`, a value with its version.

use bytes::Bytes;

use crate::codec::Text;
use crate::ids::{LeaderEpoch, Offset, PartitionIndex, Timestamp, Uuid};
use crate::message;

message! {
    /// Key of a stored offset, in its oldest form (0).
    pub struct LegacyOffsetCommitKey: 0..=0, flexible none {
        /// The group.
        group: Text [0..=0],
        /// The topic's name.
        topic: Text [0..=0],
        /// The partition.
        partition: PartitionIndex [0..=0],
    }

    /// A stored offset, in its oldest form.
    pub struct LegacyOffsetCommitValue: 0..=0, flexible none {
        /// The offset.
        offset: Offset [0..=0],
        /// What the member says of itself, as its protocol encodes it.
        metadata: Text [0..=0],
        /// When it was committed.
        commit_timestamp: Timestamp [0..=0],
    }

    /// Key of a stored offset (1).
    pub struct OffsetCommitKey: 0..=0, flexible none {
        /// The group.
        group: Text [0..=0],
        /// The topic's name.
        topic: Text [0..=0],
        /// The partition.
        partition: PartitionIndex [0..=0],
    }

    /// A stored offset.
    pub struct OffsetCommitValue: 0..=4, flexible 4 {
        /// The offset.
        offset: Offset [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [3.., default LeaderEpoch::NONE],
        /// What the member says of itself, as its protocol encodes it.
        metadata: Text [0..],
        /// When it was committed.
        commit_timestamp: Timestamp [0..],
        /// When it expires; −1 by the broker's retention.
        expire_timestamp: Timestamp [1..=1, default Timestamp::NONE],
        /// The topic's id.
        topic_id: Uuid [4.., tag 0],
    }

    /// Key of a classic group (2).
    pub struct GroupMetadataKey: 0..=0, flexible none {
        /// The group.
        group: Text [0..=0],
    }

    /// A classic group and its members.
    pub struct GroupMetadataValue: 0..=4, flexible 4 {
        /// The type of the protocol, such as `consumer`.
        protocol_type: Text [0..],
        /// The generation.
        generation: i32 [0..],
        /// The protocol in use; null while there is none.
        protocol: Option<Text> [0.., nullable 0..],
        /// The leader.
        leader: Option<Text> [0.., nullable 0..],
        /// When the group came into its state; −1 unknown.
        current_state_timestamp: Timestamp [2.., default Timestamp::NONE],
        /// The members.
        members: Vec<GroupMetadataMember> [0..],
    }

    /// A member.
    pub struct GroupMetadataMember {
        /// The member.
        member_id: Text [0..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<Text> [3.., nullable 3..],
        /// What the client calls itself.
        client_id: Text [0..],
        /// The host that the client connects from.
        client_host: Text [0..],
        /// Milliseconds that a member may take to join again.
        rebalance_timeout: i32 [1.., default -1],
        /// Milliseconds without a heartbeat after which the member counts as gone.
        session_timeout: i32 [0..],
        /// What the member subscribes to, as its protocol encodes it.
        subscription: Bytes [0..],
        /// The assignment.
        assignment: Bytes [0..],
    }
}
