//! What came of a run: figures, for people and for machines.

pub mod figures;
pub mod outcome;
pub mod rounds;
pub mod table;
