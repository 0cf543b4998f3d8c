//! Milena broker.

pub mod config;
