//! UpdateRaftVoter (82), version 0: a voter tells its endpoints and versions (KIP-853).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, NodeId, Uuid};
use crate::message;

message! {
    /// The voter.
    pub struct UpdateRaftVoterRequest: 0..=0, flexible 0 {
        /// The cluster's id.
        cluster_id: Option<Text> [0.., nullable 0..],
        /// The leader epoch that the client believes in; −1 does not check.
        current_leader_epoch: LeaderEpoch [0..],
        /// The voter.
        voter_id: NodeId [0..],
        /// The voter's directory.
        voter_directory_id: Uuid [0..],
        /// Where it listens.
        listeners: Vec<UpdateRaftVoterListener> [0..],
        /// The levels that it can run at.
        kraft_version_feature: UpdateRaftVoterKRaftVersionFeature [0..],
    }

    /// A place to connect to.
    pub struct UpdateRaftVoterListener {
        /// The name.
        name: Text [0..],
        /// The host.
        host: Text [0..],
        /// The port.
        port: u16 [0..],
    }

    /// The levels of the quorum's protocol that a voter can run at.
    pub struct UpdateRaftVoterKRaftVersionFeature {
        /// The lowest level that it can run at.
        min_supported_version: i16 [0..],
        /// The highest level that it can run at.
        max_supported_version: i16 [0..],
    }

    /// Whether it was updated.
    pub struct UpdateRaftVoterResponse: 0..=0, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The leader and its epoch, where the one that was asked is not it.
        current_leader: UpdateRaftVoterCurrentLeader [0.., tag 0],
    }

    /// A leader and its epoch.
    pub struct UpdateRaftVoterCurrentLeader {
        /// The leader, −1 none.
        leader_id: NodeId [0.., default NodeId::NONE],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [0.., default LeaderEpoch::NONE],
        /// The host.
        host: Text [0..],
        /// The port.
        port: i32 [0..],
    }
}

request!(UpdateRaftVoter, UpdateRaftVoterRequest => UpdateRaftVoterResponse);
