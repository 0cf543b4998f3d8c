//! Brokers as processes: where they are, how they are started, what they say of themselves.

pub mod broker;
pub mod kafka;
pub mod members;
pub mod milena;
pub mod plan;
pub mod process;
pub mod properties;
pub mod watch;
