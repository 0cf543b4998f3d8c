//! The last offset of each key, in a fixed amount of memory.
//!
//! A key is known by 128 bits: two SipHashes of it under two keys that are drawn anew for each map.
//! Two keys of a topic that were taken for one would lose a value, so it matters that nobody can
//! look for such keys, and that chance finds none: with five million keys in a map the odds of one
//! collision are below 10⁻²⁵.
//!
//! Entries lie as near to their place as others let them (Robin Hood), so a search for a key that
//! is not there ends soon, even when nine of ten entries are in use.

use std::hash::{BuildHasher, RandomState};

use milena_protocol::ids::Offset;

/// The hash and the offset plus one; zero is nobody's.
type Entry = [u64; 3];

/// What a map knows a key by; another map does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyHash([u64; 2]);

/// Keys and their last offsets.
#[derive(Debug)]
pub(super) struct OffsetMap {
    entries: Vec<Entry>,
    used: usize,
    most: usize,
    states: [RandomState; 2],
    end: Offset,
}

impl OffsetMap {
    /// A map with so many entries, `most` of which may be used; there are more of them than that.
    pub(super) fn new(entries: usize, most: usize) -> Self {
        assert!(most < entries, "a search ends at an unused entry");
        Self {
            // Zeros come from the system; a page that is never used is never there.
            entries: vec![[0; 3]; entries],
            used: 0,
            most,
            states: [RandomState::new(), RandomState::new()],
            end: Offset::ZERO,
        }
    }

    /// How many keys it holds.
    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// It knows every key below this offset, as far as it was told to know.
    pub(super) fn end(&self) -> Offset {
        self.end
    }

    /// Everything below is known from here on.
    pub(super) fn set_end(&mut self, end: Offset) {
        self.end = self.end.max(end);
    }

    /// What the map knows a key by.
    pub(super) fn hash(&self, key: &[u8]) -> KeyHash {
        KeyHash(self.states.each_ref().map(|state| state.hash_one(key)))
    }

    /// Where an entry of this hash would lie if it were alone.
    fn place(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.entries.len() as u128) >> 64) as usize
    }

    /// How far an entry at `index` is from its place.
    fn distance(&self, hash: u64, index: usize) -> usize {
        let place = self.place(hash);
        if index >= place { index - place } else { index + self.entries.len() - place }
    }

    fn next(&self, index: usize) -> usize {
        if index + 1 == self.entries.len() { 0 } else { index + 1 }
    }

    /// The last offset of a key.
    pub(super) fn get(&self, key: KeyHash) -> Option<Offset> {
        let KeyHash([first, second]) = key;
        let mut index = self.place(first);
        let mut distance = 0;
        while let Some([found, other, offset]) = self.entries.get(index) {
            if *offset == 0 || self.distance(*found, index) < distance {
                return None;
            }
            if (*found, *other) == (first, second) {
                return Some(Offset(*offset as i64 - 1));
            }
            index = self.next(index);
            distance += 1;
        }
        None
    }

    /// Notes that a key was written at an offset, the largest so far; whether there was room.
    #[must_use]
    pub(super) fn put(&mut self, key: KeyHash, offset: Offset) -> bool {
        let KeyHash([first, second]) = key;
        let mut carried = [first, second, offset.0 as u64 + 1];
        let mut index = self.place(first);
        let mut distance = 0;
        // Once an entry gave way, the key is known not to be there.
        let mut is_new = false;
        loop {
            let Some([found, other, at]) = self.entries.get(index).copied() else { return false };
            let is_free = at == 0;
            if !is_free && !is_new && (found, other) == (first, second) {
                self.set(index, carried);
                return true;
            }
            let theirs = if is_free { 0 } else { self.distance(found, index) };
            if is_free || theirs < distance {
                if !is_new && self.used == self.most {
                    return false;
                }
                is_new = true;
                self.set(index, carried);
                if is_free {
                    self.used += 1;
                    return true;
                }
                carried = [found, other, at];
                distance = theirs;
            }
            index = self.next(index);
            distance += 1;
        }
    }

    fn set(&mut self, index: usize, entry: Entry) {
        if let Some(slot) = self.entries.get_mut(index) {
            *slot = entry;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// A record would be taken for the last of its key that is not, and the last one lost.
    #[test]
    fn a_full_map_knows_every_key() {
        for entries in [2, 3, 10, 1000] {
            let most = (entries * 9 / 10).clamp(1, entries - 1);
            let mut map = OffsetMap::new(entries, most);
            let mut model: HashMap<u64, i64> = HashMap::new();
            for offset in 0..entries as i64 * 5 {
                let key = (offset as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) % (most as u64 * 2);
                let fits = model.contains_key(&key) || model.len() < most;
                let hash = map.hash(&key.to_le_bytes());
                assert_eq!(map.put(hash, Offset(offset)), fits);
                if fits {
                    model.insert(key, offset);
                }
                assert_eq!(map.len(), model.len());
            }
            for key in 0..most as u64 * 2 {
                let expected = model.get(&key).copied().map(Offset);
                assert_eq!(map.get(map.hash(&key.to_le_bytes())), expected);
            }
        }
    }

    /// A key that is empty, or begins like another, would be another's.
    #[test]
    fn keys_are_told_apart() {
        let mut map = OffsetMap::new(16, 14);
        for (offset, key) in [&b""[..], b"\0", b"a", b"a\0", b"ab"].into_iter().enumerate() {
            assert_eq!(map.get(map.hash(key)), None);
            assert!(map.put(map.hash(key), Offset(offset as i64)));
            assert_eq!(map.get(map.hash(key)), Some(Offset(offset as i64)));
        }
    }
}
