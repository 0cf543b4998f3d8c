//! A reader goes forward, and leaves nothing out.

use std::collections::BTreeMap;

use super::anomaly::Anomaly;
use super::facts::Facts;
use super::findings::Findings;
use crate::history::operation::{Action, Key, Operation, Process};

/// How far each key was read.
type Reached = BTreeMap<Key, u32>;

/// Looks at each process's polls: within one, and from one to the next.
pub fn check(facts: &Facts, findings: &mut Findings) {
    let mut reached = Reached::new();
    let mut process = None;
    for position in facts.in_process_order() {
        let Some(operation) = facts.operation(position) else { continue };
        if process.replace(operation.process) != Some(operation.process) {
            reached.clear();
        }
        match &operation.action {
            Action::Assign(keys) => reached.retain(|key, _| keys.contains(key)),
            Action::Subscribe(_) => reached.clear(),
            Action::Seek(keys) => reached.retain(|key, _| !keys.contains(key)),
            Action::Send(_) => {}
            Action::Poll(_) | Action::Transaction(_) => {
                // What was read was read, also where the transaction around it was aborted.
                let here = within(facts, operation, &reached, findings);
                reached.extend(here);
            }
        }
    }
}

/// Looks at one operation; gives how far it came.
fn within(
    facts: &Facts,
    operation: &Operation,
    before: &Reached,
    findings: &mut Findings,
) -> Reached {
    let mut here = Reached::new();
    for record in operation.reads() {
        let Some(index) = facts.index(record.0, record.1) else { continue };
        let (previous, skip, back) = match here.insert(record.0, index) {
            Some(previous) => {
                let back = Anomaly::InternalNonmonotonicPoll;
                (Some(previous), Anomaly::InternalPollSkip, back)
            }
            None => {
                let previous = before.get(&record.0).copied();
                (previous, Anomaly::PollSkip, Anomaly::NonmonotonicPoll)
            }
        };
        let Some(previous) = previous else { continue };
        let Some(anomaly) = step(previous, index, skip, back) else { continue };
        findings.note(anomaly, || words(facts, operation.process, record.0, previous, index));
    }
    here
}

fn step(previous: u32, index: u32, skip: Anomaly, back: Anomaly) -> Option<Anomaly> {
    if index <= previous {
        return Some(back);
    }
    (index > previous + 1).then_some(skip)
}

fn words(facts: &Facts, process: Process, key: Key, previous: u32, index: u32) -> String {
    let offset = |index| facts.entry(key, index).map_or(-1, |entry| entry.offset.0);
    let (from, to) = (offset(previous), offset(index));
    format!("process {}, key {}: from offset {from} to {to}", process.0, key.0)
}
