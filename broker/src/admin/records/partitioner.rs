//! Where a record goes that names no partition: as every Kafka client decides it, by the key's
//! hash. Records without a key go round.

use milena_client::producer::partition_of_key;

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
        if let Some(key) = key {
            return partition_of_key(key, self.count as usize).0;
        }
        let chosen = self.next;
        self.next = (chosen + 1) % self.count;
        // A topic has fewer than 2³¹ partitions.
        chosen as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records with a key would go to another partition than Java's client sends them to.
    #[test]
    fn keys_hash_as_in_java() {
        let mut partitioner = Partitioner::new(1000, 0);
        for (key, partition) in [("", 681), ("test", 879), ("группа", 907), ("a", 524)] {
            assert_eq!(partitioner.choose(Some(key.as_bytes())), partition, "{key}");
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
