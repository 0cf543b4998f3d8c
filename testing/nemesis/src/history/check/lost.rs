//! What was acknowledged is read.

use std::collections::BTreeMap;

use super::anomaly::Anomaly;
use super::facts::Facts;
use super::findings::Findings;
use crate::history::operation::Key;

/// Looks for committed values that nobody read.
///
/// Those before the last one of their key that was read are lost; those behind it have not been
/// seen. A transaction whose outcome is unknown and of which a part was read must be there whole.
pub fn check(facts: &Facts, findings: &mut Findings) {
    let bounds = bounds(facts);
    for write in &facts.writes {
        if !facts.is_committed(write.operation) || facts.is_read(write.value) {
            continue;
        }
        let last = facts.places(write.value).iter().rfind(|place| place.key == write.key);
        let bound = bounds.get(&write.key);
        let is_before = matches!((last, bound), (Some(last), Some(bound)) if last.index <= *bound);
        let anomaly = if is_before { Anomaly::LostWrite } else { Anomaly::Unseen };
        findings.note(anomaly, || {
            let offset =
                write.offset.map_or("no offset".to_owned(), |at| format!("offset {}", at.0));
            format!("key {}: value {} at {offset}", write.key.0, write.value.0)
        });
    }
}

/// The last index of each key that was surely reached: of a value in two places the first counts.
fn bounds(facts: &Facts) -> BTreeMap<Key, u32> {
    let mut bounds = BTreeMap::new();
    let mut previous = None;
    for place in facts.all_places() {
        let is_first = previous != Some((place.value, place.key));
        previous = Some((place.value, place.key));
        if is_first && facts.is_read(place.value) {
            let bound = bounds.entry(place.key).or_insert(place.index);
            *bound = place.index.max(*bound);
        }
    }
    bounds
}
