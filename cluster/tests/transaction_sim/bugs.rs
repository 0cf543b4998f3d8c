//! Bugs planted on purpose: what the checkers are worth shows in whether they find them.
//!
//! Each overrides one rule. None is in the machine.

use milena_cluster::transaction::{Attempt, Rules};
use milena_protocol::ids::ProducerEpoch;

/// Whoever is fenced keeps its epoch.
#[derive(Debug)]
pub enum FenceKeepsEpoch {}

impl Rules for FenceKeepsEpoch {
    fn fenced(epoch: ProducerEpoch) -> ProducerEpoch {
        epoch
    }
}

/// A transaction ends under version 2 and its epoch goes on.
#[derive(Debug)]
pub enum EndKeepsEpoch {}

impl Rules for EndKeepsEpoch {
    fn ended(epoch: ProducerEpoch) -> ProducerEpoch {
        epoch
    }
}

/// Whoever had the epoch before gets the one that another producer has.
#[derive(Debug)]
pub enum AnybodyAsksAgain {}

impl Rules for AnybodyAsksAgain {
    fn may_ask_again(_: bool) -> bool {
        true
    }
}

/// A report counts for whatever is being marked.
#[derive(Debug)]
pub enum AnyReport {}

impl Rules for AnyReport {
    fn is_report_of(_: Attempt, _: Attempt) -> bool {
        true
    }
}

/// A transaction is complete when only one partition lacks its marker.
#[derive(Debug)]
pub enum AlmostComplete {}

impl Rules for AlmostComplete {
    fn is_complete(without_marker: usize) -> bool {
        without_marker <= 1
    }
}

/// Whoever takes over leaves undecided what was decided.
#[derive(Debug)]
pub enum NeverResumes {}

impl Rules for NeverResumes {
    fn resumes() -> bool {
        false
    }
}
