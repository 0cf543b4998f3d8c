//! What the cluster knows: the image, how records change it, and its snapshots.

pub mod delta;
pub mod image;
pub mod map;
pub mod resource;
pub mod snapshot;
