//! JoinGroup (11), versions 0–9: joins a classic group and waits for the next generation.
//!
//! Version 4 makes new members join twice, 5 brought static members, 7 the protocol type, 8 a
//! reason, 9 leaves the assignment out where it is not needed.

use bytes::Bytes;

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// Joins a group.
    pub struct JoinGroupRequest: 0..=9, flexible 6 {
        /// The group.
        group_id: Text [0..],
        /// Milliseconds without a heartbeat after which a member counts as gone.
        session_timeout_ms: i32 [0..],
        /// Milliseconds that a member may take to give up its partitions.
        rebalance_timeout_ms: i32 [1.., default -1],
        /// The member.
        member_id: Text [0..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<Text> [5.., nullable 5..],
        /// The type of the protocol, such as `consumer`.
        protocol_type: Text [0..],
        /// The protocols that the member could use, best first.
        protocols: Vec<JoinGroupRequestProtocol> [0..],
        /// Why, in words.
        reason: Option<Text> [8.., nullable 8..],
    }

    /// A protocol and what the member says in it.
    pub struct JoinGroupRequestProtocol {
        /// The name.
        name: Text [0..],
        /// What the member says of itself, as its protocol encodes it.
        metadata: Bytes [0..],
    }

    /// The generation, and for its leader all members.
    pub struct JoinGroupResponse: 0..=9, flexible 6 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [2..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The generation; −1 none.
        generation_id: i32 [0.., default -1],
        /// The type of the protocol, such as `consumer`.
        protocol_type: Option<Text> [7.., nullable 7..],
        /// The name of the protocol in use.
        protocol_name: Option<Text> [0.., nullable 7..],
        /// The leader.
        leader: Text [0..],
        /// Whether the leader need not compute an assignment.
        skip_assignment: bool [9..],
        /// The member.
        member_id: Text [0..],
        /// The members.
        members: Vec<JoinGroupResponseMember> [0..],
    }

    /// A member.
    pub struct JoinGroupResponseMember {
        /// The member.
        member_id: Text [0..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<Text> [5.., nullable 5..],
        /// What the member says of itself, as its protocol encodes it.
        metadata: Bytes [0..],
    }
}

request!(JoinGroup, JoinGroupRequest => JoinGroupResponse);
