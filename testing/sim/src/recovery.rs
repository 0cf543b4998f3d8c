//! What a start makes of the bytes of a log: everything up to the first that is not as it was
//! written.

use bytes::Bytes;
use milena_cluster::metadata::batch;
use milena_cluster::quorum::Batch;
use milena_protocol::ids::{LeaderEpoch, Offset};
use milena_protocol::record::run::Batches;

use crate::simulation::rng::Rng;

/// The checksum of a batch covers what stands from here on.
const COVERED_FROM: usize = 21;

/// A batch with one bit turned, where the checksum sees it.
pub fn flipped(bytes: &Bytes, rng: &mut Rng) -> Bytes {
    let mut bent = bytes[..COVERED_FROM].to_vec();
    bent.extend_from_slice(&turned(&bytes.slice(COVERED_FROM..), rng));
    bent.into()
}

/// Bytes with one bit turned.
pub fn turned(bytes: &Bytes, rng: &mut Rng) -> Bytes {
    let mut bent = bytes.to_vec();
    let at = rng.below(bent.len() as u64) as usize;
    if let Some(byte) = bent.get_mut(at) {
        *byte ^= 1 << rng.below(8);
    }
    bent.into()
}

/// A batch of which only the beginning, or not every bit, was written.
pub fn torn(bytes: &Bytes, rng: &mut Rng) -> Bytes {
    if rng.chance(500) {
        return flipped(bytes, rng);
    }
    bytes.slice(..rng.within(1, bytes.len().max(2) as u64 - 1) as usize)
}

/// A batch as it came, if it is whole.
pub fn received(bytes: &Bytes) -> Option<Batch> {
    let mut found = batch::of_quorum(bytes).ok()?;
    let one = found.pop().filter(|one| one.bytes.len() == bytes.len())?;
    found.is_empty().then_some(one)
}

/// The batches of a log that begins at an offset, up to the first that is damaged.
pub fn recovered(bytes: &Bytes, start: Offset) -> Vec<Batch> {
    let mut found: Vec<Batch> = Vec::new();
    let mut run = Batches::new(bytes);
    let (mut begin, mut next, mut epoch) = (0, start, LeaderEpoch(0));
    while let Some(one) = run.next() {
        let end = run.position();
        let fits = one.base_offset() == next && one.leader_epoch() >= epoch;
        let Some(batch) = received(&bytes.slice(begin..end)).filter(|_| fits) else { break };
        (begin, next, epoch) = (end, batch.end_offset, batch.epoch);
        found.push(batch);
    }
    found
}

/// The bytes of a log with something damaged behind it.
pub fn with_tail(batches: &[Batch], tail: &Bytes) -> Bytes {
    let mut bytes = Vec::new();
    batches.iter().for_each(|batch| bytes.extend_from_slice(&batch.bytes));
    bytes.extend_from_slice(tail);
    bytes.into()
}
