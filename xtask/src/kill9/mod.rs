//! `kill -9` at random moments under an idempotent producer of somebody else.
//!
//! `cargo xtask kill9 [--rounds N] [--seed S] [--client librdkafka|java]` kills the broker while a
//! client sends with acks=all, also in the middle of a start, and afterwards reads every partition
//! with kcat: nothing acknowledged may be lost, nothing doubled, nothing out of order.

pub mod history;
pub mod moments;
pub mod run;
