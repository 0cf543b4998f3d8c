//! A nemesis: real brokers under faults, and a checker for what clients saw of them.
//!
//! | Module | What it is for |
//! | --- | --- |
//! | [`history`] | operations of clients, the checker, files |
#![forbid(unsafe_code)]

pub mod history;
pub mod random;
