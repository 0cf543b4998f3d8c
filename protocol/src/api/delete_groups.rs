//! DeleteGroups (42), versions 0–2: deletes groups and their offsets.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// Groups to delete.
    pub struct DeleteGroupsRequest: 0..=2, flexible 2 {
        /// The groups.
        groups_names: Vec<Text> [0..],
    }

    /// What became of each group.
    pub struct DeleteGroupsResponse: 0..=2, flexible 2 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// The results.
        results: Vec<DeleteGroupsResult> [0..],
    }

    /// One result.
    pub struct DeleteGroupsResult {
        /// The group.
        group_id: Text [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
    }
}

request!(DeleteGroups, DeleteGroupsRequest => DeleteGroupsResponse);
