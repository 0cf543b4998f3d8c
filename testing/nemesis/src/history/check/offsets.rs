//! One offset holds one value, whoever looks and whenever.

use super::anomaly::Anomaly;
use super::facts::Facts;
use super::findings::Findings;

/// Looks for offsets with two values, and for values that nobody sent there.
pub fn check(facts: &Facts, findings: &mut Findings) {
    for conflict in &facts.conflicts {
        findings.note(Anomaly::InconsistentOffsets, || {
            let (one, other) = conflict.values;
            let (key, offset) = (conflict.key.0, conflict.offset.0);
            format!("key {key}, offset {offset}: values {} and {}", one.0, other.0)
        });
    }
    for place in facts.all_places() {
        if facts.writer(place.value).is_none_or(|write| write.key != place.key) {
            findings.note(Anomaly::Phantom, || {
                format!("key {}: value {} was not sent there", place.key.0, place.value.0)
            });
        }
    }
}
