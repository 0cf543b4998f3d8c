//! ListGroups (16), versions 0–5: the groups that a broker coordinates.
//!
//! Version 4 filters by state, 5 by type.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// Asks for all groups of a broker.
    pub struct ListGroupsRequest: 0..=5, flexible 3 {
        /// Only these states; empty means all.
        states_filter: Vec<Text> [4..],
        /// Only these types; empty means all.
        types_filter: Vec<Text> [5..],
    }

    /// The groups.
    pub struct ListGroupsResponse: 0..=5, flexible 3 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [1..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The groups.
        groups: Vec<ListGroupsGroup> [0..],
    }

    /// A group.
    pub struct ListGroupsGroup {
        /// The group.
        group_id: Text [0..],
        /// The type of the protocol, such as `consumer`.
        protocol_type: Text [0..],
        /// The group's state, by name.
        group_state: Text [4..],
        /// The group's type, by name.
        group_type: Text [5..],
    }
}

request!(ListGroups, ListGroupsRequest => ListGroupsResponse);
