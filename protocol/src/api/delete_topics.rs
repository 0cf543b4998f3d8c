//! DeleteTopics (20), versions 1–6: deletes topics.
//!
//! Version 5 brought error messages, 6 topic ids.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::Uuid;
use crate::message;

message! {
    /// Topics to delete.
    pub struct DeleteTopicsRequest: 1..=6, flexible 4 {
        /// The topics.
        topics: Vec<DeleteTopicsTopic> [6..],
        /// The topics' names.
        topic_names: Vec<Text> [0..=5],
        /// Milliseconds to wait for the change.
        timeout_ms: i32 [0..],
    }

    /// A topic.
    pub struct DeleteTopicsTopic {
        /// The name.
        name: Option<Text> [6.., nullable 6..],
        /// The topic's id.
        topic_id: Uuid [6..],
    }

    /// What became of each topic.
    pub struct DeleteTopicsResponse: 1..=6, flexible 4 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [1..],
        /// The topics.
        responses: Vec<DeleteTopicsResult> [0..],
    }

    /// One result.
    pub struct DeleteTopicsResult {
        /// The name.
        name: Option<Text> [0.., nullable 6..],
        /// The topic's id.
        topic_id: Uuid [6..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [5.., nullable 5..],
    }
}

request!(DeleteTopics, DeleteTopicsRequest => DeleteTopicsResponse);
