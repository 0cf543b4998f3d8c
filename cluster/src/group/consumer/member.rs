//! A member of a consumer group: what it said of itself, and what it owns.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use milena_protocol::codec::Text;
use milena_protocol::ids::{PartitionIndex, Uuid};

/// Partitions by topic, each with the epoch in which it was assigned; no topic stands there
/// without partitions.
pub type Owned = BTreeMap<Uuid, BTreeMap<PartitionIndex, i32>>;

/// The epoch of a static member that has left for a while.
pub const LEFT_FOR_A_WHILE: i32 = -2;
/// The epoch with which a member leaves.
pub const LEAVES: i32 = -1;

/// How far a member is on its way to the target assignment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberState {
    /// It has what it shall have in its epoch.
    #[default]
    Stable,
    /// It has yet to give up partitions.
    UnrevokedPartitions,
    /// It waits for partitions that others have yet to give up.
    UnreleasedPartitions,
    /// Written by a version that knows more states.
    Unknown(i8),
}

impl MemberState {
    /// The state of a number.
    #[must_use]
    pub const fn of_code(code: i8) -> Self {
        match code {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            other => Self::Unknown(other),
        }
    }

    /// Its number.
    #[must_use]
    pub const fn code(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedPartitions => 1,
            Self::UnreleasedPartitions => 2,
            Self::Unknown(code) => code,
        }
    }
}

/// What a member that uses the classic protocol needs besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicMember {
    /// Without a sign of life for so long, it counts as gone.
    pub session_timeout: Duration,
    /// The protocols that it could use, and what it says in each.
    pub protocols: Vec<ClassicProtocol>,
}

/// A classic protocol and what a member says in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicProtocol {
    /// The name.
    pub name: Text,
    /// A consumer's subscription, as bytes.
    pub metadata: Bytes,
}

/// What a member has in its records besides texts: epochs, timeouts and lengths.
const MEMBER_BYTES: usize = 200;
/// What the length of a text takes.
const LENGTH_BYTES: usize = 5;

/// A member of a consumer group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: Text,
    /// The name of a static member.
    pub instance_id: Option<Text>,
    /// The rack.
    pub rack_id: Option<Text>,
    /// What the client calls itself.
    pub client_id: Text,
    /// The host that the client connects from.
    pub client_host: Text,
    /// The topics subscribed to by name.
    pub topics: BTreeSet<Text>,
    /// The pattern of the topics subscribed to; never empty.
    pub expression: Option<Text>,
    /// Milliseconds that it may take to give up its partitions; −1 unknown.
    pub rebalance_timeout_ms: i32,
    /// The assignor that it wants.
    pub assignor: Option<Text>,
    /// What it needs besides where it uses the classic protocol.
    pub classic: Option<ClassicMember>,
    /// Its epoch.
    pub epoch: i32,
    /// Its epoch before.
    pub previous_epoch: i32,
    /// How far it is.
    pub state: MemberState,
    /// What it has, or is told that it has.
    pub assigned: Owned,
    /// What it has yet to give up.
    pub pending: Owned,
}

impl Member {
    /// A member that nothing is known of.
    #[must_use]
    pub fn new(id: Text) -> Self {
        Self { id, rebalance_timeout_ms: -1, previous_epoch: -1, ..Self::default() }
    }

    /// What it says of itself, in bytes of its records, or more.
    pub(super) fn said_bytes(&self) -> usize {
        let optional =
            [&self.instance_id, &self.rack_id, &self.expression, &self.assignor].into_iter();
        let optional: usize = optional.flatten().map(|text| text.len()).sum();
        let topics: usize = self.topics.iter().map(|topic| topic.len() + LENGTH_BYTES).sum();
        let classic = self.classic.iter().flat_map(|classic| &classic.protocols);
        let classic = classic.map(|it| it.name.len() + it.metadata.len() + 2 * LENGTH_BYTES);
        let names = self.client_id.len() + self.client_host.len();
        // Three records have its id in their keys.
        MEMBER_BYTES + 3 * self.id.len() + optional + topics + classic.sum::<usize>() + names
    }

    /// How long it may take to give up its partitions.
    #[must_use]
    pub fn rebalance_timeout(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.rebalance_timeout_ms).unwrap_or(0))
    }

    /// Whether it has reached an assignment epoch, and has everything that it shall have there.
    #[must_use]
    pub fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == epoch
    }

    /// Everything that it has or has yet to give up.
    pub fn owned(&self) -> impl Iterator<Item = (Uuid, PartitionIndex)> {
        let each = |(topic, partitions): (&Uuid, &BTreeMap<PartitionIndex, i32>)| {
            let topic = *topic;
            partitions.keys().map(move |partition| (topic, *partition)).collect::<Vec<_>>()
        };
        self.assigned.iter().chain(&self.pending).flat_map(each)
    }

    /// The epoch in which it was assigned a partition that it has or has yet to give up.
    #[must_use]
    pub fn assigned_in(&self, topic: Uuid, partition: PartitionIndex) -> Option<i32> {
        let find = |owned: &Owned| owned.get(&topic)?.get(&partition).copied();
        find(&self.assigned).or_else(|| find(&self.pending))
    }

    /// Whether it says the same of itself as another; what it owns does not count.
    pub(super) fn says_the_same_as(&self, other: &Self) -> bool {
        self.id == other.id
            && self.instance_id == other.instance_id
            && self.rack_id == other.rack_id
            && self.client_id == other.client_id
            && self.client_host == other.client_host
            && self.rebalance_timeout_ms == other.rebalance_timeout_ms
            && self.assignor == other.assignor
            && self.classic == other.classic
            && self.subscribes_like(other)
    }

    /// Whether it subscribes to the same as another.
    pub(super) fn subscribes_like(&self, other: &Self) -> bool {
        self.topics == other.topics && self.expression == other.expression
    }

    /// Whether it owns the same, in the same state and epoch, as another.
    pub(super) fn stands_like(&self, other: &Self) -> bool {
        self.epoch == other.epoch
            && self.previous_epoch == other.previous_epoch
            && self.state == other.state
            && self.assigned == other.assigned
            && self.pending == other.pending
    }
}
