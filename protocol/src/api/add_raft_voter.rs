//! AddRaftVoter (80), versions 0–1: adds a voter to the quorum (KIP-853).
//!
//! Version 1 can answer before the change is committed.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{NodeId, Uuid};
use crate::message;

message! {
    /// The new voter.
    pub struct AddRaftVoterRequest: 0..=1, flexible 0 {
        /// The cluster's id.
        cluster_id: Option<Text> [0.., nullable 0..],
        /// Milliseconds to wait for the change.
        timeout_ms: i32 [0..],
        /// The voter.
        voter_id: NodeId [0..],
        /// The voter's directory.
        voter_directory_id: Uuid [0..],
        /// Where it listens.
        listeners: Vec<AddRaftVoterListener> [0..],
        /// Whether to answer only when the change is committed.
        ack_when_committed: bool [1.., default true],
    }

    /// A place to connect to.
    pub struct AddRaftVoterListener {
        /// The name.
        name: Text [0..],
        /// The host.
        host: Text [0..],
        /// The port.
        port: u16 [0..],
    }

    /// Whether it was added.
    pub struct AddRaftVoterResponse: 0..=1, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
    }
}

request!(AddRaftVoter, AddRaftVoterRequest => AddRaftVoterResponse);
