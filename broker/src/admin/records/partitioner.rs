//! Where a record goes that names no partition: as every Kafka client decides it, by the key's
//! hash. Records without a key go round.

/// Decides for one request.
#[derive(Debug)]
pub struct Partitioner {
    count: u32,
    next: u32,
}

impl Partitioner {
    /// Decides among `count` partitions; the first record without a key goes to `start`.
    pub fn new(count: usize, start: i64) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
        let next = start.rem_euclid(i64::from(count)) as u32;
        Self { count, next }
    }

    /// How many partitions there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The partition of a record.
    pub fn choose(&mut self, key: Option<&[u8]>) -> i32 {
        let chosen = match key {
            Some(key) => (murmur2(key) & 0x7fff_ffff) % self.count,
            None => {
                let chosen = self.next;
                self.next = (chosen + 1) % self.count;
                chosen
            }
        };
        // A topic has fewer than 2³¹ partitions.
        chosen as i32
    }
}

/// The hash of Java's default partitioner, so that a key goes where every other client sends it.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ key.len() as u32;
    let (blocks, tail) = key.as_chunks::<4>();
    for block in blocks {
        let mut k = u32::from_le_bytes(*block).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !tail.is_empty() {
        for (at, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records with a key would go to another partition than Java's client sends them to.
    #[test]
    fn keys_hash_as_in_java() {
        let vectors = [
            ("", 275_646_681),
            ("a", -1_563_381_124),
            ("my-group", -1_626_987_699),
            ("test", 716_234_879),
            ("console-consumer-12345", -519_576_848),
            ("группа", 1_779_400_907),
            ("hello world", 1_221_641_059),
        ];
        for (key, hash) in vectors {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }

    /// Records without a key would all lie in one partition.
    #[test]
    fn records_without_a_key_go_round() {
        let mut partitioner = Partitioner::new(3, 1_000_000_000_001);
        let chosen: Vec<i32> = (0..4).map(|_| partitioner.choose(None)).collect();
        assert_eq!(chosen, [2, 0, 1, 2]);
    }
}
