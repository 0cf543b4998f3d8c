//! What the active controller does from time to time (facts R12, R13).

use std::time::Duration;

use super::machine::{Controller, Decision};

/// Partitions that change at once: what is left comes with the next turn.
const MAX_CHANGES: usize = 1000;
/// Every partition is given back: since Kafka 4 no percentage of others is let pass (fact R13).
const NO_IMBALANCE: usize = 0;
/// How soon the next turn comes where one was not enough.
const SOON: Duration = Duration::from_millis(500);

impl Controller {
    /// Gives leaders back to their preferred replicas, and partitions without one to whoever their
    /// topic allows, as `auto.leader.rebalance.enable` and `unclean.leader.election.enable` say.
    /// Answers how many partitions get another leader.
    #[must_use]
    pub fn chores(&self) -> Decision<usize> {
        let Decision { mut records, answer: elected } =
            self.elect_where_unclean_is_allowed(MAX_CHANGES);
        let resolver = self.resolver();
        let is_balanced = resolver.broker_text("auto.leader.rebalance.enable");
        if is_balanced.is_none_or(|value| value.trim() != "true") {
            return Decision { records, answer: elected };
        }
        let Decision { records: more, answer: balanced } =
            self.balance_leaders(NO_IMBALANCE, MAX_CHANGES - elected);
        records.extend(more);
        Decision { records, answer: elected + balanced }
    }

    /// How long until the next turn, after one that changed so many partitions
    /// (`leader.imbalance.check.interval.seconds`).
    #[must_use]
    pub fn chores_interval(&self, changed: usize) -> Duration {
        if changed >= MAX_CHANGES {
            return SOON;
        }
        let seconds = self.resolver().broker_number("leader.imbalance.check.interval.seconds");
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1))
    }
}

#[cfg(test)]
mod tests {
    use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset, Uuid};
    use milena_protocol::metadata_record::{
        MetadataRecord, PartitionRecord, RegisterBrokerRecord, TopicRecord,
    };

    use super::*;
    use crate::configs::Values;
    use crate::metadata::image::MetadataImage;

    /// One partition, preferred at the first broker and led by the second, both in sync.
    fn controller(values: Values) -> Controller {
        let topic_id = Uuid::from_u128(4711);
        let broker = |id: i32| {
            MetadataRecord::from(RegisterBrokerRecord {
                broker_id: NodeId(id),
                broker_epoch: BrokerEpoch(i64::from(id)),
                fenced: false,
                ..Default::default()
            })
        };
        let partition = PartitionRecord {
            topic_id,
            replicas: vec![NodeId(1), NodeId(2)],
            isr: vec![NodeId(1), NodeId(2)],
            leader: NodeId(2),
            ..Default::default()
        };
        let topic = TopicRecord { name: "topic".into(), topic_id };
        let records = [broker(1), broker(2), topic.into(), partition.into()];
        let mut controller = Controller::new(NodeId(0), values, MetadataImage::default());
        let replayed = controller.replay(Offset(0), LeaderEpoch(0), &records);
        replayed.expect("the records fit");
        controller
    }

    /// After every restart of a node its partitions would be led by others for ever.
    #[test]
    fn every_partition_is_given_back_to_its_preferred_leader() {
        assert_eq!(controller(Values::new()).chores().answer, 1);
    }

    /// Who has switched it off would get it all the same.
    #[test]
    fn nothing_is_given_back_where_that_is_switched_off() {
        let off = ("auto.leader.rebalance.enable".to_owned(), "false".to_owned());
        assert_eq!(controller(Values::from([off])).chores().answer, 0);
    }
}
