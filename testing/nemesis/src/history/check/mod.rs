//! The checker: what a log must never show, in the manner of Jepsen's Kafka workload.
//!
//! From all that was sent and read the *version order* of each key is put together ([`facts`]):
//! which value stands at which offset, with the holes left out. Everything else is a question to
//! it. All of it takes n log n steps for n records.

pub mod aborted;
pub mod anomaly;
pub mod cycles;
pub mod duplicates;
pub mod facts;
pub mod findings;
pub mod graph;
pub mod lost;
pub mod offsets;
pub mod polls;
pub mod sends;
pub mod verdict;
