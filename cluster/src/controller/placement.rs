//! Where the replicas of new partitions go (fact K7).
//!
//! Striped over racks, round-robin within each: the first replicas go round the racks and their
//! brokers, the further ones to the racks that follow. Fenced brokers and those that shut down are
//! taken only where the active ones do not suffice, and never first.

use std::collections::BTreeMap;

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::NodeId;

use super::machine::{Controller, Refused};
use crate::metadata::image::BrokerImage;

impl Controller {
    /// Whether a broker may lead, and be in an ISR.
    pub(super) fn is_active(&self, id: NodeId) -> bool {
        self.image.broker(id).is_some_and(|broker| broker.is_active())
    }

    /// Places partitions, the first of them as the `start`th of the topic.
    pub(super) fn place(
        &self,
        partitions: usize,
        factor: usize,
        start: usize,
    ) -> Result<Vec<Vec<NodeId>>, Refused> {
        let active = striped(self, true);
        let spare = striped(self, false);
        if active.is_empty() || factor > active.len() + spare.len() {
            return Err(Refused::new(
                ErrorCode::INVALID_REPLICATION_FACTOR,
                format!(
                    "replication factor {factor} needs as many brokers, but {} are registered and \
                     {} of them are active",
                    active.len() + spare.len(),
                    active.len()
                ),
            ));
        }
        Ok((start..start + partitions).map(|at| replicas(&active, &spare, factor, at)).collect())
    }
}

/// A broker and its rack.
type Place<'a> = (NodeId, Option<&'a str>);

/// The replicas of one partition: the stripe from its own place on, each further one in the rack
/// that has the fewest so far, then spare brokers.
fn replicas(active: &[Place<'_>], spare: &[Place<'_>], factor: usize, at: usize) -> Vec<NodeId> {
    // Every full round over the brokers moves the followers on by one, so that not all
    // partitions of a failed leader fall to the same next broker.
    let (first, round) = (at % active.len(), at / active.len());
    let followers = active.len() - 1;
    let shifted = (0..followers).map(|step| first + 1 + (step + round) % followers.max(1));
    let mut rest: Vec<Place<'_>> =
        shifted.filter_map(|index| active.get(index % active.len()).copied()).collect();
    let mut chosen: Vec<Place<'_>> = active.get(first).copied().into_iter().collect();
    while chosen.len() < factor && !rest.is_empty() {
        let uses = |place: &Place<'_>| chosen.iter().filter(|other| other.1 == place.1).count();
        let next = (0..rest.len()).min_by_key(|index| rest.get(*index).map(uses)).unwrap_or(0);
        chosen.push(rest.remove(next));
    }
    let from_spare = (0..spare.len()).filter_map(|step| spare.get((at + step) % spare.len()));
    chosen.into_iter().chain(from_spare.copied()).map(|(id, _)| id).take(factor).collect()
}

/// Brokers in stripes: one of each rack, then the next of each rack.
fn striped(controller: &Controller, active: bool) -> Vec<Place<'_>> {
    let mut racks: BTreeMap<Option<&str>, Vec<NodeId>> = BTreeMap::new();
    // A broker whose directories are all cordoned gets nothing new (KIP-1066).
    let is_open =
        |it: &BrokerImage| it.log_dirs.is_empty() || it.open_directories().next().is_some();
    let brokers = controller.image.brokers().filter(|broker| is_open(broker));
    for broker in brokers.filter(|broker| broker.is_active() == active) {
        racks.entry(broker.rack.as_deref()).or_default().push(broker.id);
    }
    let longest = racks.values().map(Vec::len).max().unwrap_or(0);
    (0..longest)
        .flat_map(|row| racks.iter().filter_map(move |(rack, ids)| Some((*ids.get(row)?, *rack))))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// All replicas of a partition would be lost with one rack, or one broker would lead all.
    #[test]
    fn replicas_are_spread_over_racks_and_brokers() {
        let active: Vec<Place<'_>> =
            (0..6).map(|id| (NodeId(id), Some(["a", "b", "c"][id as usize % 3]))).collect();
        let mut leaders = [0; 6];
        for at in 0..600 {
            let replicas = replicas(&active, &[], 3, at);
            assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), 3);
            assert_eq!(replicas.iter().map(|id| id.0 % 3).collect::<BTreeSet<_>>().len(), 3);
            leaders[replicas[0].0 as usize] += 1;
        }
        assert_eq!(leaders, [100; 6]);
    }

    /// A partition would begin with a leader that is not there.
    #[test]
    fn spare_brokers_come_last() {
        let (active, spare) = ([(NodeId(1), None)], [(NodeId(2), None), (NodeId(3), None)]);
        for at in 0..10 {
            assert_eq!(replicas(&active, &spare, 3, at)[0], NodeId(1));
        }
        assert_eq!(replicas(&active, &spare, 1, 5), [NodeId(1)]);
    }
}
