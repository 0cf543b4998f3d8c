//! What is done to the nodes, when, and for how long.

pub mod disk;
pub mod injector;
pub mod kind;
pub mod schedule;
pub mod sync;
