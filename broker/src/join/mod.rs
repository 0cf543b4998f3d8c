//! Becoming part of a cluster that is there, without ceremony: a node that is told of one server
//! of it learns the rest, keeps it beside its data, and stands for the quorum while that is small.

mod found;
mod server;
mod settle;
mod volunteer;

pub use found::Found;
pub use server::JoinError;
pub use settle::{Joining, listen_towards, settle};
pub use volunteer::{Candidacy, keep_registered, stand};
