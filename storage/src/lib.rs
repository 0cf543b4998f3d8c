//! The log of one partition on disk, in Kafka's own layout and bytes.
//!
//! A [`LogDirectory`] holds logs; a [`Log`] is the one writer of one; a [`LogReader`] reads it
//! from any thread without a lock; a [`FlushHandle`] waits for it to be durable. Storage knows
//! nothing of replication: the high watermark is something it is told.
//!
//! Modules, each importing only those above it:
//!
//! | module | what |
//! |---|---|
//! | `config`, `error` | settings and failures as values |
//! | `disk` | the trait, the real disk, one that fails on purpose |
//! | `map` | mapped files, the only unsafe code |
//! | `descriptors`, `checkpoint`, `ledger`, `health` | open files, small files, what is remembered of all logs, whether the directory is sound |
//! | `index`, `epochs`, `producers` | what is derived from a log |
//! | `reserve` | space that is there when there is none |
//! | `environment` | what the logs of a directory share |
//! | `segment`, `swap`, `state` | one file with its indexes; one that takes the place of several; one log |
//! | `admission`, `flush`, `save`, `recovery`, `truncate`, `retention`, `start`, `reader`, `compaction`, `log` | one verb each |
//! | `inspect` | what stands in the small files, for tools |
//! | `registry`, `directory` | all logs of a directory, its threads, its identity |

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::indexing_slicing))]

mod admission;
pub mod checkpoint;
mod compaction;
mod config;
mod damage;
mod descriptors;
mod directory;
pub mod disk;
mod environment;
mod epochs;
mod error;
mod flush;
mod health;
mod index;
pub mod inspect;
mod ledger;
mod log;
#[allow(unsafe_code, reason = "mapping files is unsafe; the module's head says why it holds")]
mod map;
mod producers;
mod reader;
mod recovery;
mod registry;
mod reserve;
mod retention;
mod save;
mod segment;
mod start;
mod state;
mod swap;
mod truncate;

pub use admission::{AdmittedBatch, Origin};
pub use compaction::{Assessment, Compacted, Compaction, CompactionBudget, Pace};
pub use config::{Cleanup, LogCompression, LogConfig, LogTimestamps, RecordValidation};
pub use damage::Damage;
pub use directory::{DirectoryOptions, FoundPartition, LogDirectory, Usage, Witness};
pub use disk::{Disk, RealDisk};
pub use epochs::EpochEntry;
pub use error::{
    AppendError, CompactError, OpenDirectoryError, OpenLogError, ReadError, StorageError,
};
pub use flush::FlushHandle;
pub use index::AbortedTransaction;
pub use log::{AppendContext, Appended, Log};
pub use producers::{ActiveProducer, ProducerBatch};
pub use reader::{FoundOffset, LogOffsets, LogReader, ReadLimit, ReadSlice};
pub use retention::{RemovedSegment, RetentionReason};
pub use start::StartHandle;
