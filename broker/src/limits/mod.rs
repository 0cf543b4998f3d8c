//! What clients may cost this broker.

pub mod budget;
pub mod connections;
mod rules;

pub use rules::Limits;
