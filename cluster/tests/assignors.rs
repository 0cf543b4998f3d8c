//! The assignors, with groups of every kind.

use std::collections::{BTreeMap, BTreeSet};

use milena_cluster::group::assignor::{Assignment, Kind, Partitions, Spec, Subscriber};
use milena_protocol::codec::Text;
use milena_protocol::ids::{PartitionIndex, Uuid};
use proptest::prelude::*;

fn topic(number: usize) -> Uuid {
    Uuid::from_u128(1000 + number as u128)
}

/// A group that can be changed and assigned again.
#[derive(Clone, Debug, Default)]
struct Group {
    topics: BTreeMap<Uuid, i32>,
    members: BTreeMap<Text, BTreeSet<Uuid>>,
    instances: BTreeMap<Text, Text>,
    assignment: Assignment,
}

impl Group {
    fn new(counts: &[i32]) -> Self {
        let topics = counts.iter().enumerate().map(|(number, count)| (topic(number), *count));
        Self { topics: topics.collect(), ..Self::default() }
    }

    fn add(&mut self, id: &str, topics: impl IntoIterator<Item = usize>) {
        let topics = topics.into_iter().map(topic).filter(|it| self.topics.contains_key(it));
        self.members.insert(id.into(), topics.collect());
    }

    fn add_all(&mut self, count: usize) {
        let topics = self.topics.len();
        (0..count).for_each(|at| self.add(&format!("m{at:04}"), 0..topics));
    }

    /// Assigns, and says how many partitions have another owner than before.
    fn assign(&mut self, kind: Kind) -> usize {
        let mut spec = Spec { partition_counts: self.topics.clone(), ..Spec::default() };
        for (id, topics) in &self.members {
            let owned = self.assignment.get(id);
            let instance_id = self.instances.get(id);
            spec.members.insert(id, Subscriber { instance_id, topics, owned });
        }
        let before = self.owners();
        self.assignment = kind.assign(&spec);
        self.check();
        let after = self.owners();
        before.iter().filter(|(it, owner)| after.get(*it) != Some(*owner)).count()
    }

    fn owners(&self) -> BTreeMap<(Uuid, PartitionIndex), Text> {
        let each = |(id, partitions): (&Text, &Partitions)| {
            let id = id.clone();
            let all = partitions.iter().flat_map(|(topic, indexes)| {
                indexes.iter().map(|index| (*topic, *index)).collect::<Vec<_>>()
            });
            all.map(|it| (it, id.clone())).collect::<Vec<_>>()
        };
        self.assignment.iter().flat_map(each).collect()
    }

    fn loads(&self) -> BTreeMap<&Text, usize> {
        let load = |partitions: &Partitions| partitions.values().map(BTreeSet::len).sum();
        self.assignment.iter().map(|(id, partitions)| (id, load(partitions))).collect()
    }

    /// Every partition that somebody subscribes to has one owner, who subscribes to it.
    fn check(&self) {
        assert!(self.assignment.keys().eq(self.members.keys()), "everyone is told something");
        let mut count = 0;
        for (id, partitions) in &self.assignment {
            for (topic, indexes) in partitions {
                assert!(self.members[id].contains(topic), "{id} does not subscribe to {topic}");
                assert!(!indexes.is_empty());
                assert!(indexes.iter().all(|it| (0..self.topics[topic]).contains(&it.0)));
                count += indexes.len();
            }
        }
        let subscribed: BTreeSet<&Uuid> = self.members.values().flatten().collect();
        let wanted: i32 = subscribed.iter().map(|topic| self.topics[*topic]).sum();
        assert_eq!(self.owners().len(), count, "no partition has two owners");
        assert_eq!(count, wanted as usize, "no partition is left out");
    }

