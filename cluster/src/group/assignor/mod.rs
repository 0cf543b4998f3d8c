//! Assignors: which member of a consumer group shall have which partitions (KIP-848).
//!
//! They are pure functions over ordered maps, so the same group gets the same assignment on every
//! node and in every run.

mod kind;
mod range;
mod spec;
mod uniform;

pub use kind::Kind;
pub use spec::{Assignment, Partitions, Spec, Subscriber};
