//! The command line. Everything but `serve` and `config explain` is a client like any other: it is
//! built on the `client` crate and works against every broker that speaks Kafka's protocol.

pub mod bench;
pub mod cluster;
pub mod config_explain;
mod connect;
pub mod group;
pub mod log_dump;
mod output;
pub mod quorum;
mod setting;
mod table;
pub mod topic;
pub mod txn;

pub use output::CliError;
