//! The values of control records: who leads, who votes, where snapshots begin and end, and how a
//! transaction ended.
//!
//! The bodies of quorum records stand alone in the value; that of an end-of-transaction marker
//! follows its version, an `int16`.

use crate::codec::Text;
use crate::ids::{NodeId, Timestamp, Uuid};
use crate::message;
use crate::message::Shape;

message! {
    /// A new leader of the quorum and who voted for it; the first record of its epoch.
    pub struct LeaderChangeMessage: 0..=1, flexible 0 {
        /// The version.
        version: i16 [0..],
        /// The leader, −1 none.
        leader_id: NodeId [0..],
        /// The voters.
        voters: Vec<LeaderChangeVoter> [0..],
        /// The voters that voted for the leader.
        granting_voters: Vec<LeaderChangeVoter> [0..],
    }

    /// A voter.
    pub struct LeaderChangeVoter {
        /// The voter.
        voter_id: NodeId [0..],
        /// The voter's directory.
        voter_directory_id: Uuid [1..],
    }

    /// The first record of a snapshot.
    pub struct SnapshotHeaderRecord: 0..=0, flexible 0 {
        /// The version.
        version: i16 [0..],
        /// The time of the last batch that the snapshot holds.
        last_contained_log_timestamp: Timestamp [0..],
    }

    /// The last record of a snapshot; without it the snapshot is not whole.
    pub struct SnapshotFooterRecord: 0..=0, flexible 0 {
        /// The version.
        version: i16 [0..],
    }

    /// The level of the quorum's own protocol.
    pub struct KRaftVersionRecord: 0..=0, flexible 0 {
        /// The version.
        version: i16 [0..],
        /// The level.
        kraft_version: i16 [0..],
    }

    /// The voters of the quorum from here on (KIP-853).
    pub struct VotersRecord: 0..=0, flexible 0 {
        /// The version.
        version: i16 [0..],
        /// The voters.
        voters: Vec<VotersVoter> [0..],
    }

    /// A voter.
    pub struct VotersVoter {
        /// The voter.
        voter_id: NodeId [0..],
        /// The voter's directory.
        voter_directory_id: Uuid [0..],
        /// Where the voter listens.
        endpoints: Vec<VotersEndpoint> [0..],
        /// The levels that it can run at.
        kraft_version_feature: VotersKRaftVersionFeature [0..],
    }

    /// A place to connect to.
    pub struct VotersEndpoint {
        /// The name.
        name: Text [0..],
        /// The host.
        host: Text [0..],
        /// The port.
        port: u16 [0..],
    }

    /// The levels of the quorum's protocol that a voter can run at.
    pub struct VotersKRaftVersionFeature {
        /// The lowest level that it can run at.
        min_supported_version: i16 [0..],
        /// The highest level that it can run at.
        max_supported_version: i16 [0..],
    }

    /// The end of a transaction in one partition.
    pub struct EndTxnMarker: 0..=0, flexible none {
        /// The epoch of the coordinator that wrote it.
        coordinator_epoch: i32 [0..],
    }
}

/// The shapes of all that is declared here.
pub const ALL: &[Shape] = &[
    Shape::of::<LeaderChangeMessage>(),
    Shape::of::<SnapshotHeaderRecord>(),
    Shape::of::<SnapshotFooterRecord>(),
    Shape::of::<KRaftVersionRecord>(),
    Shape::of::<VotersRecord>(),
    Shape::of::<EndTxnMarker>(),
];
