//! Fuzzing of everything that decodes bytes from strangers.
//!
//! No instrumented compiler is needed: inputs begin as valid messages made from their declarations,
//! are damaged by seeded mutations, and those that still decode join the pool that the next ones
//! are made from. Every execution is checked for its result and for the memory it took. The same
//! seed makes the same executions. A panic ends the process, after the input was printed; what was
//! found once is kept under `corpus/` and runs first.
//!
//! The targets named `canary-*` have a planted bug each. A fuzzer that does not find them finds
//! nothing else either.

#![forbid(unsafe_code)]

pub mod corpus;
pub mod mutate;
pub mod runner;
#[path = "../../../protocol/tests/sample/mod.rs"]
pub mod sample;
pub mod target;
