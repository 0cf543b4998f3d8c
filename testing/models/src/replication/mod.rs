//! A partition's replicas: the ISR, the high watermark, leader epochs, eligible leaders (KIP-966)
//! and the loss witness (`docs/models.md`).

mod controller;
mod model;
mod replica;

pub use model::{Action, Design, Message, Replication, Scope, State};
