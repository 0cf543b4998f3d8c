//! Configurations of topics, of single brokers and of all brokers.

pub mod all_brokers;
pub mod broker;
pub mod topic;

mod alter;
mod describe;
mod owner;
