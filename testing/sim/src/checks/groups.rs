//! Members of groups: a partition belongs to one of them in each generation, whoever had it before
//! commits no more, and what was committed stays, whoever coordinates.

use std::collections::{BTreeMap, BTreeSet};

use milena_protocol::codec::Text;

use super::require;
use crate::host::Key;
use crate::quorum_checks::Violation;

/// Who was told last that a partition is its own, and when.
#[derive(Clone, Debug)]
struct Owner {
    member: Text,
    since: u64,
}

/// What is known of a partition in a group.
#[derive(Clone, Debug, Default)]
struct Share {
    owner: Option<Owner>,
    /// What somebody was told to be committed, and what anybody has asked for.
    committed: i64,
    asked: i64,
}

/// The groups of a run.
#[derive(Default)]
pub struct Groups {
    shares: BTreeMap<(Text, Key), Share>,
    /// Who has which partition in which generation of a classic group.
    parts: BTreeMap<(Text, i32, Key), Text>,
}

impl Groups {
    /// A member was told its part.
    pub fn assigned(&mut self, group: &Text, member: &Text, partitions: &BTreeSet<Key>, now: u64) {
        for key in partitions {
            let share = self.shares.entry((group.clone(), *key)).or_default();
            let is_same = share.owner.as_ref().is_some_and(|owner| owner.member == *member);
            if !is_same {
                share.owner = Some(Owner { member: member.clone(), since: now });
            }
        }
    }

    /// The same in a generation of a classic group: a partition is one member's there.
    pub fn assigned_in(
        &mut self,
        group: &Text,
        generation: i32,
        member: &Text,
        partitions: &BTreeSet<Key>,
    ) -> Result<(), Violation> {
        for key in partitions {
            let part = (group.clone(), generation, *key);
            let owner = self.parts.entry(part).or_insert_with(|| member.clone());
            require(owner == member, || {
                format!("{owner} and {member} have a partition in generation {generation}")
            })?;
        }
        Ok(())
    }

    /// What somebody was told to be committed.
    pub fn committed(&self, group: &Text, key: Key) -> i64 {
        self.shares.get(&(group.clone(), key)).map_or(0, |share| share.committed)
    }

    /// A member asks for an offset to be committed.
    pub fn asks(&mut self, group: &Text, key: Key, offset: i64) {
        let share = self.shares.entry((group.clone(), key)).or_default();
        share.asked = share.asked.max(offset);
    }

    /// A member was told that what it asked for at a time is committed.
    pub fn commits(
        &mut self,
        group: &Text,
        key: Key,
        member: &Text,
        offset: i64,
        asked_at: u64,
    ) -> Result<(), Violation> {
        let share = self.shares.entry((group.clone(), key)).or_default();
        let other = share.owner.as_ref().filter(|owner| owner.member != *member);
        require(other.is_none_or(|owner| owner.since > asked_at), || {
            format!("{member} commits {offset} at {asked_at} for what is another's: {other:?}")
        })?;
        share.committed = share.committed.max(offset);
        Ok(())
    }

    /// A member finds an offset; so much was committed when it asked.
    pub fn finds(
        &self,
        group: &Text,
        key: Key,
        found: i64,
        committed: i64,
    ) -> Result<(), Violation> {
        let asked = self.shares.get(&(group.clone(), key)).map_or(0, |share| share.asked);
        require(found.max(0) >= committed && found <= asked, || {
            format!("{group} has committed {committed}, at most {asked}, and finds {found}")
        })
    }
}
