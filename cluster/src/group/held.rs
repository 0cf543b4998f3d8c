//! The groups of a coordinator, of either protocol, and when each has something to do.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use milena_protocol::codec::Text;

use super::{classic, consumer};
use crate::time::Instant;

/// A group of either protocol.
#[derive(Debug)]
pub(super) enum Group {
    Classic(classic::Group),
    Consumer(consumer::Group),
}

impl Group {
    fn look_at(&self) -> Option<Instant> {
        match self {
            Self::Classic(group) => group.look_at(),
            Self::Consumer(group) => group.deadline(),
        }
    }

    /// Whether nobody is in it, or about to come.
    pub(super) fn is_deserted(&self) -> bool {
        match self {
            Self::Classic(group) => group.is_deserted(),
            Self::Consumer(group) => group.is_deserted(),
        }
    }

    /// How many members it has.
    pub(super) fn member_count(&self) -> usize {
        match self {
            Self::Classic(group) => group.member_count(),
            Self::Consumer(group) => group.members().len(),
        }
    }

    /// Whether the log has a record of it.
    pub(super) fn is_recorded(&self) -> bool {
        match self {
            Self::Classic(group) => group.is_recorded(),
            Self::Consumer(group) => group.is_recorded(),
        }
    }

    /// Where it stands, by name.
    pub(super) fn state_name(&self) -> &'static str {
        match self {
            Self::Classic(group) => group.state().name(),
            Self::Consumer(group) => group.state().name(),
        }
    }

    /// Whether a member reads a topic, as far as the broker can know.
    pub(super) fn subscribes(&self, topic: &str) -> Option<bool> {
        match self {
            Self::Classic(group) => group.subscribes(topic),
            Self::Consumer(group) => Some(group.subscribes(topic)),
        }
    }
}

/// The groups of a coordinator.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<Text, Group>,
    /// When which group has something to do.
    due: BTreeSet<(Instant, Text)>,
}

impl Groups {
    pub(super) fn get(&self, id: &str) -> Option<&Group> {
        self.groups.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Text, &Group)> {
        self.groups.iter()
    }

    /// The groups from one on, in order.
    pub(super) fn ids_from(&self, from: Bound<&Text>) -> impl Iterator<Item = &Text> {
        self.groups.range::<Text, _>((from, Bound::Unbounded)).map(|(id, _)| id)
    }

    pub(super) fn insert(&mut self, id: Text, group: Group) {
        self.remove(&id);
        self.due.extend(group.look_at().map(|at| (at, id.clone())));
        self.groups.insert(id, group);
    }

    pub(super) fn remove(&mut self, id: &Text) {
        if let Some(group) = self.groups.remove(id)
            && let Some(at) = group.look_at()
        {
            self.due.remove(&(at, id.clone()));
        }
    }

    /// Does something to a group, and notes when it next has something to do itself.
    pub(super) fn change<T>(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut Group) -> T,
    ) -> Option<T> {
        let key = self.groups.get_key_value(id).map(|(key, _)| key.clone())?;
        let group = self.groups.get_mut(&key)?;
        let before = group.look_at();
        let result = change(group);
        let after = group.look_at();
        if before != after {
            if let Some(before) = before {
                self.due.remove(&(before, key.clone()));
            }
            self.due.extend(after.map(|at| (at, key)));
        }
        Some(result)
    }

    /// The groups with something to do.
    pub(super) fn due(&self, now: Instant) -> Vec<Text> {
        let due = self.due.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, id)| id.clone()).collect()
    }

    /// When the next group has something to do.
    pub(super) fn next_due_at(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    pub(super) fn check_invariants(&self) {
        for (id, group) in &self.groups {
            match group {
                Group::Classic(group) => group.check_invariants(),
                Group::Consumer(group) => group.check_invariants(),
            }
            if let Some(at) = group.look_at() {
                assert!(self.due.contains(&(at, id.clone())), "{id} would be forgotten");
            }
        }
        let known = self.groups.values().filter(|group| group.look_at().is_some()).count();
        assert_eq!(self.due.len(), known, "each group is due once");
    }
}
