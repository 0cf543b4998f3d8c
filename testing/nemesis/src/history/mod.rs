//! What clients did to a cluster, and whether a log may behave so.

pub mod check;
pub mod file;
pub mod model;
pub mod operation;
pub mod recorder;
