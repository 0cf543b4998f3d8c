//! DeleteShareGroupOffsets (92), version 0: deletes the start offsets of a share group's topics
//! (KIP-932).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::Uuid;
use crate::message;

message! {
    /// The topics.
    pub struct DeleteShareGroupOffsetsRequest: 0..=0, flexible 0 {
        /// The group.
        group_id: Text [0..],
        /// The topics.
        topics: Vec<DeleteShareGroupOffsetsRequestTopic> [0..],
    }

    /// A topic asked about.
    pub struct DeleteShareGroupOffsetsRequestTopic {
        /// The topic's name.
        topic_name: Text [0..],
    }

    /// What became of each.
    pub struct DeleteShareGroupOffsetsResponse: 0..=0, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The topics.
        responses: Vec<DeleteShareGroupOffsetsResponseTopic> [0..],
    }

    /// A topic in the answer.
    pub struct DeleteShareGroupOffsetsResponseTopic {
        /// The topic's name.
        topic_name: Text [0..],
        /// The topic's id.
        topic_id: Uuid [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
    }
}

request!(
    DeleteShareGroupOffsets,
    DeleteShareGroupOffsetsRequest => DeleteShareGroupOffsetsResponse
);
