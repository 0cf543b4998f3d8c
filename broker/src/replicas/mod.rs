//! The partitions that this broker hosts: their logs, their role, and who waits for them.

pub mod durable;
pub mod partition;
pub mod progress;
pub mod registry;
