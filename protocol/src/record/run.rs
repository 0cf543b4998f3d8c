//! Batches one after the other, as they stand in a segment or a fetch answer.

use crate::record::batch::{Batch, BatchError};

/// Why a run of batches ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Exactly at the end of the bytes.
    Clean,
    /// In the middle of a batch: the rest was cut off or is not written yet.
    Partial,
    /// At zeros: the rest of the file was allocated and never written.
    Zero,
    /// At something that is no batch.
    Corrupt(BatchError),
}

/// Iterates over whole batches; checksums are not looked at.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
    position: usize,
}

impl<'a> Batches<'a> {
    /// The batches at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, position: 0 }
    }

    /// Bytes that whole batches took so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// What stands where the iteration ended.
    #[must_use]
    pub fn tail(&self) -> Tail {
        if self.rest.is_empty() {
            return Tail::Clean;
        }
        if self.rest.iter().take(super::batch::HEADER_BYTES).all(|byte| *byte == 0) {
            return Tail::Zero;
        }
        match Batch::parse(self.rest) {
            Ok(_) => Tail::Clean,
            Err(BatchError::Truncated { .. }) => Tail::Partial,
            Err(error) => Tail::Corrupt(error),
        }
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Batch<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (batch, rest) = Batch::parse(self.rest).ok()?;
        self.rest = rest;
        self.position += batch.total_bytes();
        Some(batch)
    }
}
