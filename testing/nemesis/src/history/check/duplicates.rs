//! A value that was sent once stands in one place.

use super::anomaly::Anomaly;
use super::facts::{Facts, Place};
use super::findings::Findings;

/// Looks for values in two places.
pub fn check(facts: &Facts, findings: &mut Findings) {
    for pair in facts.all_places().windows(2) {
        let [one, other] = pair else { continue };
        if one.value != other.value {
            continue;
        }
        let shown = |place: &Place| {
            let offset = facts.entry(place.key, place.index).map_or(-1, |entry| entry.offset.0);
            format!("key {} offset {offset}", place.key.0)
        };
        findings.note(Anomaly::Duplicate, || {
            format!("value {}: {} and {}", one.value.0, shown(one), shown(other))
        });
    }
}
