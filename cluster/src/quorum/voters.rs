//! Who votes: the set of voters, and its history along the log (KIP-853).
//!
//! A set counts from the moment its record is appended, committed or not; a truncation takes it
//! back. Below level 1 of `kraft.version` the voters are configured and their directories unknown;
//! a key without a directory then stands for the node whatever its directory.

use std::collections::BTreeMap;

use milena_protocol::ids::{NodeId, Offset, Uuid};

/// A replica of the metadata log: a node, and the directory that holds its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplicaKey {
    /// The node.
    pub id: NodeId,
    /// Its directory; zero where it is not known.
    pub directory_id: Uuid,
}

impl ReplicaKey {
    /// Whether both may be the same replica: same node, and no two different directories.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        let is_unknown = self.directory_id == Uuid::ZERO || other.directory_id == Uuid::ZERO;
        self.id == other.id && (is_unknown || self.directory_id == other.directory_id)
    }
}

/// A place where a voter listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name.
    pub name: String,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// The replica.
    pub key: ReplicaKey,
    /// Where it listens.
    pub endpoints: Vec<Endpoint>,
    /// The lowest and highest level of `kraft.version` that it can run at.
    pub kraft_versions: (i16, i16),
}

impl Voter {
    /// A voter of which only the key is known.
    #[must_use]
    pub fn bare(key: ReplicaKey) -> Self {
        Self { key, endpoints: Vec::new(), kraft_versions: KRAFT_VERSIONS }
    }
}

/// The levels of `kraft.version` that this code runs at.
pub const KRAFT_VERSIONS: (i16, i16) = (0, 1);
/// The level from which the voters stand in the log.
pub const DYNAMIC_VOTERS: i16 = 1;

/// The voters of the quorum, by their node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoterSet(BTreeMap<NodeId, Voter>);

impl FromIterator<Voter> for VoterSet {
    fn from_iter<I: IntoIterator<Item = Voter>>(voters: I) -> Self {
        Self(voters.into_iter().map(|voter| (voter.key.id, voter)).collect())
    }
}

impl VoterSet {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none: a member that does not know the quorum yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The voter of a node.
    #[must_use]
    pub fn voter(&self, id: NodeId) -> Option<&Voter> {
        self.0.get(&id)
    }

    /// Whether a replica is a voter.
    #[must_use]
    pub fn contains(&self, key: &ReplicaKey) -> bool {
        self.0.get(&key.id).is_some_and(|voter| voter.key.matches(key))
    }

    /// Whether a replica is the only voter.
    #[must_use]
    pub fn is_only(&self, key: &ReplicaKey) -> bool {
        self.len() == 1 && self.contains(key)
    }

    /// The voters, in the order of their nodes.
    pub fn iter(&self) -> impl Iterator<Item = &Voter> {
        self.0.values()
    }

    /// Their nodes, in order.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.0.keys().copied()
    }

    /// Their keys, in the order of their nodes.
    #[must_use]
    pub fn keys(&self) -> Vec<ReplicaKey> {
        self.iter().map(|voter| voter.key).collect()
    }

    /// The set with a voter more, or with the voter of that node replaced.
    #[must_use]
    pub fn with(&self, voter: Voter) -> Self {
        let mut voters = self.clone();
        voters.0.insert(voter.key.id, voter);
        voters
    }

    /// The set without the voter of a node.
    #[must_use]
    pub fn without(&self, id: NodeId) -> Self {
        let mut voters = self.clone();
        voters.0.remove(&id);
        voters
    }
}

/// Level and voters at one place of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The level of `kraft.version`.
    pub kraft_version: i16,
    /// The voters.
    pub voters: VoterSet,
}

/// The levels and the sets along the log.
#[derive(Clone, Debug)]
pub struct VoterHistory {
    /// What holds below the first record: configured, or from a snapshot.
    base: Membership,
    versions: BTreeMap<Offset, i16>,
    sets: BTreeMap<Offset, VoterSet>,
}

impl VoterHistory {
    /// A history that begins with what is configured, or with a snapshot.
    #[must_use]
    pub fn new(base: Membership) -> Self {
        Self { base, versions: BTreeMap::new(), sets: BTreeMap::new() }
    }

    /// The voters that count.
    #[must_use]
    pub fn voters(&self) -> &VoterSet {
        self.sets.values().next_back().unwrap_or(&self.base.voters)
    }

    /// The level that counts.
    #[must_use]
    pub fn kraft_version(&self) -> i16 {
        self.versions.values().next_back().copied().unwrap_or(self.base.kraft_version)
    }

    /// Where the record of the voters stands; none where they come from below the log.
    #[must_use]
    pub fn changed_at(&self) -> Option<Offset> {
        self.sets.keys().next_back().copied()
    }

    /// What held at an end offset.
    #[must_use]
    pub fn at(&self, end_offset: Offset) -> Membership {
        let versions = self.versions.range(..end_offset).next_back();
        let sets = self.sets.range(..end_offset).next_back();
        Membership {
            kraft_version: versions.map_or(self.base.kraft_version, |(_, version)| *version),
            voters: sets.map_or(&self.base.voters, |(_, voters)| voters).clone(),
        }
    }

    /// A level was appended.
    pub fn set_version(&mut self, offset: Offset, version: i16) {
        self.versions.insert(offset, version);
    }

    /// A set was appended.
    pub fn set_voters(&mut self, offset: Offset, voters: VoterSet) {
        self.sets.insert(offset, voters);
    }

    /// The log was cut to end here.
    pub fn truncate(&mut self, end_offset: Offset) {
        self.versions.split_off(&end_offset);
        self.sets.split_off(&end_offset);
    }

    /// The log begins here now; what held there is kept.
    pub fn trim(&mut self, start_offset: Offset) {
        self.base = self.at(start_offset);
        self.versions = self.versions.split_off(&start_offset);
        self.sets = self.sets.split_off(&start_offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ids: &[i32]) -> VoterSet {
        let key = |id: &i32| ReplicaKey { id: NodeId(*id), directory_id: Uuid::from_u128(7) };
        ids.iter().map(|id| Voter::bare(key(id))).collect()
    }

    /// A set that was cut off would go on counting votes.
    #[test]
    fn a_truncation_takes_a_set_back() {
        let mut history = VoterHistory::new(Membership { kraft_version: 1, voters: set(&[1]) });
        history.set_voters(Offset(5), set(&[1, 2]));
        history.set_voters(Offset(9), set(&[1, 2, 3]));
        assert_eq!(history.voters().len(), 3);
        history.truncate(Offset(9));
        assert_eq!((history.voters().len(), history.changed_at()), (2, Some(Offset(5))));
        assert_eq!(history.at(Offset(5)).voters, set(&[1]), "an end is exclusive");
        history.trim(Offset(6));
        assert_eq!((history.voters().len(), history.changed_at()), (2, None));
        history.truncate(Offset(6));
        assert_eq!(*history.voters(), set(&[1, 2]));
    }

    /// A disk that was replaced would vote for the one that it lost.
    #[test]
    fn another_directory_is_another_voter() {
        let voters = set(&[1]);
        let key =
            |directory| ReplicaKey { id: NodeId(1), directory_id: Uuid::from_u128(directory) };
        assert!(voters.contains(&key(7)) && voters.contains(&key(0)));
        assert!(!voters.contains(&key(8)));
    }
}
