//! Compaction: of each key the last record stays, at its offset.
//!
//! | module | what |
//! |---|---|
//! | `plan` | whether a log should be compacted and how far it may be, as a function of facts |
//! | `budget` | how much memory a pass may take, and how much IO |
//! | `offsets` | which offset is the last of each key |
//! | `transactions` | what is decided about the batch at hand |
//! | `filter` | what is left of one batch |
//! | `walk` | all batches of a segment, read and checked within the budget |
//! | `output` | the files of a new segment |
//! | `pass` | one pass over a log: learn the keys, write new segments, swap them in |
//! | `run` | what a log offers to whoever compacts it |

mod budget;
mod filter;
mod offsets;
mod output;
mod pass;
mod plan;
mod run;
mod transactions;
mod walk;

pub use budget::{CompactionBudget, Pace};
pub use pass::Compacted;
pub use plan::Assessment;
pub use run::Compaction;
