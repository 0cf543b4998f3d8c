//! What an assignor is given, and what it makes.

use std::collections::{BTreeMap, BTreeSet};

use milena_protocol::codec::Text;
use milena_protocol::ids::{PartitionIndex, Uuid};

/// Partitions by topic; no topic stands there without partitions.
pub type Partitions = BTreeMap<Uuid, BTreeSet<PartitionIndex>>;

/// What each member shall have; every member stands there.
pub type Assignment = BTreeMap<Text, Partitions>;

/// A member, as far as assignors care.
#[derive(Clone, Copy, Debug)]
pub struct Subscriber<'a> {
    /// The name of a static member.
    pub instance_id: Option<&'a Text>,
    /// The topics subscribed to, of those that exist.
    pub topics: &'a BTreeSet<Uuid>,
    /// What it was to have until now.
    pub owned: Option<&'a Partitions>,
}

/// A group that wants an assignment.
#[derive(Clone, Debug, Default)]
pub struct Spec<'a> {
    /// The members.
    pub members: BTreeMap<&'a Text, Subscriber<'a>>,
    /// How many partitions each topic has.
    pub partition_counts: BTreeMap<Uuid, i32>,
}

impl Spec<'_> {
    pub(super) fn partition_count(&self, topic: &Uuid) -> i32 {
        self.partition_counts.get(topic).copied().unwrap_or(0).max(0)
    }
}
