//! The markers that coordinators of transactions want written: here into the logs of partitions
//! that this broker leads, elsewhere by those who do (WriteTxnMarkers).
//!
//! What became of each is reported as soon as it is known, and the coordinator decides what to do
//! about it. A partition that another broker leads by now is reported at once, so that it need not
//! wait for one that does not answer.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::transaction::{
    self, MarkerOutcome, MarkerReport, Markers, Request, TopicPartition,
};
use milena_protocol::api::write_txn_markers::{
    WriteTxnMarkersMarker, WriteTxnMarkersTopic, WriteTxnMarkersTopicResult,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId};
use tokio::time::{Instant, timeout_at};

use super::coordinator::Shard;
use crate::broker::Broker;
use crate::colleagues::Silence;
use crate::handlers::error::produce_code;
use crate::replicas::partition::{Marker, NotAcknowledged, Partition, Placed, ProduceError};

/// Where groups keep their offsets.
const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// How long markers may wait to be committed until they are said to have failed.
pub const MARKER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a broker that still leads may take to read what it was sent over a connection that has
/// ended.
const LEFTOVERS: Duration = Duration::from_secs(30);
/// The version from which on a marker's epoch is beyond the producer's.
const RAISES_EPOCH: i16 = 2;

type Outcomes = Vec<(TopicPartition, MarkerOutcome)>;

/// Markers of one decision, and whom to tell what became of them.
struct Order {
    broker: Arc<Broker>,
    shard: Arc<Shard<transaction::Coordinator>>,
    markers: Markers,
}

/// Writes the markers of one decision, and reports what became of each.
pub async fn write(
    broker: Arc<Broker>,
    shard: Arc<Shard<transaction::Coordinator>>,
    markers: Markers,
) {
    let mut by_leader: BTreeMap<NodeId, BTreeMap<TopicPartition, LeaderEpoch>> = BTreeMap::new();
    let mut outcomes = Outcomes::new();
    {
        let image = broker.metadata.image();
        for at in &markers.partitions {
            match led(&image, at) {
                None => outcomes.push((at.clone(), MarkerOutcome::Gone)),
                Some((NodeId::NONE, _)) => {
                    let code = ErrorCode::LEADER_NOT_AVAILABLE;
                    outcomes.push((at.clone(), MarkerOutcome::Failed(code)));
                }
                Some((leader, epoch)) => {
                    by_leader.entry(leader).or_default().insert(at.clone(), epoch);
                }
            }
        }
    }
    let here = by_leader.remove(&broker.node_id);
    let order = Arc::new(Order { broker, shard, markers });
    for (leader, partitions) in by_leader {
        let order = Arc::clone(&order);
        tokio::spawn(async move { order.there(leader, partitions).await });
    }
    order.report(outcomes).await;
    if let Some(partitions) = here {
        order.report(order.here(partitions.into_keys().collect()).await).await;
    }
}

/// Who leads a partition, and in which epoch; nothing where there is no such partition.
fn led(image: &MetadataImage, at: &TopicPartition) -> Option<(NodeId, LeaderEpoch)> {
    let partition = image.topic(&at.topic)?.partition(at.partition)?;
    Some((partition.leader, partition.leader_epoch))
}

impl Order {
    /// Writes into partitions that this broker leads.
    async fn here(&self, partitions: Vec<TopicPartition>) -> Outcomes {
        let deadline = Instant::now() + MARKER_TIMEOUT;
        let mut outcomes = Vec::with_capacity(partitions.len());
        let mut placed = Vec::new();
        // All are appended before any is waited for.
        for at in partitions {
            match self.append(&at).await {
                Ok(marker) => placed.push((at, marker)),
                Err(outcome) => outcomes.push((at, outcome)),
            }
        }
        for (at, (partition, marker)) in placed {
            outcomes.push((at, committed(&partition, &marker, deadline).await));
        }
        outcomes
    }

