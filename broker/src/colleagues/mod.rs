//! The way to other brokers, for what they have to do for this one. What several ask of one broker
//! while it is busy goes to it in one request.

mod additions;
mod joined;
mod lanes;
mod markers;
mod questions;
mod ways;

pub use joined::Joined;
pub use lanes::{Lanes, Silence};
pub use questions::Questions;
pub use ways::Colleagues;
