//! The command line.

pub mod config_explain;
