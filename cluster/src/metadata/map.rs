//! An ordered map whose copies share what they have in common.
//!
//! Entries lie sorted in leaves of at most `LEAF_ENTRIES`; the map is a list of leaves. A copy
//! of the map copies the list only, a change copies one leaf. With 10,000 entries that is about
//! 150 counters for a copy and one leaf for a change.
//!
//! Invariants: no leaf is empty, none is longer than `LEAF_ENTRIES`, keys rise strictly over
//! all leaves.

use std::cmp::Ordering;
use std::sync::Arc;

/// A leaf that grows past this is cut in two.
const LEAF_ENTRIES: usize = 128;

/// A sorted run of entries.
type Leaf<K, V> = Arc<Vec<(K, V)>>;

/// The map.
#[derive(Clone, Debug)]
pub struct SortedMap<K, V> {
    leaves: Vec<Leaf<K, V>>,
    count: usize,
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self { leaves: Vec::new(), count: 0 }
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for SortedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count
            && self.iter().zip(other.iter()).all(|(ours, theirs)| ours == theirs)
    }
}

impl<K, V> SortedMap<K, V> {
    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All entries in the order of their keys.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter { leaves: self.leaves.iter(), leaf: [].iter(), left: self.count }
    }

    /// The value whose key `compare` calls equal; it tells how a key stands to the one sought.
    pub fn find(&self, compare: impl Fn(&K) -> Ordering) -> Option<&V> {
        let leaf = self.leaves.get(self.leaf_of(&compare))?;
        let index = leaf.binary_search_by(|(key, _)| compare(key)).ok()?;
        leaf.get(index).map(|(_, value)| value)
    }

    /// The leaf in which a key stands or would stand: the last that does not begin after it.
    fn leaf_of(&self, compare: &impl Fn(&K) -> Ordering) -> usize {
        let begins_after = |leaf: &Leaf<K, V>| {
            leaf.first().is_some_and(|(key, _)| compare(key) == Ordering::Greater)
        };
        self.leaves.partition_point(|leaf| !begins_after(leaf)).saturating_sub(1)
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.find(|other| other.cmp(key))
    }

    /// The last key.
    #[must_use]
    pub fn last_key(&self) -> Option<&K> {
        self.leaves.last().and_then(|leaf| leaf.last()).map(|(key, _)| key)
    }
}

impl<K: Ord + Clone, V: Clone> SortedMap<K, V> {
    /// Sets the value of a key; answers the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let at = self.leaf_of(&|other: &K| other.cmp(&key));
        let Some(leaf) = self.leaves.get_mut(at) else {
            self.leaves.push(Arc::new(vec![(key, value)]));
            self.count = 1;
            return None;
        };
        let leaf = Arc::make_mut(leaf);
        match leaf.binary_search_by(|(other, _)| other.cmp(&key)) {
            Ok(index) => leaf.get_mut(index).map(|entry| std::mem::replace(&mut entry.1, value)),
            Err(index) => {
                leaf.insert(index, (key, value));
                self.count += 1;
                if leaf.len() > LEAF_ENTRIES {
                    let upper = leaf.split_off(LEAF_ENTRIES / 2);
                    self.leaves.insert(at + 1, Arc::new(upper));
                }
                None
            }
        }
    }

    /// Removes a key; answers its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.leaf_of(&|other: &K| other.cmp(key));
        let leaf = self.leaves.get_mut(at)?;
        let index = leaf.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
        let leaf = Arc::make_mut(leaf);
        let (_, value) = leaf.remove(index);
        if leaf.is_empty() {
            self.leaves.remove(at);
        }
        self.count -= 1;
        Some(value)
    }

    /// The value of a key, to be changed; what a copy of the map holds stays as it is.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.leaf_of(&|other: &K| other.cmp(key));
        let leaf = self.leaves.get_mut(at)?;
        let index = leaf.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
        Arc::make_mut(leaf).get_mut(index).map(|entry| &mut entry.1)
    }

    /// Panics when the map contradicts itself.
    pub fn check_invariants(&self) {
        assert!(self.leaves.iter().all(|leaf| !leaf.is_empty() && leaf.len() <= LEAF_ENTRIES));
        assert_eq!(self.count, self.leaves.iter().map(|leaf| leaf.len()).sum::<usize>());
        assert!(self.iter().zip(self.iter().skip(1)).all(|(one, next)| one.0 < next.0));
    }
}

/// The entries of a map in the order of their keys.
#[derive(Clone, Debug)]
pub struct Iter<'a, K, V> {
    leaves: std::slice::Iter<'a, Leaf<K, V>>,
    leaf: std::slice::Iter<'a, (K, V)>,
    left: usize,
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.leaf.next() {
                self.left -= 1;
                return Some((key, value));
            }
            self.leaf = self.leaves.next()?.iter();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<K, V> ExactSizeIterator for Iter<'_, K, V> {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A topic would be lost or found twice after its leaf was cut or emptied.
    #[test]
    fn it_is_a_map() {
        let mut map = SortedMap::default();
        let mut model = BTreeMap::new();
        let mut number = 1u64;
        for step in 0..20_000u64 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let key = (number >> 33) % 1500;
            if number >> 62 == 0 {
                assert_eq!(map.remove(&key), model.remove(&key));
            } else {
                assert_eq!(map.insert(key, step), model.insert(key, step));
            }
        }
        map.check_invariants();
        assert!(map.iter().eq(model.iter()));
        assert!((0..1500).all(|key| map.get(&key) == model.get(&key)));
        assert_eq!(map.last_key(), model.keys().last());
        model.keys().for_each(|key| assert!(map.remove(key).is_some()));
        assert!(map.is_empty());
        map.check_invariants();
    }

    /// A published image would change under its readers.
    #[test]
    fn a_copy_keeps_what_it_had() {
        let mut map = SortedMap::default();
        (0..1000).for_each(|key| assert!(map.insert(key, key).is_none()));
        let copy = map.clone();
        (0..1000).for_each(|key| *map.get_mut(&key).unwrap() += 1);
        assert!(copy.iter().all(|(key, value)| key == value));
        assert!(map.iter().all(|(key, value)| key + 1 == *value));
    }
}
