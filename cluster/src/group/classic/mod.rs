//! Classic groups (KIP-345, 394, 134): members join, one of them assigns, all take their part.
//!
//! What a group must not forget is one record: generation, protocol, leader, members and their
//! assignments. It is written when a generation begins, without leader and assignments, and again
//! when the leader has assigned. Who is waiting, and when which session ends,
//! is forgotten with the coordinator; members are given their whole session anew then.

mod describe;
mod group;
mod join;
mod member;
mod migrate;
mod said;
mod stay;
mod sync;

pub(crate) use group::refused_join;
pub use group::{Group, State};
pub use member::Member;
pub use stay::Committer;
