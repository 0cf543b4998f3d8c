//! DescribeGroups (15), versions 0–6: states and members of classic groups.
//!
//! Version 3 brought authorized operations, 4 static members, 6 an error message.

use bytes::Bytes;

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// Asks about groups.
    pub struct DescribeGroupsRequest: 0..=6, flexible 5 {
        /// The groups.
        groups: Vec<Text> [0..],
        /// Whether to say what the caller may do.
        include_authorized_operations: bool [3..],
    }

    /// The groups.
    pub struct DescribeGroupsResponse: 0..=6, flexible 5 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [1..],
        /// The groups.
        groups: Vec<DescribeGroupsGroup> [0..],
    }

    /// A group.
    pub struct DescribeGroupsGroup {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [6.., nullable 6..],
        /// The group.
        group_id: Text [0..],
        /// The group's state, by name.
        group_state: Text [0..],
        /// The type of the protocol, such as `consumer`.
        protocol_type: Text [0..],
        /// The name of the protocol in use.
        protocol_data: Text [0..],
        /// The members.
        members: Vec<DescribeGroupsMember> [0..],
        /// What the caller may do, as bits.
        authorized_operations: i32 [3.., default i32::MIN],
    }

    /// A member.
    pub struct DescribeGroupsMember {
        /// The member.
        member_id: Text [0..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<Text> [4.., nullable 4..],
        /// What the client calls itself.
        client_id: Text [0..],
        /// The host that the client connects from.
        client_host: Text [0..],
        /// What the member subscribes to, as its protocol encodes it.
        member_metadata: Bytes [0..],
        /// What the member is assigned, as its protocol encodes it.
        member_assignment: Bytes [0..],
    }
}

request!(DescribeGroups, DescribeGroupsRequest => DescribeGroupsResponse);
