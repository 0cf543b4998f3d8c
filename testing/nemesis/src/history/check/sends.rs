//! What a process sends to a key stands there in the order in which it was sent.
//!
//! That is so for idempotent producers, also where an outcome is unknown: such a value has its
//! place like any other once it was read.

use std::collections::BTreeMap;

use super::anomaly::Anomaly;
use super::facts::Facts;
use super::findings::Findings;
use crate::history::operation::{Key, Process, Send};

/// Where a process's last value of a key stands, and which operation sent it.
type Last = BTreeMap<Key, (u32, u32)>;

/// Looks at each process's sends.
pub fn check(facts: &Facts, findings: &mut Findings) {
    let mut last = Last::new();
    let mut process = None;
    for position in facts.in_process_order() {
        let Some(operation) = facts.operation(position) else { continue };
        if process.replace(operation.process) != Some(operation.process) {
            last.clear();
        }
        if !facts.is_committed(position) {
            continue;
        }
        for send in operation.sends() {
            let Some(index) = index(facts, send) else { continue };
            if let Some((previous, sent_by)) = last.insert(send.key, (index, position)) {
                let step = Step { previous, index, is_internal: sent_by == position };
                look(facts, operation.process, send, step, findings);
            }
        }
    }
}

struct Step {
    previous: u32,
    index: u32,
    is_internal: bool,
}

fn look(facts: &Facts, process: Process, send: &Send, step: Step, findings: &mut Findings) {
    let Step { previous, index, is_internal } = step;
    let anomaly = match (index <= previous, is_internal) {
        (true, true) => Anomaly::InternalNonmonotonicSend,
        (true, false) => Anomaly::NonmonotonicSend,
        (false, true) if index > previous + 1 => Anomaly::InternalSendSkip,
        _ => return,
    };
    findings.note(anomaly, || {
        let offset = |index| facts.entry(send.key, index).map_or(-1, |entry| entry.offset.0);
        let (process, key, value) = (process.0, send.key.0, send.value.0);
        let (from, to) = (offset(previous), offset(index));
        format!(
            "process {process}, key {key}: value {value} at offset {to}, the one before at {from}"
        )
    });
}

/// Where a send is said to be, or else where its value was read.
fn index(facts: &Facts, send: &Send) -> Option<u32> {
    if let Some(offset) = send.offset {
        return facts.index(send.key, offset);
    }
    let place = facts.places(send.value).iter().find(|place| place.key == send.key)?;
    Some(place.index)
}
