//! Groups and their offsets: one [`Coordinator`] for each partition of `__consumer_offsets`.

pub mod assignor;
pub mod classic;
mod classic_requests;
pub mod consumer;
mod consumer_requests;
mod coordinator;
mod held;
mod migration;
mod offset_requests;
mod offsets;
mod overview;
mod progress;
pub mod record;
mod request;
mod settings;

pub use coordinator::Coordinator;
pub use request::{Answer, Caller, CommitAnswer, Page, Position, Progress, Request};
pub use settings::Settings;
