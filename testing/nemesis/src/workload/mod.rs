//! What clients do meanwhile, and the last look at what is there.

pub mod clients;
pub mod consumer;
pub mod final_read;
pub mod foreign;
pub mod group;
pub mod payload;
pub mod probe;
pub mod producer;
pub mod settings;
pub mod topics;
pub mod transaction;
