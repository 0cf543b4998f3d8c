//! A consumer group: its members, what each shall have, and what each has.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use milena_protocol::codec::Text;
use milena_protocol::ids::{Offset, PartitionIndex, Timestamp, Uuid};

use super::interest::Interest;
use super::member::Member;
use super::pace::Pace;
use super::rules::{Kip848, Rules};
use crate::group::assignor::Partitions;
use crate::time::Instant;

/// Where a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has no members.
    Empty,
    /// Something has changed since the assignment was made.
    Assigning,
    /// Members are on their way to the assignment.
    Reconciling,
    /// Everyone has what it shall have.
    Stable,
}

impl State {
    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

/// The topics that a regular expression stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Expression {
    pub topics: BTreeSet<Text>,
    /// The metadata that it was looked up in.
    pub version: i64,
    pub timestamp: Timestamp,
}

/// The times of a member, which are not in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Timer {
    /// When it counts as gone without another sign of life.
    pub session_at: Option<Instant>,
    /// Since which epoch it is to give up partitions, and until when.
    pub revocation: Option<(i32, Instant)>,
    /// When a member of the classic protocol must have joined again, or asked for its part.
    pub classic_at: Option<Instant>,
}

/// What is not in the log and may be forgotten.
#[derive(Clone, Debug, Default)]
pub(super) struct Soft {
    pub timers: BTreeMap<Text, Timer>,
    /// Nothing is due before.
    pub earliest_at: Option<Instant>,
    pub pace: Pace,
    /// The metadata that the hash was last compared with.
    pub compared_with: Option<Offset>,
    pub hashed: Option<Hashed>,
}

/// A hash over topics, and of what.
#[derive(Clone, Debug)]
pub(super) struct Hashed {
    pub version: Offset,
    pub names: BTreeSet<Text>,
    pub hash: i64,
}

/// A consumer group.
#[derive(Clone, Debug)]
pub struct Group<R: Rules = Kip848> {
    pub(super) id: Text,
    /// Grows with every change of members, subscriptions or topics; 0 where nothing is recorded.
    pub(super) epoch: i32,
    pub(super) metadata_hash: i64,
    /// The group epoch that the target assignment was made for.
    pub(super) assignment_epoch: i32,
    pub(super) members: BTreeMap<Text, Member>,
    /// Static members by their names.
    pub(super) instances: BTreeMap<Text, Text>,
    /// What the members subscribe to.
    pub(super) interest: Interest,
    pub(super) targets: BTreeMap<Text, Partitions>,
    pub(super) expressions: BTreeMap<Text, Expression>,
    /// Who has a partition, or has yet to give it up.
    pub(super) owners: BTreeMap<Uuid, BTreeMap<PartitionIndex, Text>>,
    /// Whether a record of an older version says what the topics are.
    pub(super) has_topics_record: bool,
    pub(super) soft: Soft,
    rules: PhantomData<R>,
}

impl<R: Rules> Group<R> {
    /// A group that nothing is known of.
    #[must_use]
    pub fn new(id: Text) -> Self {
        Self {
            id,
            epoch: 0,
            metadata_hash: 0,
            assignment_epoch: 0,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            interest: Interest::default(),
            targets: BTreeMap::new(),
            expressions: BTreeMap::new(),
            owners: BTreeMap::new(),
            has_topics_record: false,
            soft: Soft::default(),
            rules: PhantomData,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &Text {
        &self.id
    }

    /// Its epoch; 0 where nothing of it is recorded.
    #[must_use]
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The group epoch that the target assignment was made for.
    #[must_use]
    pub fn assignment_epoch(&self) -> i32 {
        self.assignment_epoch
    }

    /// Whether anything of it is in the log: a group of which nothing is may be forgotten.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.epoch > 0 || !self.members.is_empty()
    }

    /// Whether nobody is in it.
    #[must_use]
    pub fn is_deserted(&self) -> bool {
        self.members.is_empty()
    }

    /// How many members it has.
    #[must_use]
    pub fn member_count(&self) -> usize {
        self.members.len()
    }

    /// Its members in the order of their ids.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    /// A member.
    #[must_use]
    pub fn member(&self, id: &str) -> Option<&Member> {
        self.members.get(id)
    }

    /// What a member shall have.
    #[must_use]
    pub fn target(&self, member_id: &str) -> Option<&Partitions> {
        self.targets.get(member_id)
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        let reached = |member: &Member| member.is_reconciled_to(self.assignment_epoch);
        if self.members.is_empty() {
            State::Empty
        } else if self.epoch > self.assignment_epoch {
            State::Assigning
        } else if self.members.values().all(reached) {
            State::Stable
        } else {
            State::Reconciling
        }
    }

    /// Who has a partition, or has yet to give it up.
    #[must_use]
    pub fn owner(&self, topic: Uuid, partition: PartitionIndex) -> Option<&Text> {
        self.owners.get(&topic)?.get(&partition)
    }

    /// Panics when the group contradicts itself.
    pub fn check_invariants(&self) {
        let mut owned = 0;
        for (id, member) in &self.members {
            assert_eq!(*id, member.id, "a member knows its id");
            assert!(member.epoch <= self.epoch, "{id} is ahead of the group");
            for (topic, partition) in member.owned() {
                let owner = self.owner(topic, partition);
                assert_eq!(owner, Some(id), "{topic}-{partition} is owned twice");
                owned += 1;
            }
            if let Some(instance_id) = &member.instance_id {
                assert_eq!(self.instances.get(instance_id), Some(id), "a name stands for one");
            }
            let has_nothing_empty =
                |owned: &super::member::Owned| owned.values().all(|topic| !topic.is_empty());
            assert!(has_nothing_empty(&member.assigned) && has_nothing_empty(&member.pending));
        }
        let noted: usize = self.owners.values().map(BTreeMap::len).sum();
        assert_eq!(noted, owned, "nobody owns what nobody has");
        assert!(self.assignment_epoch <= self.epoch, "an assignment is of an epoch that there was");
        let mut targeted = BTreeSet::new();
        for (id, partitions) in &self.targets {
            assert!(self.members.contains_key(id), "{id} is no member and shall have partitions");
            for (topic, partitions) in partitions {
                for partition in partitions {
                    assert!(targeted.insert((topic, partition)), "two shall have {topic}");
                }
            }
        }
        for id in self.instances.values() {
            assert!(self.members.contains_key(id), "a static member is a member");
        }
        let mut interest = Interest::default();
        self.members.values().for_each(|member| interest.add(member));
        assert_eq!(self.interest, interest, "subscriptions are counted");
        let is_wanted = |expression: &Text| interest.has_expression(expression);
        assert!(self.expressions.keys().all(is_wanted), "an expression has subscribers");
    }
}
