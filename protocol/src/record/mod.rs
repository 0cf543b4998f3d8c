//! Record batches: the bytes that producers send, logs keep and consumers read.

pub mod batch;
pub mod builder;
pub mod compression;
pub mod control;
mod lz4;
pub mod outline;
pub mod rebuild;
#[allow(clippy::module_inception, reason = "a record is what it is called")]
pub mod record;
pub mod run;
mod snappy;
pub mod validate;

pub use batch::{Batch, BatchError};
pub use builder::{BatchBuilder, BatchOptions};
pub use compression::Compression;
