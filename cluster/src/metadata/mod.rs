//! The metadata of the cluster: its image, changes of it, and both as bytes.

pub mod batch;
pub mod delta;
pub mod image;
pub mod map;
pub mod snapshot;
