//! Transactions of version 2 (KIP-890): one transactional id, its coordinator, two partitions, a
//! producer and the one that takes over from it (`docs/models.md`).

mod coordinator;
mod model;
mod partition;

pub use model::{Action, Design, Message, Scope, State, Transactions};
