//! Ben-Or's randomised consensus, with a coin of each voter's own or one that all share: what a
//! quorum without leaders would rest on, to compare with (`docs/quorum.md`, `docs/models.md`).

mod model;
mod rounds;

pub use model::{Action, Coin, Consensus, Design, Heard, Scope, State};
pub use rounds::{Mean, Schedule, mean_rounds};
