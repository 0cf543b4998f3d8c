//! Which replica a consumer had better read from (KIP-392, fact F19).

use milena_protocol::codec::Text;
use milena_protocol::ids::{NodeId, Offset};

use crate::time::Instant;

/// A replica that a consumer could read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadReplica {
    /// Its broker.
    pub node: NodeId,
    /// Where that stands.
    pub rack: Option<Text>,
    /// Everything below is in its log.
    pub end_offset: Offset,
    /// When it last had everything.
    pub caught_up_at: Option<Instant>,
}

/// Kafka's `RackAwareReplicaSelector`: the leader where it stands in the consumer's rack or nobody
/// does, else who is the most caught up of those that do. Nothing is the leader.
///
/// The followers are those in sync that have the consumer's offset.
#[must_use]
pub fn rack_aware(
    consumer: &str,
    leader: Option<&str>,
    followers: &[ReadReplica],
) -> Option<NodeId> {
    if consumer.is_empty() || leader == Some(consumer) {
        return None;
    }
    let near = followers.iter().filter(|it| it.rack.as_deref() == Some(consumer));
    near.max_by_key(|it| (it.end_offset, it.caught_up_at, it.node)).map(|it| it.node)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(node: i32, rack: &str, end: i64, caught_up_at: u64) -> ReadReplica {
        ReadReplica {
            node: NodeId(node),
            rack: Some(rack.into()),
            end_offset: Offset(end),
            caught_up_at: Some(Instant(caught_up_at)),
        }
    }

    /// Consumers would read over the wide network, or from who is behind.
    #[test]
    fn a_consumer_reads_in_its_rack_from_who_is_the_most_caught_up() {
        let all = [replica(2, "a", 7, 9), replica(3, "b", 9, 1), replica(4, "b", 9, 2)];
        assert_eq!(rack_aware("b", Some("a"), &all), Some(NodeId(4)));
        assert_eq!(rack_aware("a", None, &all), Some(NodeId(2)));
        assert_eq!(rack_aware("b", Some("b"), &all), None, "the leader is as near");
        assert_eq!(rack_aware("c", Some("a"), &all), None, "nobody is near");
        assert_eq!(rack_aware("", Some("a"), &all), None, "the consumer is anywhere");
    }
}
