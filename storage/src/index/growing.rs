//! A list that one thread appends to while others read it, without a lock.
//!
//! Chunk *n* holds 64·2ⁿ numbers and never moves once it is there, so a reader that has seen a
//! length can reach every number below it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const FIRST_CHUNK: usize = 64;
const CHUNKS: usize = 20;

type Chunk = OnceLock<Box<[AtomicU64]>>;

/// An append-only list of numbers. At most 64·(2²⁰−1) fit, far more than an index may hold.
#[derive(Debug, Default)]
pub(super) struct Growing {
    chunks: OnceLock<Box<[Chunk; CHUNKS]>>,
    len: AtomicUsize,
}

impl Growing {
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Appends; only one thread at a time may.
    pub(super) fn push(&self, value: u64) {
        let index = self.len.load(Ordering::Relaxed);
        let (chunk, place) = locate(index);
        let chunks = self.chunks.get_or_init(Box::default);
        if let Some(chunk_cell) = chunks.get(chunk) {
            let numbers = chunk_cell
                .get_or_init(|| (0..FIRST_CHUNK << chunk).map(|_| AtomicU64::new(0)).collect());
            if let Some(number) = numbers.get(place) {
                number.store(value, Ordering::Relaxed);
                self.len.store(index + 1, Ordering::Release);
            }
        }
    }

    /// The number at `index`, which must be below a length seen before.
    pub(super) fn at(&self, index: usize) -> u64 {
        let (chunk, place) = locate(index);
        self.chunks
            .get()
            .and_then(|chunks| chunks.get(chunk)?.get()?.get(place))
            .map_or(0, |number| number.load(Ordering::Relaxed))
    }

    /// How many numbers at the front satisfy a condition that holds for a prefix.
    pub(super) fn partition_point(&self, holds: impl Fn(u64) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if holds(self.at(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

fn locate(index: usize) -> (usize, usize) {
    let shifted = index / FIRST_CHUNK + 1;
    let chunk = shifted.ilog2() as usize;
    let start = FIRST_CHUNK * ((1 << chunk) - 1);
    (chunk, index - start)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers would be found at other places than they were put.
    #[test]
    fn every_number_is_where_it_was_put() {
        let list = Growing::default();
        for value in 0..10_000 {
            list.push(value * 3);
        }
        assert_eq!(list.len(), 10_000);
        for index in 0..10_000 {
            assert_eq!(list.at(index), index as u64 * 3);
        }
        assert_eq!(list.partition_point(|value| value <= 299), 100);
        assert_eq!(list.partition_point(|value| value <= 300), 101);
    }
}