    async fn append(&self, at: &TopicPartition) -> Result<(Arc<Partition>, Placed), MarkerOutcome> {
        let topic_id = self.broker.metadata.image().topic(&at.topic).map(|topic| topic.id());
        let topic_id = topic_id.ok_or(MarkerOutcome::Gone)?;
        let partition = self.broker.replicas.leading(&topic_id, at.partition);
        let partition = partition.map_err(MarkerOutcome::Failed)?;
        let marker = Marker {
            producer: self.markers.producer,
            is_commit: self.markers.is_commit,
            coordinator_epoch: self.markers.attempt.coordinator_epoch,
            is_raised: self.is_raised(),
        };
        let placed = append_marker(&self.broker, &partition, marker).await;
        Ok((partition, placed.map_err(MarkerOutcome::Failed)?))
    }

    fn is_raised(&self) -> bool {
        self.markers.transaction_version >= RAISES_EPOCH
    }

    /// Has another broker write into partitions that it leads in these epochs.
    async fn there(&self, leader: NodeId, mut awaited: BTreeMap<TopicPartition, LeaderEpoch>) {
        let asked = self.request(awaited.keys());
        let mut answer = pin!(self.broker.colleagues.markers.ask(leader, asked));
        let answer = loop {
            milena_client::select! {
                answer = &mut answer => break answer,
                () = self.any_moved(leader, &awaited) => self.leave(leader, &mut awaited).await,
            }
            if awaited.is_empty() {
                return;
            }
        };
        let failed = |code| move |at| (at, MarkerOutcome::Failed(code));
        let outcomes = match answer {
            Ok(results) => awaited.into_keys().map(|at| outcome(&results, at)).collect(),
            Err(silence) => {
                if silence == Silence::NoAnswer && !self.is_raised() {
                    self.until_certain(leader, &mut awaited).await;
                }
                awaited.into_keys().map(failed(ErrorCode::NETWORK_EXCEPTION)).collect()
            }
        };
        self.report(outcomes).await;
    }

    /// The next transaction may have the same epoch, and a marker that came late would end it: none
    /// can come where another epoch has begun, nor after a time from a leader that stays.
    async fn until_certain(
        &self,
        leader: NodeId,
        awaited: &mut BTreeMap<TopicPartition, LeaderEpoch>,
    ) {
        let deadline = Instant::now() + LEFTOVERS;
        while !awaited.is_empty() {
            if timeout_at(deadline, self.any_moved(leader, awaited)).await.is_err() {
                return;
            }
            self.leave(leader, awaited).await;
        }
    }

    /// Returns when one of the partitions has another leader, or the same one anew, or is gone.
    async fn any_moved(&self, leader: NodeId, awaited: &BTreeMap<TopicPartition, LeaderEpoch>) {
        let has_moved = |image: &MetadataImage| {
            awaited.iter().any(|(at, epoch)| led(image, at) != Some((leader, *epoch)))
        };
        self.broker.metadata.until(has_moved).await;
    }

    /// Reports those that have moved, and awaits them no more: what their leader of before may
    /// still append counts for nothing.
    async fn leave(&self, leader: NodeId, awaited: &mut BTreeMap<TopicPartition, LeaderEpoch>) {
        let image = self.broker.metadata.image_owned();
        let mut moved = Outcomes::new();
        awaited.retain(|at, epoch| {
            let stays = led(&image, at) == Some((leader, *epoch));
            if !stays {
                let code = ErrorCode::NOT_LEADER_OR_FOLLOWER;
                moved.push((at.clone(), MarkerOutcome::Failed(code)));
            }
            stays
        });
        self.report(moved).await;
    }

