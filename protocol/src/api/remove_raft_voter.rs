//! RemoveRaftVoter (81), version 0: removes a voter from the quorum (KIP-853).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{NodeId, Uuid};
use crate::message;

message! {
    /// The voter.
    pub struct RemoveRaftVoterRequest: 0..=0, flexible 0 {
        /// The cluster's id.
        cluster_id: Option<Text> [0.., nullable 0..],
        /// The voter.
        voter_id: NodeId [0..],
        /// The voter's directory.
        voter_directory_id: Uuid [0..],
    }

    /// Whether it was removed.
    pub struct RemoveRaftVoterResponse: 0..=0, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
    }
}

request!(RemoveRaftVoter, RemoveRaftVoterRequest => RemoveRaftVoterResponse);
