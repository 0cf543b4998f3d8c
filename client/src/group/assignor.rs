//! How the leader of a classic group shares partitions among the members.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use milena_protocol::ids::PartitionIndex;

use super::options::ClassicAssignor;
use crate::consumer::Key;

/// What a member says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// Its name, if it is static.
    pub instance_id: Option<String>,
    /// What it wants to read.
    pub topics: BTreeSet<Arc<str>>,
    /// What it still reads.
    pub owned: BTreeSet<Key>,
    /// Of which generation that is; −1 where it does not tell.
    pub generation: i32,
}

/// Members by id.
pub type Candidates = BTreeMap<String, Candidate>;
/// What each member shall read, by its id.
pub type Shares = BTreeMap<String, BTreeSet<Key>>;

/// Shares the partitions of topics, given as how many each topic has.
pub fn assign(
    assignor: ClassicAssignor,
    members: &Candidates,
    counts: &BTreeMap<Arc<str>, usize>,
) -> Shares {
    match assignor {
        ClassicAssignor::Range => range(members, counts),
        ClassicAssignor::CooperativeSticky => {
            let current = current(members, counts);
            let mut shares = even(members, counts, &current);
            hold_back(&mut shares, &current);
            shares
        }
    }
}

fn nobody_has(members: &Candidates) -> Shares {
    members.keys().map(|id| (id.clone(), BTreeSet::new())).collect()
}

/// Each topic is cut into as many ranges as it has readers; the first ones are longer by one.
fn range(members: &Candidates, counts: &BTreeMap<Arc<str>, usize>) -> Shares {
    let mut shares = nobody_has(members);
    for (topic, count) in counts {
        let mut readers: Vec<(&String, &Candidate)> =
            members.iter().filter(|(_, member)| member.topics.contains(topic)).collect();
        // Static members first, by name: they keep their ranges under a new id.
        readers.sort_by_key(|(id, member)| {
            (member.instance_id.is_none(), member.instance_id.clone(), (*id).clone())
        });
        let Some(least) = count.checked_div(readers.len()) else { continue };
        let longer = count % readers.len();
        let mut partitions = partitions(topic, *count);
        for (at, (id, _)) in readers.into_iter().enumerate() {
            let length = least + usize::from(at < longer);
            if let Some(share) = shares.get_mut(id) {
                share.extend(partitions.by_ref().take(length));
            }
        }
    }
    shares
}

fn partitions(topic: &Arc<str>, count: usize) -> impl Iterator<Item = Key> {
    let topic = Arc::clone(topic);
    (0..).take(count).map(move |index| (Arc::clone(&topic), PartitionIndex(index)))
}

/// Who reads what now, by partition: of two that claim one, who joined later has it.
fn current(members: &Candidates, counts: &BTreeMap<Arc<str>, usize>) -> BTreeMap<Key, String> {
    let mut owners: BTreeMap<Key, (i32, String)> = BTreeMap::new();
    for (id, member) in members {
        for key in &member.owned {
            let count = counts.get(&key.0).copied().unwrap_or_default();
            let exists = usize::try_from(key.1.0).is_ok_and(|index| index < count);
            let is_newer = owners.get(key).is_none_or(|(other, _)| *other < member.generation);
            if exists && is_newer && member.topics.contains(&key.0) {
                owners.insert(key.clone(), (member.generation, id.clone()));
            }
        }
    }
    owners.into_iter().map(|(key, (_, id))| (key, id)).collect()
}

/// Everyone keeps what it has, what is free goes to who has least, and then single partitions move
/// as long as somebody has two more than another one who wants them.
fn even(
    members: &Candidates,
    counts: &BTreeMap<Arc<str>, usize>,
    current: &BTreeMap<Key, String>,
) -> Shares {
    let mut shares = nobody_has(members);
    for key in counts.iter().flat_map(|(topic, count)| partitions(topic, *count)) {
        let wants = |id: &&String| members.get(*id).is_some_and(|one| one.topics.contains(&key.0));
        let least = shares.iter().filter(|(id, _)| wants(id)).min_by_key(|(_, share)| share.len());
        let id = current.get(&key).or(least.map(|(id, _)| id)).cloned();
        if let Some(share) = id.and_then(|id| shares.get_mut(&id)) {
            share.insert(key);
        }
    }
    while let Some((from, to, key)) = move_of(&shares, members, current) {
        if let Some(share) = shares.get_mut(&from) {
            share.remove(&key);
        }
        if let Some(share) = shares.get_mut(&to) {
            share.insert(key);
        }
    }
    shares
}