    fn request<'a>(
        &self,
        partitions: impl Iterator<Item = &'a TopicPartition>,
    ) -> WriteTxnMarkersMarker {
        let mut topics: Vec<WriteTxnMarkersTopic> = Vec::new();
        // They come topic by topic.
        for at in partitions {
            match topics.last_mut().filter(|topic| topic.name == at.topic) {
                Some(topic) => topic.partition_indexes.push(at.partition),
                None => topics.push(WriteTxnMarkersTopic {
                    name: at.topic.clone(),
                    partition_indexes: vec![at.partition],
                }),
            }
        }
        WriteTxnMarkersMarker {
            producer_id: self.markers.producer.id,
            producer_epoch: self.markers.producer.epoch,
            transaction_result: self.markers.is_commit,
            topics,
            coordinator_epoch: self.markers.attempt.coordinator_epoch.0,
            transaction_version: i8::try_from(self.markers.transaction_version).unwrap_or(i8::MAX),
        }
    }

    async fn report(&self, outcomes: Outcomes) {
        if outcomes.is_empty() {
            return;
        }
        let id = &self.markers.transactional_id;
        for (at, outcome) in &outcomes {
            if let MarkerOutcome::Failed(code) = outcome {
                let (topic, partition) = (&at.topic, at.partition.0);
                tracing::debug!(%id, %topic, partition, %code, "no marker");
            }
        }
        let attempt = self.markers.attempt;
        let report = MarkerReport { transactional_id: id.clone(), attempt, outcomes };
        if let Err(code) = self.shard.ask(Request::Report(report)).await {
            // Another coordinator takes over, and writes them again.
            tracing::debug!(shard = ?self.shard, %code, "markers cannot be reported");
        }
    }
}

/// What a leader says became of a marker.
fn outcome(
    results: &[WriteTxnMarkersTopicResult],
    at: TopicPartition,
) -> (TopicPartition, MarkerOutcome) {
    let topics = results.iter().filter(|topic| topic.name == at.topic);
    let mut partitions = topics.flat_map(|topic| &topic.partitions);
    let found = partitions.find(|found| found.partition_index == at.partition);
    let outcome = match found.map(|found| found.error_code) {
        Some(ErrorCode::NONE) => MarkerOutcome::Written,
        // Whether it is gone, the metadata says.
        Some(code) => MarkerOutcome::Failed(code),
        None => MarkerOutcome::Failed(ErrorCode::UNKNOWN_SERVER_ERROR),
    };
    (at, outcome)
}

/// Appends a marker to a partition that this broker leads; the coordinator of the groups in a
/// partition of offsets learns of it (fact T22).
///
/// # Errors
/// The code of what refuses it.
pub async fn append_marker(
    broker: &Broker,
    partition: &Arc<Partition>,
    marker: Marker,
) -> Result<Placed, ErrorCode> {
    let now = broker.clock.now();
    if *partition.topic() != *OFFSETS_TOPIC {
        return partition.append_marker(marker, now).map_err(|error| produce_code(&error));
    }
    let Marker { producer, is_commit, .. } = marker;
    let append = |partition: &Partition| partition.append_marker(marker, now);
    let decided = match broker.groups.of_partition(partition.index()).await {
        Ok(groups) => groups.decide(producer, is_commit, append),
        Err(code) => Err(ProduceError::Refused(code)),
    };
    decided.map_err(|error| match produce_code(&error) {
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
        | ErrorCode::COORDINATOR_NOT_AVAILABLE
        | ErrorCode::NOT_COORDINATOR => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        code => code,
    })
}

/// Waits until a marker counts: all in sync have it.
pub async fn committed(
    partition: &Arc<Partition>,
    placed: &Placed,
    deadline: Instant,
) -> MarkerOutcome {
    let acknowledged = partition.acknowledged(placed.acknowledgement);
    match timeout_at(deadline, acknowledged).await {
        Ok(Ok(())) => MarkerOutcome::Written,
        Ok(Err(NotAcknowledged::Storage(_))) => {
            MarkerOutcome::Failed(ErrorCode::KAFKA_STORAGE_ERROR)
        }
        Ok(Err(NotAcknowledged::Refused(code))) => MarkerOutcome::Failed(code),
        Err(_) => MarkerOutcome::Failed(ErrorCode::REQUEST_TIMED_OUT),
    }
}
