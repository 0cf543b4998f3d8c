//! Apache Kafka's nodes and ours in one cluster: one quorum, one metadata log, replicas and
//! coordinators of both kinds.

mod company;
mod elections;
mod groups;
mod logs;
mod node;
mod partitions;
mod suite;
mod transactions;

pub use suite::run;
