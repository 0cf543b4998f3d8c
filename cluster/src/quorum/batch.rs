//! Batches of the metadata log as the machine sees them: their place, and what they say about the
//! quorum itself.

use bytes::Bytes;
use milena_protocol::ids::{LeaderEpoch, Offset, Timestamp};

use super::voters::{Membership, ReplicaKey, VoterSet};

/// A batch that a leader appends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// The epoch that it belongs to.
    pub epoch: LeaderEpoch,
    /// The time that it is stamped with.
    pub timestamp: Timestamp,
    /// What it holds.
    pub content: Content,
}

/// What a batch of the metadata log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The control record that begins an epoch.
    LeaderChange {
        /// The leader.
        leader: ReplicaKey,
        /// All voters.
        voters: Vec<ReplicaKey>,
        /// Those that voted for the leader.
        granting: Vec<ReplicaKey>,
        /// The level of `kraft.version`: at 0 directories are left out.
        kraft_version: i16,
    },
    /// The control records of the level of `kraft.version` and of the voters: both or none.
    Membership(Membership),
    /// The control record of the voters.
    Voters(VoterSet),
    /// Record values of the controller.
    Records(Vec<Bytes>),
}

impl Content {
    /// How many records it is.
    #[must_use]
    pub fn record_count(&self) -> i64 {
        match self {
            Self::LeaderChange { .. } | Self::Voters(_) => 1,
            Self::Membership(_) => 2,
            Self::Records(values) => values.len() as i64,
        }
    }

    /// What it says about the quorum, record by record.
    #[must_use]
    pub fn control(&self) -> Vec<Control> {
        match self {
            Self::Membership(Membership { kraft_version, voters }) => {
                vec![Control::KraftVersion(*kraft_version), Control::Voters(voters.clone())]
            }
            Self::Voters(voters) => vec![Control::Voters(voters.clone())],
            Self::LeaderChange { .. } | Self::Records(_) => Vec::new(),
        }
    }
}

impl Append {
    /// Its control records that change who votes, each with its offset.
    #[must_use]
    pub fn control(&self) -> Vec<(Offset, Control)> {
        let records = self.content.control().into_iter().enumerate();
        records.map(|(index, control)| (self.base_offset.plus(index as i64), control)).collect()
    }

    /// The offset after its last record.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.base_offset.plus(self.content.record_count())
    }
}

/// A control record that changes who votes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// The level of `kraft.version`.
    KraftVersion(i16),
    /// The voters.
    Voters(VoterSet),
}

/// A batch that a follower takes over as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// The offset after its last record.
    pub end_offset: Offset,
    /// The epoch that it belongs to.
    pub epoch: LeaderEpoch,
    /// Its control records, each with its offset; most batches have none.
    pub control: Vec<(Offset, Control)>,
    /// Its bytes. The driver has verified their checksum.
    pub bytes: Bytes,
}
