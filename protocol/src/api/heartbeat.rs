//! Heartbeat (12), versions 0–4: tells a classic group that a member lives.
//!
//! Version 3 brought static members.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// A sign of life.
    pub struct HeartbeatRequest: 0..=4, flexible 4 {
        /// The group.
        group_id: Text [0..],
        /// The generation; −1 none.
        generation_id: i32 [0..],
        /// The member.
        member_id: Text [0..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<Text> [3.., nullable 3..],
    }

    /// Whether the member still belongs to the generation.
    pub struct HeartbeatResponse: 0..=4, flexible 4 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [1..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
    }
}

request!(Heartbeat, HeartbeatRequest => HeartbeatResponse);
