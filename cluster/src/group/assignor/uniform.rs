//! The assignor `uniform`: everyone gets as many partitions, and as few as possible move.
//!
//! Where all subscribe to the same topics, the counts differ by at most one and nothing moves that
//! need not: a member keeps what it has up to its quota, and the odd partitions stay with those
//! that have them. Where the subscriptions differ, everyone keeps what it has, the rest goes to
//! whoever has least, and then partitions move from those with more to those with less for as long
//! as a single move makes two members more alike.

use std::collections::{BTreeMap, BTreeSet};

use milena_protocol::codec::Text;
use milena_protocol::ids::{PartitionIndex, Uuid};

use super::spec::{Assignment, Partitions, Spec};

/// How often the topics are gone through to even out different subscriptions. Each round only
/// moves what makes two members more alike; what is left after so many is good enough.
const MAX_ROUNDS: usize = 16;

pub(super) fn assign(spec: &Spec<'_>) -> Assignment {
    let mut draft = Draft::of(spec);
    if draft.is_homogeneous() {
        draft.even_out();
    } else {
        draft.spread();
        draft.balance();
    }
    let Draft { members, .. } = draft;
    members.into_iter().map(|member| (member.id.clone(), member.partitions)).collect()
}

#[derive(Debug)]
struct Member<'a> {
    id: &'a Text,
    topics: &'a BTreeSet<Uuid>,
    partitions: Partitions,
    load: usize,
}

impl Member<'_> {
    fn add(&mut self, topic: Uuid, partition: PartitionIndex) {
        if self.partitions.entry(topic).or_default().insert(partition) {
            self.load += 1;
        }
    }

    /// Gives up its last partition of a topic.
    fn pop(&mut self, topic: Uuid) -> Option<PartitionIndex> {
        let owned = self.partitions.get_mut(&topic)?;
        let partition = owned.pop_last()?;
        if owned.is_empty() {
            self.partitions.remove(&topic);
        }
        self.load -= 1;
        Some(partition)
    }
}

/// An assignment in the making; members are known by their place.
#[derive(Debug)]
struct Draft<'a> {
    members: Vec<Member<'a>>,
    /// Partitions that nobody has yet.
    free: Vec<(Uuid, PartitionIndex)>,
}

impl<'a> Draft<'a> {
    /// Everyone keeps what it had and may have still.
    fn of(spec: &Spec<'a>) -> Self {
        let topics: BTreeSet<Uuid> =
            spec.members.values().flat_map(|member| member.topics.iter().copied()).collect();
        let mut free: BTreeMap<Uuid, BTreeSet<PartitionIndex>> = topics
            .iter()
            .map(|topic| (*topic, (0..spec.partition_count(topic)).map(PartitionIndex).collect()))
            .collect();
        let mut members = Vec::with_capacity(spec.members.len());
        for (id, subscriber) in &spec.members {
            let mut partitions = Partitions::new();
            let mut load = 0;
            for (topic, owned) in subscriber.owned.into_iter().flatten() {
                let free = free.get_mut(topic).filter(|_| subscriber.topics.contains(topic));
                let Some(free) = free else { continue };
                let kept: BTreeSet<_> =
                    owned.iter().copied().filter(|index| free.remove(index)).collect();
                load += kept.len();
                if !kept.is_empty() {
                    partitions.insert(*topic, kept);
                }
            }
            members.push(Member { id, topics: subscriber.topics, partitions, load });
        }
        let free = free
            .into_iter()
            .flat_map(|(topic, partitions)| partitions.into_iter().map(move |index| (topic, index)))
            .collect();
        Self { members, free }
    }

    fn is_homogeneous(&self) -> bool {
        let first = self.members.first().map(|member| member.topics);
        self.members.iter().all(|member| {
            first.is_some_and(|first| std::ptr::eq(first, member.topics) || first == member.topics)
        })
    }

