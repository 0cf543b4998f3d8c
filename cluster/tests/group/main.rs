//! Classic groups and stored offsets, as the coordinator sees them: requests and time in, records
//! and answers out.

mod bugs;
mod classic;
mod migration;
mod migration_sim;
mod offsets;
mod overview;
mod progress;
mod sim;
#[path = "../simulation/mod.rs"]
mod simulation;
#[path = "../consumer_topics/mod.rs"]
mod topics;
mod world;
