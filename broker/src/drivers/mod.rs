//! Threads that drive the machines of `cluster`: they execute outputs and hold no rules.

pub mod cleaner;
pub mod controller;
pub mod coordinator;
pub mod housekeeping;
pub mod markers;
pub mod metadata_log;
pub mod producer_ids;
pub mod replay;
pub mod transactions;
