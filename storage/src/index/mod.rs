//! The sparse indexes beside a segment: by offset, by time, and of aborted transactions.
//!
//! All three are derived from the log and can be deleted; opening the log makes them again.

mod growing;
mod offset;
mod time;
mod transaction;

pub(crate) use offset::{OffsetEntry, OffsetIndex};
pub(crate) use time::{TimeEntry, TimeIndex};
pub use transaction::AbortedTransaction;
pub(crate) use transaction::TransactionIndex;
