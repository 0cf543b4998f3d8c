//! SyncGroup (14), versions 0–5: hands out the assignment of a classic group's generation.
//!
//! Version 3 brought static members, 5 the protocol's type and name.

use bytes::Bytes;

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// The leader's assignments; empty from everyone else.
    pub struct SyncGroupRequest: 0..=5, flexible 4 {
        /// The group.
        group_id: Text [0..],
        /// The generation; −1 none.
        generation_id: i32 [0..],
        /// The member.
        member_id: Text [0..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<Text> [3.., nullable 3..],
        /// The type of the protocol, such as `consumer`.
        protocol_type: Option<Text> [5.., nullable 5..],
        /// The name of the protocol in use.
        protocol_name: Option<Text> [5.., nullable 5..],
        /// The assignments.
        assignments: Vec<SyncGroupRequestAssignment> [0..],
    }

    /// One member's assignment.
    pub struct SyncGroupRequestAssignment {
        /// The member.
        member_id: Text [0..],
        /// The assignment.
        assignment: Bytes [0..],
    }

    /// The assignment of the asking member.
    pub struct SyncGroupResponse: 0..=5, flexible 4 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [1..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The type of the protocol, such as `consumer`.
        protocol_type: Option<Text> [5.., nullable 5..],
        /// The name of the protocol in use.
        protocol_name: Option<Text> [5.., nullable 5..],
        /// The assignment.
        assignment: Bytes [0..],
    }
}

request!(SyncGroup, SyncGroupRequest => SyncGroupResponse);
