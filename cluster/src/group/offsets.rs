//! What groups have committed, and what transactions will commit if they end well.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use milena_protocol::codec::Text;
use milena_protocol::coordinator_record::offset::{OffsetCommitKey, OffsetCommitValue};
use milena_protocol::ids::{Offset, PartitionIndex, Timestamp};

use crate::coordinator::{Producer, Replayed};

/// A topic's partition.
pub type Place = (Text, PartitionIndex);

/// An offset as it was committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Committed {
    /// What was committed.
    pub value: OffsetCommitValue,
    /// Where its record stands: of two, the later counts.
    pub recorded_at: Offset,
}

/// The offsets of all groups of a coordinator.
#[derive(Clone, Debug, Default)]
pub struct Offsets {
    groups: BTreeMap<Text, BTreeMap<Place, Committed>>,
    /// What is committed with each producer's transaction.
    undecided: BTreeMap<Producer, BTreeMap<(Text, Place), Committed>>,
}

impl Offsets {
    /// An offset of a group.
    #[must_use]
    pub fn get(&self, group: &str, place: &Place) -> Option<&Committed> {
        self.groups.get(group)?.get(place)
    }

    /// All offsets of a group.
    pub fn of_group(&self, group: &str) -> impl Iterator<Item = (&Place, &Committed)> {
        self.groups.get(group).into_iter().flatten()
    }

    /// The groups that have offsets.
    pub fn groups(&self) -> impl Iterator<Item = &Text> {
        self.groups.keys()
    }

    /// The groups from one on that have offsets, in order.
    pub fn groups_from(&self, from: Bound<&Text>) -> impl Iterator<Item = &Text> {
        self.groups.range::<Text, _>((from, Bound::Unbounded)).map(|(id, _)| id)
    }

    /// How many offsets a group has.
    #[must_use]
    pub fn count(&self, group: &str) -> usize {
        self.groups.get(group).map_or(0, BTreeMap::len)
    }

    /// The offsets of a group behind a place, or all.
    pub fn of_group_behind<'a>(
        &'a self,
        group: &str,
        place: Option<&'a Place>,
    ) -> impl Iterator<Item = (&'a Place, &'a Committed)> {
        let behind = place.map_or(Bound::Unbounded, Bound::Excluded);
        let offsets = self.groups.get(group).into_iter();
        offsets.flat_map(move |offsets| offsets.range::<Place, _>((behind, Bound::Unbounded)))
    }

    /// Whether a group has any, decided or not.
    #[must_use]
    pub fn has_any(&self, group: &str) -> bool {
        let is_of_group = |(owner, _): &(Text, Place)| *owner == *group;
        self.groups.contains_key(group)
            || self.undecided.values().any(|places| places.keys().any(is_of_group))
    }

    /// The places of a group that transactions which are open may change.
    #[must_use]
    pub fn undecided_places(&self, group: &str) -> BTreeSet<Place> {
        let places = self.undecided.values().flat_map(BTreeMap::keys);
        places.filter(|(owner, _)| *owner == *group).map(|(_, place)| place.clone()).collect()
    }

    /// Takes a record into effect.
    pub fn replay(
        &mut self,
        record: &Replayed<'_>,
        key: OffsetCommitKey,
        value: Option<OffsetCommitValue>,
    ) {
        let place = (key.topic, key.partition);
        let Some(value) = value else {
            self.forget(&key.group, &place);
            return;
        };
        let committed = Committed { value, recorded_at: record.offset };
        match record.transaction {
            Some(producer) => {
                let undecided = self.undecided.entry(producer).or_default();
                undecided.insert((key.group, place), committed);
            }
            None => self.set(key.group, place, committed),
        }
    }

    /// A producer's transaction is decided. The markers of a fenced producer carry a later epoch.
    pub fn decide(&mut self, producer: Producer, is_commit: bool) {
        let ended: Vec<Producer> = self
            .undecided
            .keys()
            .filter(|known| known.id == producer.id && known.epoch <= producer.epoch)
            .copied()
            .collect();
        for known in ended {
            let places = self.undecided.remove(&known).unwrap_or_default();
            if is_commit {
                for ((group, place), committed) in places {
                    self.set(group, place, committed);
                }
            }
        }
    }

    fn set(&mut self, group: Text, place: Place, committed: Committed) {
        let places = self.groups.entry(group).or_default();
        let is_later = |known: &Committed| known.recorded_at <= committed.recorded_at;
        if places.get(&place).is_none_or(is_later) {
            places.insert(place, committed);
        }
    }

    fn forget(&mut self, group: &Text, place: &Place) {
        if let Some(places) = self.groups.get_mut(group) {
            places.remove(place);
            if places.is_empty() {
                self.groups.remove(group);
            }
        }
    }

    /// The offsets of a group that are older than they may be. `since` is when the time began that
    /// is counted; without it each counts from its own commit.
    #[must_use]
    pub fn expired(
        &self,
        group: &Text,
        since: Option<Timestamp>,
        retention_ms: i64,
        now: Timestamp,
    ) -> Vec<Place> {
        let undecided = self.undecided_places(group);
        let is_over = |committed: &Committed| {
            let value = &committed.value;
            if value.expire_timestamp != Timestamp::NONE {
                return now >= value.expire_timestamp;
            }
            let from = since.unwrap_or(value.commit_timestamp);
            now.0.saturating_sub(from.0) >= retention_ms
        };
        self.of_group(group)
            .filter(|(place, committed)| is_over(committed) && !undecided.contains(*place))
            .map(|(place, _)| place.clone())
            .collect()
    }
}