/// A move that makes the shares more even; one of a partition that nobody reads yet, if there is.
fn move_of(
    shares: &Shares,
    members: &Candidates,
    current: &BTreeMap<Key, String>,
) -> Option<(String, String, Key)> {
    let mut poor: Vec<(&String, usize)> = shares.iter().map(|(id, has)| (id, has.len())).collect();
    poor.sort_by_key(|(_, has)| *has);
    for (to, has) in poor {
        let topics = &members.get(to)?.topics;
        let rich = shares.iter().filter(|(_, share)| share.len() > has + 1);
        let wanted = rich.flat_map(|(id, share)| share.iter().map(move |key| (id, key)));
        let wanted = wanted.filter(|(_, key)| topics.contains(&key.0));
        let best = wanted.max_by_key(|(from, key)| {
            let count = shares.get(*from).map_or(0, BTreeSet::len);
            (count, current.get(*key) != Some(*from), std::cmp::Reverse(*key))
        });
        if let Some((from, key)) = best {
            return Some((from.clone(), to.clone(), key.clone()));
        }
    }
    None
}

/// What somebody else still reads is given out in the next generation, when it is given up.
fn hold_back(shares: &mut Shares, current: &BTreeMap<Key, String>) {
    for (id, share) in shares {
        share.retain(|key| current.get(key).is_none_or(|owner| owner == id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(topics: &[&str], owned: &[(&str, i32)]) -> Candidate {
        Candidate {
            instance_id: None,
            topics: topics.iter().map(|topic| Arc::from(*topic)).collect(),
            owned: keys(owned),
            generation: 1,
        }
    }

    fn keys(keys: &[(&str, i32)]) -> BTreeSet<Key> {
        keys.iter().map(|(topic, index)| (Arc::from(*topic), PartitionIndex(*index))).collect()
    }

    fn members(members: &[(&str, Candidate)]) -> Candidates {
        members.iter().map(|(id, member)| ((*id).to_owned(), member.clone())).collect()
    }

    fn counts(counts: &[(&str, usize)]) -> BTreeMap<Arc<str>, usize> {
        counts.iter().map(|(topic, count)| (Arc::from(*topic), *count)).collect()
    }

    /// In a group with members of other clients two would read one partition, or nobody would.
    #[test]
    fn ranges_are_those_of_kafka() {
        let mut named = member(&["a", "b"], &[]);
        named.instance_id = Some("z".to_owned());
        let members =
            members(&[("1", member(&["a"], &[])), ("2", member(&["a"], &[])), ("3", named)]);
        let shares = range(&members, &counts(&[("a", 4), ("b", 2), ("c", 1)]));
        assert_eq!(shares["3"], keys(&[("a", 0), ("a", 1), ("b", 0), ("b", 1)]));
        assert_eq!(shares["1"], keys(&[("a", 2)]));
        assert_eq!(shares["2"], keys(&[("a", 3)]));
    }

    /// A partition would be read by two while it moves, or everything would move at each rebalance.
    #[test]
    fn what_moves_is_given_up_first() {
        let old = member(&["a"], &[("a", 0), ("a", 1), ("a", 2), ("a", 3)]);
        let first = members(&[("old", old), ("new", member(&["a"], &[]))]);
        let sticky = ClassicAssignor::CooperativeSticky;
        let shares = assign(sticky, &first, &counts(&[("a", 4)]));
        assert_eq!(shares["old"].len(), 2);
        assert!(shares["new"].is_empty(), "they are still read by the other one");
        let kept: Vec<(&str, i32)> =
            shares["old"].iter().map(|(topic, index)| (&**topic, index.0)).collect();
        let second = members(&[("old", member(&["a"], &kept)), ("new", member(&["a"], &[]))]);
        let shares = assign(sticky, &second, &counts(&[("a", 4)]));
        assert_eq!((shares["old"].len(), shares["new"].len()), (2, 2));
        assert!(shares["old"].is_disjoint(&shares["new"]));
    }

    /// A member that comes back from long ago would keep what another one reads by now.
    #[test]
    fn of_two_claims_the_later_counts() {
        let mut late = member(&["a"], &[("a", 0)]);
        late.generation = 2;
        let members = members(&[("a", member(&["a"], &[("a", 0)])), ("b", late)]);
        assert_eq!(current(&members, &counts(&[("a", 1)])).into_values().next().unwrap(), "b");
    }

    /// A topic that few want would be left out, or given to who does not want it.
    #[test]
    fn shares_are_even_among_those_who_want_them() {
        let members = members(&[
            ("1", member(&["a"], &[])),
            ("2", member(&["a", "b"], &[])),
            ("3", member(&["b"], &[("b", 0), ("b", 1), ("b", 2), ("gone", 0)])),
        ]);
        let topics = counts(&[("a", 6), ("b", 3)]);
        let shares = even(&members, &topics, &current(&members, &topics));
        let sizes: Vec<usize> = shares.values().map(BTreeSet::len).collect();
        assert_eq!(sizes, [3, 3, 3]);
        assert!(shares["1"].iter().all(|key| *key.0 == *"a"));
        assert_eq!(shares["3"], keys(&[("b", 0), ("b", 1), ("b", 2)]));
    }
}
