//! Writing records.
//!
//! ```text
//! send() ─► partition ─► Lane (one per partition) ─► batches
//!                                                      │
//!           Delivery ◄─ one request per leader ◄─ Sender
//! ```
//!
//! Records of a partition are collected into batches, sent in order, and tried again until they are
//! acknowledged or their time is up. With idempotence (the default) a retry is never written twice
//! and up to five requests are under way for a partition without its order being lost (KIP-98);
//! without it a partition has one request under way.
//!
//! With a `transactional_id` records are written in transactions, all or nothing, together with the
//! offsets of a group: `init_transactions` once, then again and again `begin_transaction`, records
//! and `send_offsets`, and `commit_transaction` or `abort_transaction`.

mod delivery;
mod lane;
mod options;
mod partitioner;
mod record;
mod send;
mod sender;
mod shared;
mod transact;
mod transaction;
mod transactions;

pub use delivery::{Delivered, Delivery};
pub use options::{Acks, ProducerOptions};
pub use partitioner::{murmur2, partition_of_key};
pub use record::NewRecord;
pub use send::Producer;
