//! LeaveGroup (13), versions 0–5: leaves a classic group.
//!
//! Version 3 takes several members and static ones, 5 a reason.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// Members that leave.
    pub struct LeaveGroupRequest: 0..=5, flexible 4 {
        /// The group.
        group_id: Text [0..],
        /// The member.
        member_id: Text [0..=2],
        /// The members.
        members: Vec<LeaveGroupMember> [3..],
    }

    /// A member.
    pub struct LeaveGroupMember {
        /// The member.
        member_id: Text [3..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<Text> [3.., nullable 3..],
        /// Why, in words.
        reason: Option<Text> [5.., nullable 5..],
    }

    /// What became of each member.
    pub struct LeaveGroupResponse: 0..=5, flexible 4 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [1..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The members.
        members: Vec<LeaveGroupMemberResponse> [3..],
    }

    /// A member in the answer.
    pub struct LeaveGroupMemberResponse {
        /// The member.
        member_id: Text [3..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<Text> [3.., nullable 3..],
        /// What went wrong, or none.
        error_code: ErrorCode [3..],
    }
}

request!(LeaveGroup, LeaveGroupRequest => LeaveGroupResponse);
