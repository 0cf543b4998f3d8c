//! Transactions: one [`Coordinator`] for each partition of `__transaction_state`.

mod add_partitions;
mod attempt;
mod case;
mod describe;
mod end_transaction;
mod init_producer_id;
mod known;
mod machine;
mod marking;
pub mod record;
mod request;
mod rules;
mod settings;
mod state;
pub mod verification;

pub use attempt::Attempt;
pub use describe::list_none;
pub use known::{TopicPartition, Transaction};
pub use machine::{Coordinator, Machine};
pub use request::{Answer, Ask, Asked, Effect, MarkerOutcome, MarkerReport, Markers, Request};
pub use rules::{Kafka, Rules};
pub use settings::Settings;
pub use state::State;
