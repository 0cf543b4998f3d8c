//! Which partition a record goes to: by the hash of its key, as every Kafka client does by default,
//! or without a key the same one for a while, then another (KIP-480, KIP-794).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use milena_protocol::ids::PartitionIndex;

use super::options::ProducerOptions;
use crate::entropy::Entropy;
use crate::metadata::Topic;

/// The partition of a key among `count`: Kafka's murmur2, so that every client agrees.
#[must_use]
pub fn partition_of_key(key: &[u8], count: usize) -> PartitionIndex {
    let positive = murmur2(key) & 0x7fff_ffff;
    PartitionIndex((positive % count.max(1) as u32) as i32)
}

/// The 32-bit murmur2 hash with the seed that Kafka's clients use.
#[must_use]
pub fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32 ^ bytes.len() as u32;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let mut k = word.iter().rev().fold(0, |k, byte| (k << 8) | u32::from(*byte));
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0, |k, byte| (k << 8) | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// Where records without a key go now.
#[derive(Debug, Default)]
pub(super) struct Sticky {
    topics: HashMap<Arc<str>, Place>,
    entropy: Entropy,
    draws: u64,
}

#[derive(Debug)]
struct Place {
    partition: PartitionIndex,
    bytes: usize,
}

impl Sticky {
    /// The partition for a record of so many bytes: a batch's worth to each, partitions with a
    /// leader first.
    pub fn choose(
        &mut self,
        topic: &Topic,
        bytes: usize,
        options: &ProducerOptions,
    ) -> PartitionIndex {
        if let Some(place) = self.topics.get_mut(&topic.name)
            && place.bytes + bytes <= options.batch_bytes
        {
            place.bytes += bytes;
            return place.partition;
        }
        self.draws += 1;
        let draw = self.entropy.draw(self.draws) as usize;
        let led: Vec<_> = topic.partitions.iter().filter(|one| one.leader.is_some()).collect();
        let chosen = match led.len() {
            0 => topic.partitions.get(draw % topic.partitions.len().max(1)),
            count => led.get(draw % count).copied(),
        };
        let partition = chosen.map_or(PartitionIndex(0), |partition| partition.index);
        self.topics.insert(Arc::clone(&topic.name), Place { partition, bytes });
        partition
    }
}

/// Holds only whole values: a panic elsewhere leaves nothing half done.
pub(super) fn lock(sticky: &Mutex<Sticky>) -> MutexGuard<'_, Sticky> {
    sticky.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records of one key would go to another partition than those of Java's producer. The hashes
    /// were printed by Kafka's own `Utils.murmur2`.
    #[test]
    fn hashes_are_those_of_the_java_client() {
        let vectors: &[(&str, i32)] = MURMUR2_OF_JAVA;
        for (key, hash) in vectors {
            assert_eq!(murmur2(key.as_bytes()) as i32, *hash, "{key:?}");
        }
    }

    const MURMUR2_OF_JAVA: &[(&str, i32)] = &[
        ("", 275_646_681),
        ("a", -1_563_381_124),
        ("21", -973_932_308),
        ("abc", 479_470_107),
        ("abcd", -1_323_649_548),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("ключ", 2_122_343_024),
        ("0123456789abcdef", 1_438_427_052),
        ("x\0y", 632_346_061),
        ("my-group", -1_626_987_699),
        ("test", 716_234_879),
        ("console-consumer-12345", -519_576_848),
        ("группа", 1_779_400_907),
        ("hello world", 1_221_641_059),
    ];
}
