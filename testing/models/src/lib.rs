//! Models of the protocols on which Milena's promises rest, checked exhaustively at small scope.
//!
//! A model is not the code: it states a rule in a few lines, names the function that has it, and
//! leaves out what does not touch the rule. The right design must hold in every state that can be
//! reached, and each design that is known to be wrong must have a counterexample. `docs/models.md`
//! says what each model leaves out, and why that is no loss.

pub mod check;
pub mod consensus;
pub mod election;
pub mod log;
pub mod replication;
pub mod runs;
pub mod transaction;
