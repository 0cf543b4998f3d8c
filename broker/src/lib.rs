//! Milena broker.

pub mod cli;
pub mod config;
pub mod screen;
pub mod telemetry;
