//! The ways to other brokers, one for each purpose.

use std::sync::Arc;
use std::time::Duration;

use milena_protocol::ids::NodeId;

use super::additions::Additions;
use super::lanes::Lanes;
use super::markers::Markers;
use super::questions::Questions;
use crate::metadata::Published;
use crate::replicas::fetcher::Wired;

/// How long a leader may take to have markers replicated: longer than it waits for that itself.
const MARKERS_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a coordinator may take to say what is in a transaction.
const ADDITIONS_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a broker may take to answer a question.
const QUESTIONS_TIMEOUT: Duration = Duration::from_secs(5);

/// The ways to other brokers. What waits at the other end has a way of its own.
#[derive(Debug)]
pub struct Colleagues {
    /// To the leaders of partitions, with markers.
    pub markers: Lanes<Markers>,
    /// To the coordinators of transactions, with partitions.
    pub additions: Lanes<Additions>,
    /// To coordinators of groups and leaders of partitions, with what was asked over HTTP.
    pub questions: Questions,
}

impl Colleagues {
    /// Ways to the listener that brokers use among themselves.
    #[must_use]
    pub fn new(node: NodeId, metadata: &Arc<Published>, listener: &str) -> Self {
        let way = |purpose: &str, timeout| {
            let wired = Wired::new(node, Arc::clone(metadata), listener, timeout);
            wired.named(format!("broker-{node}-{purpose}"))
        };
        Self {
            markers: Lanes::new(way("markers", MARKERS_TIMEOUT)),
            additions: Lanes::new(way("additions", ADDITIONS_TIMEOUT)),
            questions: Questions::new(way("questions", QUESTIONS_TIMEOUT)),
        }
    }
}
