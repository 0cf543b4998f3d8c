//! The partitions that this broker hosts: their logs, their role, and who waits for them.

pub mod absent;
pub mod alter;
mod apply;
pub mod durable;
pub mod fetcher;
pub mod log_config;
pub mod partition;
pub mod progress;
pub mod registry;
pub mod role;
pub mod shared;
pub mod throttle;
mod undecided;
mod waits;

pub use apply::Replicas;

#[cfg(test)]
mod tests;
