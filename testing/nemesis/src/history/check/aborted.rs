//! Only what was committed is read.

use super::anomaly::Anomaly;
use super::facts::Facts;
use super::findings::Findings;
use crate::history::operation::Outcome;

/// Looks for reads of what failed, and of one's own unfinished transaction.
pub fn check(facts: &Facts, findings: &mut Findings) {
    for write in &facts.writes {
        let Some(operation) = facts.operation(write.operation) else { continue };
        if operation.outcome == Outcome::Fail && facts.is_read(write.value) {
            findings.note(Anomaly::AbortedRead, || {
                format!("key {}: value {} failed, and was read", write.key.0, write.value.0)
            });
        }
    }
    for operation in facts.history {
        let own = |value| operation.sends().any(|send| send.value == value);
        for record in operation.reads().filter(|record| own(record.2)) {
            findings.note(Anomaly::PrecommittedRead, || {
                format!("process {} read its own value {}", operation.process.0, record.2.0)
            });
        }
    }
}
