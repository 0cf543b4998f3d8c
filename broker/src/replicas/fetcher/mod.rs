//! Fetching what this broker follows: who is fetched from whom, and the tasks that do it.

mod lanes;
mod network;
mod session;
mod task;

pub use lanes::{Lane, LaneKey, Lanes};
pub use network::{Channel, Lost, Network, Wired};
pub use task::{FetchRules, run};
