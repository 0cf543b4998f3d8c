//! A member's way from what it has to what it shall have.
//!
//! ```text
//!             gives up what it shall not have          gets what is free
//!   STABLE ─────► UNREVOKED_PARTITIONS ─────► next epoch ─────► STABLE
//!                  stays in its epoch                 └──► UNRELEASED_PARTITIONS
//!                                                          until the rest is free
//! ```

use std::collections::{BTreeMap, BTreeSet};

use milena_protocol::api::consumer_group_heartbeat::ConsumerGroupHeartbeatTopicPartitions;
use milena_protocol::ids::{PartitionIndex, Uuid};

use super::group::Group;
use super::member::{Member, MemberState, Owned};
use super::rules::Rules;
use crate::group::assignor::Partitions;

/// What a member says it owns; none where it says nothing.
pub(super) type Reported<'a> = Option<&'a [ConsumerGroupHeartbeatTopicPartitions]>;

/// Where a member shall get.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aim<'a> {
    /// The epoch of the target assignment.
    pub epoch: i32,
    /// What it shall have there.
    pub target: &'a Partitions,
    /// The topics that it subscribes to, of those that exist.
    pub subscribed: &'a BTreeSet<Uuid>,
    /// Whether what it has must be held against its subscription though its epoch stays.
    pub has_new_subscription: bool,
    /// What it says it owns.
    pub reported: Reported<'a>,
}

impl<R: Rules> Group<R> {
    /// The member one step further; the same where it cannot go on.
    pub(super) fn reconcile(
        &self,
        member: &Member,
        aim: &Aim<'_>,
        is_own: impl Fn(Uuid, PartitionIndex) -> bool,
    ) -> Member {
        let step = Step { group: self, member, aim };
        match member.state {
            MemberState::Stable if member.epoch != aim.epoch => step.advance(is_own),
            MemberState::Stable if aim.has_new_subscription => step.narrow(),
            MemberState::Stable => member.clone(),
            MemberState::UnrevokedPartitions if step.holds_on(&member.pending) => {
                if aim.has_new_subscription { step.narrow() } else { member.clone() }
            }
            MemberState::UnrevokedPartitions
            | MemberState::UnreleasedPartitions
            | MemberState::Unknown(_) => step.advance(is_own),
        }
    }
}

/// Whether it says that it owns some of these partitions; none where it says nothing.
fn owns_some(reported: Reported<'_>, partitions: &Owned) -> Option<bool> {
    let is_among = |topic: &ConsumerGroupHeartbeatTopicPartitions| {
        let partitions = partitions.get(&topic.topic_id);
        partitions.is_some_and(|owned| topic.partitions.iter().any(|it| owned.contains_key(it)))
    };
    reported.map(|reported| reported.iter().any(is_among))
}

/// Whether it says what it owns, and all of that is among these partitions.
pub(super) fn owns_only(reported: Reported<'_>, partitions: &Owned) -> bool {
    let is_among = |topic: &ConsumerGroupHeartbeatTopicPartitions| {
        let owned = partitions.get(&topic.topic_id);
        let has = |it: &PartitionIndex| owned.is_some_and(|owned| owned.contains_key(it));
        topic.partitions.iter().all(has)
    };
    reported.is_some_and(|reported| reported.iter().all(is_among))
}

struct Step<'a, R: Rules> {
    group: &'a Group<R>,
    member: &'a Member,
    aim: &'a Aim<'a>,
}

impl<R: Rules> Step<'_, R> {
    /// Whether it may still own some of what it is to give up.
    fn holds_on(&self, partitions: &Owned) -> bool {
        !R::is_revoked(owns_some(self.aim.reported, partitions))
    }

    fn moved(&self, state: MemberState, epoch: i32, assigned: Owned, pending: Owned) -> Member {
        let member = self.member.clone();
        let stays = (state, epoch) == (member.state, member.epoch)
            && (&assigned, &pending) == (&member.assigned, &member.pending);
        // Where nothing moves, the member may still be in the epoch before.
        let previous_epoch = if stays { member.previous_epoch } else { member.epoch };
        Member { state, epoch, previous_epoch, assigned, pending, ..member }
    }

    /// Takes away what it does not subscribe to any more; the target follows later.
    fn narrow(&self) -> Member {
        let (mut assigned, mut pending) = (Owned::new(), self.member.pending.clone());
        let mut is_narrower = false;
        for (topic, partitions) in &self.member.assigned {
            if self.aim.subscribed.contains(topic) {
                assigned.insert(*topic, partitions.clone());
            } else {
                is_narrower = true;
                pending.entry(*topic).or_default().extend(partitions);
            }
        }
        if !is_narrower {
            return self.member.clone();
        }
        if self.holds_on(&pending) {
            self.moved(MemberState::UnrevokedPartitions, self.member.epoch, assigned, pending)
        } else {
            self.moved(self.member.state, self.member.epoch, assigned, Owned::new())
        }
    }

    /// Gives up what it shall not have, and where it has, moves to the next epoch and takes what
    /// is free of what it shall have.
    fn advance(&self, is_own: impl Fn(Uuid, PartitionIndex) -> bool) -> Member {
        let mut assigned = Owned::new();
        let mut pending = Owned::new();
        let shall_have = |topic: &Uuid, partition: &PartitionIndex| {
            self.aim.subscribed.contains(topic)
                && self.aim.target.get(topic).is_some_and(|target| target.contains(partition))
        };
        for (topic, partitions) in &self.member.assigned {
            let (kept, given): (BTreeMap<_, _>, BTreeMap<_, _>) =
                partitions.iter().partition(|(partition, _)| shall_have(topic, partition));
            if !kept.is_empty() {
                assigned.insert(*topic, kept);
            }
            if !given.is_empty() {
                pending.insert(*topic, given);
            }
        }
        if !pending.is_empty() && self.holds_on(&pending) {
            let epoch = self.member.epoch;
            return self.moved(MemberState::UnrevokedPartitions, epoch, assigned, pending);
        }
        let mut state = MemberState::Stable;
        for (topic, target) in self.aim.target {
            if !self.aim.subscribed.contains(topic) {
                continue;
            }
            for partition in target {
                if assigned.get(topic).is_some_and(|owned| owned.contains_key(partition)) {
                    continue;
                }
                let owner = self.group.owner(*topic, *partition);
                if is_own(*topic, *partition) || R::is_free(owner, &self.member.id) {
                    assigned.entry(*topic).or_default().insert(*partition, self.aim.epoch);
                } else {
                    state = MemberState::UnreleasedPartitions;
                }
            }
        }
        self.moved(state, self.aim.epoch, assigned, Owned::new())
    }
}
