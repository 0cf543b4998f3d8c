//! The partitions that this broker hosts: their logs, their role, and who waits for them.

mod apply;
pub mod durable;
pub mod log_config;
pub mod partition;
pub mod progress;
pub mod registry;
pub mod verification;

pub use apply::Replicas;
