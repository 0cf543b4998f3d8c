//! The metadata as a log holds it, and as the ledger of a node takes it.

use bytes::BytesMut;
use milena_cluster::controller::ledger::Appended;
use milena_cluster::metadata::batch;
use milena_cluster::quorum::{Append, Batch};
use milena_protocol::record::batch::patch;

use crate::quorum_checks::Violation;
use crate::recovery::received;

/// A batch that stands in a log.
pub fn appended(batch: &Batch) -> Result<Appended, Violation> {
    Appended::read(batch).map_err(|error| format!("a batch cannot be read: {error}"))
}

/// What a leader decided, as the log holds it.
pub fn encoded(append: &Append) -> Result<Batch, Violation> {
    let bytes = batch::bytes(append).map_err(|error| format!("it cannot be written: {error}"))?;
    let mut bytes = BytesMut::from(&bytes[..]);
    patch::place(&mut bytes, append.base_offset, append.epoch);
    let found = received(&bytes.freeze()).ok_or("a batch that is not whole was made")?;
    let is_same = found.base_offset == append.base_offset
        && found.end_offset == append.end_offset()
        && found.epoch == append.epoch
        && found.control == append.control();
    if is_same { Ok(found) } else { Err(format!("another batch was made: {found:?}")) }
}
