//! Milena's broker against clients and tools that nobody here wrote.
//!
//! `cargo xtask interop [NAME…]` runs the suites of [`suite::SUITES`] against the release build,
//! each with a broker of its own on free ports and in a fresh directory. What a suite needs it
//! installs itself under `target/interop`. The same suites run against Apache Kafka with
//! `--on kafka`, which tells whether an expectation is Kafka's or only ours, and against three of
//! our nodes with `--on cluster`.

pub mod check;
pub mod client;
pub mod clients;
mod cluster;
pub mod connect;
pub mod copies;
pub mod dump;
pub mod files;
pub mod franz;
pub mod kafka;
pub mod milena;
pub mod mixed;
pub mod operator;
pub mod packages;
pub mod place;
pub mod program;
pub mod rdkafka;
pub mod records;
pub mod server;
pub mod suite;
pub mod tools;
