//! A nemesis: real brokers under faults, and a checker for what clients saw of them.
//!
//! | Module | What it is for |
//! | --- | --- |
//! | [`history`] | operations of clients, the checker, files |
//! | [`cluster`] | nodes as processes, what they say of the cluster |
//! | [`network`] | proxies between them |
//! | [`fault`] | what is done to them, and when |
//! | [`workload`] | the clients |
//! | [`report`] | figures |
//! | [`run`] | all of it together |
#![forbid(unsafe_code)]

pub mod cluster;
pub mod fault;
pub mod history;
pub mod network;
pub mod random;
pub mod report;
pub mod run;
pub mod workload;
