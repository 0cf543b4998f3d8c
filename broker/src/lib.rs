//! Milena broker.

pub mod config;
pub mod screen;
pub mod telemetry;
