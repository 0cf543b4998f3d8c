//! Reading partitions that the caller names ("assign", in Kafka's words).
//!
//! [`Consumer::poll`] keeps one fetch under way to every leader and hands out whole answers as they
//! come; the next fetch is under way while the caller works on the last one. A position moves when
//! records are handed out. Records of aborted transactions and control records are left out where
//! only committed ones are wanted (KIP-98); positions move over them. A partition that cannot be
//! read for now is asked for again after a while, and holds up no other.

mod fetch;
mod options;
mod place;
mod poll;
mod record;
mod start;

pub use options::{ConsumerOptions, Reset, Start};
pub use place::{Ends, Key};
pub use poll::Consumer;
pub use record::{ConsumedRecord, TimestampKind};

pub use crate::offsets::Isolation;
