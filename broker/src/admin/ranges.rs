//! Where the records of partitions begin and end that this node has no replica of: as their leaders
//! tell, asked for all of theirs at once.

use std::collections::{BTreeMap, BTreeSet};

use milena_protocol::api::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use milena_protocol::codec::Text;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex, Timestamp};
use milena_protocol::message::Message;

use crate::broker::Broker;
use crate::lag::{Isolation, Lag};

/// What ListOffsets calls the first record.
pub const EARLIEST: Timestamp = Timestamp(-2);
/// The end.
pub const LATEST: Timestamp = Timestamp(-1);

/// A partition.
pub type Place = (Text, PartitionIndex);

/// Where partitions begin and end.
#[derive(Debug, Default)]
pub struct Ranges {
    isolation: Isolation,
    found: BTreeMap<Place, (Offset, Offset)>,
}

impl Ranges {
    /// Asks the leaders of partitions. Those whose leader does not answer have none.
    pub async fn ask(broker: &Broker, places: BTreeSet<Place>, isolation: Isolation) -> Self {
        let mut found = BTreeMap::new();
        for (leader, places) in by_leader(broker, places) {
            let starts = offsets(broker, leader, &places, (EARLIEST, isolation)).await;
            let ends = offsets(broker, leader, &places, (LATEST, isolation)).await;
            let range = |(place, start)| {
                let end = *ends.get(&place)?;
                Some((place, (start, end)))
            };
            found.extend(starts.into_iter().filter_map(range));
        }
        Self { isolation, found }
    }

    /// How far behind a group is that will go on at `next`.
    #[must_use]
    pub fn lag(&self, place: &Place, next: Offset) -> Option<Lag> {
        let range = *self.found.get(place)?;
        Some(Lag::told(range, next, self.isolation))
    }
}

/// The partitions that somebody leads, by who does.
fn by_leader(broker: &Broker, places: BTreeSet<Place>) -> BTreeMap<NodeId, Vec<Place>> {
    let image = broker.metadata.image_owned();
    let mut led: BTreeMap<NodeId, Vec<Place>> = BTreeMap::new();
    for place in places {
        let partition = image.topic(&place.0).and_then(|topic| topic.partition(place.1));
        if let Some(partition) = partition {
            led.entry(partition.leader).or_default().push(place);
        }
    }
    led
}

async fn offsets(
    broker: &Broker,
    leader: NodeId,
    places: &[Place],
    (timestamp, isolation): (Timestamp, Isolation),
) -> BTreeMap<Place, Offset> {
    let topics = places.chunk_by(|one, other| one.0 == other.0).map(|chunk| ListOffsetsTopic {
        name: chunk.first().map(|place| place.0.clone()).unwrap_or_default(),
        partitions: chunk
            .iter()
            .map(|place| ListOffsetsPartition {
                partition_index: place.1,
                current_leader_epoch: LeaderEpoch::NONE,
                timestamp,
            })
            .collect(),
    });
    let request = ListOffsetsRequest {
        replica_id: NodeId::NONE,
        isolation_level: i8::from(isolation == Isolation::ReadCommitted),
        topics: topics.collect(),
        ..Default::default()
    };
    let questions = &broker.colleagues.questions;
    let answer = questions.ask(leader, &request, ListOffsetsRequest::VERSIONS.max).await;
    let topics = answer.map(|answer| answer.topics).unwrap_or_default();
    let partitions = topics.into_iter().flat_map(|topic| {
        topic.partitions.into_iter().map(move |partition| (topic.name.clone(), partition))
    });
    let told = partitions.filter(|(_, partition)| partition.error_code.is_none());
    told.map(|(name, partition)| ((name, partition.partition_index), partition.offset)).collect()
}