    /// Everyone gets its quota, where all subscribe to the same.
    fn even_out(&mut self) {
        let count = self.members.len();
        if count == 0 {
            return;
        }
        let total = self.free.len() + self.members.iter().map(|member| member.load).sum::<usize>();
        let (quota, extra) = (total / count, total % count);
        // The odd partitions stay with those that have more than their share already, then with
        // those that come first.
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|at| {
            let load = self.members.get(*at).map_or(0, |member| member.load);
            (std::cmp::Reverse(load.min(quota + 1)), *at)
        });
        let mut open = Vec::new();
        for (rank, at) in order.into_iter().enumerate() {
            let Some(member) = self.members.get_mut(at) else { continue };
            let quota = quota + usize::from(rank < extra);
            while member.load > quota {
                let Some(topic) = member.partitions.keys().next_back().copied() else { break };
                self.free.extend(member.pop(topic).map(|partition| (topic, partition)));
            }
            if member.load < quota {
                open.push((at, quota - member.load));
            }
        }
        self.free.sort_unstable();
        open.sort_unstable();
        let mut free = std::mem::take(&mut self.free).into_iter();
        for (at, room) in open {
            let Some(member) = self.members.get_mut(at) else { continue };
            free.by_ref().take(room).for_each(|(topic, partition)| member.add(topic, partition));
        }
    }

    /// The members that subscribe to each topic, the topics with the fewest of them first.
    fn subscribers(&self) -> Vec<(Uuid, Vec<usize>)> {
        let mut subscribers: BTreeMap<Uuid, Vec<usize>> = BTreeMap::new();
        for (at, member) in self.members.iter().enumerate() {
            for topic in member.topics {
                subscribers.entry(*topic).or_default().push(at);
            }
        }
        let mut topics: Vec<_> = subscribers.into_iter().collect();
        topics.sort_by_key(|(topic, members)| (members.len(), *topic));
        topics
    }

    fn load(&self, at: usize) -> usize {
        self.members.get(at).map_or(0, |member| member.load)
    }

    /// What is free goes to whoever subscribes to it and has least. Topics that few can have come
    /// first, so that the others even out what they leave uneven.
    fn spread(&mut self) {
        let mut free: BTreeMap<Uuid, Vec<PartitionIndex>> = BTreeMap::new();
        for (topic, partition) in std::mem::take(&mut self.free) {
            free.entry(topic).or_default().push(partition);
        }
        for (topic, members) in self.subscribers() {
            let Some(partitions) = free.remove(&topic) else { continue };
            let mut by_load: BTreeSet<(usize, usize)> =
                members.iter().map(|at| (self.load(*at), *at)).collect();
            for partition in partitions {
                let Some((load, at)) = by_load.pop_first() else { break };
                if let Some(member) = self.members.get_mut(at) {
                    member.add(topic, partition);
                }
                by_load.insert((load + 1, at));
            }
        }
    }

    /// Moves partitions from those with more to those with less, for as long as that helps.
    fn balance(&mut self) {
        let topics = self.subscribers();
        for _ in 0..MAX_ROUNDS {
            let mut moved = false;
            for (topic, members) in &topics {
                moved |= self.balance_topic(*topic, members);
            }
            if !moved {
                break;
            }
        }
    }

    fn balance_topic(&mut self, topic: Uuid, members: &[usize]) -> bool {
        let owns = |draft: &Self, at: usize| {
            draft.members.get(at).is_some_and(|member| member.partitions.contains_key(&topic))
        };
        let mut by_load: BTreeSet<(usize, usize)> =
            members.iter().map(|at| (self.load(*at), *at)).collect();
        let mut owners: BTreeSet<(usize, usize)> =
            by_load.iter().copied().filter(|(_, at)| owns(self, *at)).collect();
        let mut moved = false;
        while let (Some((most, from)), Some((least, to))) =
            (owners.last().copied(), by_load.first().copied())
        {
            if most < least + 2 {
                break;
            }
            let popped = self.members.get_mut(from).and_then(|member| member.pop(topic));
            let (Some(partition), Some(taker)) = (popped, self.members.get_mut(to)) else { break };
            taker.add(topic, partition);
            moved = true;
            for set in [&mut by_load, &mut owners] {
                set.remove(&(most, from));
                set.remove(&(least, to));
            }
            by_load.extend([(most - 1, from), (least + 1, to)]);
            owners.insert((least + 1, to));
            if owns(self, from) {
                owners.insert((most - 1, from));
            }
        }
        moved
    }
}