    /// Nobody has two more than another who could take one of them.
    fn check_balance(&self) {
        let loads = self.loads();
        for (id, partitions) in &self.assignment {
            for (other, topics) in &self.members {
                if loads[id] >= loads[other] + 2 {
                    assert!(
                        partitions.keys().all(|topic| !topics.contains(topic)),
                        "{other} ({}) could take from {id} ({})",
                        loads[other],
                        loads[id]
                    );
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Someone would have two partitions more than another, or partitions would move for nothing.
    #[test]
    fn uniform_is_even_and_moves_as_little_as_can_be(
        counts in prop::collection::vec(1..12i32, 1..6),
        before in 1..12usize,
        after in 1..12usize,
        growth in 0..4i32,
    ) {
        let mut group = Group::new(&counts);
        group.add_all(before);
        group.assign(Kind::Uniform);
        let owned: Vec<(Text, usize)> =
            group.loads().into_iter().map(|(id, load)| (id.clone(), load)).collect();
        group.members.clear();
        group.topics.values_mut().take(1).for_each(|count| *count += growth);
        group.add_all(after);
        let total: i32 = group.topics.values().sum();
        let moved = group.assign(Kind::Uniform);
        let loads = group.loads();
        let (least, most) = (*loads.values().min().unwrap(), *loads.values().max().unwrap());
        prop_assert!(most - least <= 1);
        prop_assert_eq!(least, total as usize / after);
        // Only what leavers had, and what is above the share of those who stay, has to move.
        let mut extra = total as usize % after;
        let mut must_move = 0;
        let mut stay: Vec<usize> = Vec::new();
        for (id, load) in owned {
            if group.members.contains_key(&id) { stay.push(load) } else { must_move += load }
        }
        stay.sort_unstable_by(|one, other| other.cmp(one));
        for load in stay {
            let quota = least + usize::from(extra > 0 && load > least);
            extra -= quota - least;
            must_move += load.saturating_sub(quota);
        }
        prop_assert_eq!(moved, must_move);
        prop_assert_eq!(group.assign(Kind::Uniform), 0, "nothing changes, nothing moves");
    }

    /// Someone would sit idle, or a partition be left out, where not all subscribe to the same.
    #[test]
    fn uniform_is_fair_where_subscriptions_differ(
        counts in prop::collection::vec(1..12i32, 1..6),
        subscriptions in prop::collection::vec(prop::collection::btree_set(0..6usize, 0..4), 1..9),
        others in prop::collection::vec(prop::collection::btree_set(0..6usize, 0..4), 1..9),
    ) {
        let mut group = Group::new(&counts);
        for subscriptions in [subscriptions, others] {
            group.members.clear();
            for (at, topics) in subscriptions.into_iter().enumerate() {
                group.add(&format!("m{at}"), topics);
            }
            group.assign(Kind::Uniform);
            group.check_balance();
            prop_assert_eq!(group.assign(Kind::Uniform), 0, "nothing changes, nothing moves");
        }
    }

    /// A member could not join topics that are alike, or would have gaps in a topic.
    #[test]
    fn range_splits_topics_that_are_alike_alike(
        counts in prop::collection::vec(1..12i32, 1..6),
        members in 1..9usize,
        named in prop::collection::btree_set(0..9usize, 0..5),
    ) {
        let mut group = Group::new(&counts);
        group.add_all(members);
        for at in named.iter().filter(|at| **at < members) {
            group.instances.insert(format!("m{at:04}").into(), format!("i{}", 9 - at).into());
        }
        group.assign(Kind::Range);
        for partitions in group.assignment.values() {
            for (topic, indexes) in partitions {
                let (first, last) = (indexes.first().unwrap().0, indexes.last().unwrap().0);
                prop_assert_eq!((last - first + 1) as usize, indexes.len());
                let alike = group.topics.iter().filter(|(_, it)| **it == group.topics[topic]);
                for (other, _) in alike {
                    prop_assert_eq!(partitions.get(other), Some(indexes));
                }
            }
        }
        let mut order: Vec<(bool, Option<&Text>, &Text)> = group
            .members
            .keys()
            .map(|id| (!group.instances.contains_key(id), group.instances.get(id), id))
            .collect();
        order.sort();
        let firsts: Vec<i32> = order
            .iter()
            .filter_map(|(_, _, id)| group.assignment[*id].get(&topic(0)))
            .map(|indexes| indexes.first().unwrap().0)
            .collect();
        prop_assert!(firsts.is_sorted(), "static members come first, by their names");
    }
}

/// A restarted static member would change everyone's partitions, its id being new.
#[test]
fn range_orders_static_members_by_their_names() {
    let mut group = Group::new(&[4]);
    group.add("z", [0]);
    group.add("a", [0]);
    group.instances.insert("z".into(), "1".into());
    group.instances.insert("a".into(), "2".into());
    group.assign(Kind::Range);
    let first: BTreeSet<PartitionIndex> = [PartitionIndex(0), PartitionIndex(1)].into();
    assert_eq!(group.assignment["z"][&topic(0)], first);
}

/// Nobody would be told anything where there is nothing to have.
#[test]
fn nothing_to_have_is_had_by_all() {
    for kind in [Kind::Uniform, Kind::Range] {
        let mut group = Group::new(&[]);
        group.assign(kind);
        group.add("a", []);
        group.assign(kind);
        assert!(group.assignment["a"].is_empty());
    }
}

/// A large group would hold up its coordinator. What counts is that nothing is quadratic: that
/// would take minutes here.
#[test]
fn a_thousand_members_share_ten_thousand_partitions() {
    let counts = [100; 100];
    for kind in [Kind::Uniform, Kind::Range] {
        let mut group = Group::new(&counts);
        group.add_all(1000);
        group.assign(kind);
        group.add("one-more", 0..100);
        let moved = group.assign(kind);
        assert!(kind == Kind::Range || moved == 9, "{moved}");
        let mut group = Group::new(&counts);
        (0..1000)
            .for_each(|at| group.add(&format!("m{at}"), (0..100).filter(|it| (it ^ at) & 3 != 0)));
        group.assign(kind);
        let loads = group.loads();
        let (least, most) = (loads.values().min().unwrap(), loads.values().max().unwrap());
        assert!(kind == Kind::Range || most - least <= 1, "{least} to {most}");
    }
}
