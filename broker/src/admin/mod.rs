//! HTTP: Confluent's REST v3 resources, records to read and write, health and metrics.
//!
//! Every handler calls the function that the wire's handler calls, with a request struct and a
//! context; there is no second path.

mod acls;
mod body;
mod brokers;
mod call;
mod cluster_health;
mod clusters;
mod configs;
mod elsewhere;
mod error;
mod groups;
mod health;
mod host;
mod partitions;
mod path;
mod quorum;
mod ranges;
mod reassignments;
mod records;
mod resource;
mod routes;
mod server;
mod state;
mod topics;
mod watched;

pub use server::serve;
