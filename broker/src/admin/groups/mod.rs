//! Groups: who is in them, how far they have read, and moving them.

pub mod alter;
pub mod assignments;
pub mod consumers;
pub mod group;
pub mod lags;
pub mod offsets;

mod committed;
mod found;
