//! The disk as storage sees it: a trait, the real disk, and one that fails on purpose.

mod fault;
mod operations;
mod real;

pub use fault::{Fault, FaultDisk};
pub use operations::{Disk, Entry, Mode, Space};
pub use real::RealDisk;
