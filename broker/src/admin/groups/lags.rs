//! How far groups are behind.

use std::sync::Arc;

use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::PartitionIndex;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};

use super::found::{Found, Member, Place};
use crate::admin::call::Call;
use crate::admin::error::Failure;
use crate::admin::path::{At, GroupPartitionPath, GroupPath};
use crate::admin::ranges::Ranges;
use crate::admin::resource::{List, Relationship, ResourceMetadata, segment};
use crate::blocking;
use crate::broker::Broker;
use crate::lag::{Committed, Isolation, Lag};
use crate::security::{Operation, Resource};

/// Groups that are measured at once: it takes a batch of the log for each partition.
static MEASURING: Semaphore = Semaphore::const_new(4);

/// How a group is behind in a partition.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsumerLag {
    kind: &'static str,
    metadata: ResourceMetadata,
    cluster_id: String,
    consumer_group_id: String,
    topic_name: String,
    partition_id: i32,
    /// Who reads it; empty where nobody does.
    consumer_id: String,
    /// The consumer's name, if it is static.
    instance_id: Option<String>,
    /// What the client calls itself; empty where nobody reads it.
    client_id: String,
    /// The offset of the next record that the group will read.
    current_offset: i64,
    /// The offset behind the last record that it may read.
    log_end_offset: i64,
    /// Offsets that are left; none of those before the log's start.
    lag: i64,
    /// How long the oldest record that is left has been there, in seconds by its timestamp; 0 where
    /// none is left, null where it has no timestamp or this node has no replica of the partition.
    lag_seconds: Option<f64>,
}

/// How a group is behind in all its partitions.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsumerGroupLagSummary {
    kind: &'static str,
    metadata: ResourceMetadata,
    cluster_id: String,
    consumer_group_id: String,
    /// Who reads the partition in which the group is furthest behind; empty where nobody does.
    max_lag_consumer_id: String,
    /// That consumer's name, if it is static.
    max_lag_instance_id: Option<String>,
    /// What the client calls itself.
    max_lag_client_id: String,
    max_lag_topic_name: String,
    max_lag_partition_id: i32,
    /// Offsets that are left there.
    max_lag: i64,
    /// Offsets that are left in all partitions.
    total_lag: i64,
    /// The greatest age of a record that is left, in whichever partition, in seconds.
    max_lag_seconds: Option<f64>,
    /// The consumer, or all of them where nobody reads the partition.
    max_lag_consumer: Relationship,
    max_lag_partition: Relationship,
}

/// Which records count.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// `read_committed`, as Confluent counts, or `read_uncommitted`, as Kafka's own tools do: up to
    /// the last stable offset, or up to the high watermark.
    #[serde(default)]
    #[param(inline)]
    isolation_level: Level,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Level {
    #[default]
    ReadCommitted,
    ReadUncommitted,
}

impl Counted {
    fn isolation(self) -> Isolation {
        match self.isolation_level {
            Level::ReadCommitted => Isolation::ReadCommitted,
            Level::ReadUncommitted => Isolation::ReadUncommitted,
        }
    }
}

/// A partition in which a group is so far behind.
#[derive(Debug)]
struct Measured {
    place: Place,
    current: i64,
    lag: Lag,
    seconds: Option<f64>,
}

impl Measured {
    /// Blocks.
    fn of(broker: &Broker, committed: Committed, isolation: Isolation) -> Option<Self> {
        let partition = committed.find(broker)?;
        let lag = Lag::of(&partition, committed.offset, isolation);
        let age = lag.age(&partition, broker.clock.now()).unwrap_or_else(|error| {
            tracing::debug!(?partition, %error, "the age of a group's lag is not known");
            None
        });
        Some(Self {
            place: (committed.topic, committed.partition.0),
            current: committed.offset.0,
            lag,
            seconds: age.map(|age| age.as_secs_f64()),
        })
    }

    fn told(&self, call: &Call, group: &str, reader: Option<&Member>) -> ConsumerLag {
        let (id, (topic, index)) = (segment(group), &self.place);
        let path = format!("/consumer-groups/{id}/lags/{topic}/partitions/{index}");
        let name = format!("/consumer-group={id}/lag={topic}/partition={index}");
        ConsumerLag {
            kind: "KafkaConsumerLag",
            metadata: call.resource(&path, &name),
            cluster_id: call.broker.cluster_id.to_string(),
            consumer_group_id: group.to_owned(),
            topic_name: topic.to_string(),
            partition_id: *index,
            consumer_id: reader.map_or_else(String::new, |reader| reader.id.clone()),
            instance_id: reader.and_then(|reader| reader.instance_id.clone()),
            client_id: reader.map_or_else(String::new, |reader| reader.client_id.clone()),
            current_offset: self.current,
            log_end_offset: self.lag.end.0,
            lag: self.lag.offsets(),
            lag_seconds: self.seconds,
        }
    }
}

impl Call {
    /// The same in partitions that this node has no replica of, as their leaders tell. How old the
    /// first record is that is left they do not.
    async fn measured_elsewhere(
        &self,
        committed: Vec<Committed>,
        isolation: Isolation,
    ) -> Result<Vec<Measured>, Failure> {
        let image = self.broker.metadata.image_owned();
        let there = committed.into_iter().filter(|one| one.is_there(&image));
        let there: Vec<Committed> = there.collect();
        let places = there.iter().map(|one| (one.topic.clone(), one.partition)).collect();
        let ranges = Ranges::ask(&self.broker, places, isolation).await;
        let measured = there.into_iter().map(|one| {
            let place = (one.topic, one.partition);
            let lag = ranges.lag(&place, one.offset).ok_or_else(|| unled(&place))?;
            let seconds = (lag.offsets() == 0).then_some(0.0);
            let (topic, PartitionIndex(index)) = place;
            Ok(Measured { place: (topic, index), current: one.offset.0, lag, seconds })
        });
        measured.collect()
    }

    /// A group, and how far it is behind where it has committed an offset of a partition that is
    /// still there, the furthest first.
    ///
    /// # Errors
    /// 404 where there is no such group or it has committed nothing of the kind, as Confluent has
    /// it; or why its coordinator does not answer.
    async fn lags(
        &self,
        id: &str,
        isolation: Isolation,
        is_asked: impl Fn(&Committed) -> bool,
    ) -> Result<(Found, Vec<Measured>), Failure> {
        let group = self.group(id).await?;
        let mut committed = self.committed(id).await?;
        let context = self.context_in(0);
        committed.retain(|one| {
            let (principal, topic) = (&context.peer.principal, Resource::Topic(&one.topic));
            is_asked(one) && self.broker.authorizer.allows(principal, Operation::Describe, topic)
        });
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            committed.into_iter().partition(|one| one.find(&self.broker).is_some());
        let turn = MEASURING.acquire().await.map_err(|_| stopping())?;
        let broker = Arc::clone(&self.broker);
        let measured = blocking::spawn(move || {
            // It goes on when nobody waits for it any more.
            let _turn = turn;
            let measure = |committed| Measured::of(&broker, committed, isolation);
            here.into_iter().filter_map(measure).collect::<Vec<_>>()
        });
        let mut measured = measured.await.map_err(|_| stopping())?;
        measured.extend(self.measured_elsewhere(elsewhere, isolation).await?);
        if measured.is_empty() {
            return Err(Failure::missing(format!("group {id} has committed no such offset")));
        }
        measured.sort_by(|a, b| {
            b.lag.offsets().cmp(&a.lag.offsets()).then_with(|| a.place.cmp(&b.place))
        });
        Ok((group, measured))
    }
}

fn unled((topic, PartitionIndex(index)): &(Text, PartitionIndex)) -> Failure {
    let message = Text::from(format!("the leader of {topic}-{index} does not answer"));
    Failure::of_wire(ErrorCode::BROKER_NOT_AVAILABLE, Some(&message))
}

fn stopping() -> Failure {
    Failure::of_wire(ErrorCode::UNKNOWN_SERVER_ERROR, Some(&"the node is stopping".into()))
}

/// How far a group is behind, in each partition of which it has committed an offset, the furthest
/// first.
#[utoipa::path(get,
    path = "/v3/clusters/{cluster_id}/consumer-groups/{consumer_group_id}/lags",
    operation_id = "listConsumerLags", tag = "Consumer groups", params(GroupPath, Counted),
    responses((status = 200, description = "The lags.", body = List<ConsumerLag>), Failure))]
pub async fn list(
    at: At<GroupPath>,
    query: Result<Query<Counted>, QueryRejection>,
) -> Result<Json<List<ConsumerLag>>, Failure> {
    let Query(counted) = query.map_err(Failure::bad_query)?;
    let id = at.path.consumer_group_id.as_str();
    let (group, measured) = at.lags(id, counted.isolation(), |_| true).await?;
    let readers = group.readers();
    let told = |one: &Measured| one.told(&at, id, readers.get(&one.place).copied());
    let data = measured.iter().map(told).collect();
    let path = format!("/consumer-groups/{}/lags", segment(id));
    Ok(Json(at.list("KafkaConsumerLagList", &path, data)))
}

/// How far a group is behind in a partition.
#[utoipa::path(get,
    path = "/v3/clusters/{cluster_id}/consumer-groups/{consumer_group_id}\
        /lags/{topic_name}/partitions/{partition_id}",
    operation_id = "getConsumerLag", tag = "Consumer groups", params(GroupPartitionPath, Counted),
    responses((status = 200, description = "The lag.", body = ConsumerLag), Failure))]
pub async fn one(
    at: At<GroupPartitionPath>,
    query: Result<Query<Counted>, QueryRejection>,
) -> Result<Json<ConsumerLag>, Failure> {
    let Query(counted) = query.map_err(Failure::bad_query)?;
    let GroupPartitionPath { consumer_group_id: id, topic_name, partition_id, .. } = &at.path;
    let is_asked = |one: &Committed| *one.topic == **topic_name && one.partition.0 == *partition_id;
    let (group, measured) = at.lags(id, counted.isolation(), is_asked).await?;
    let missing = || Failure::missing(format!("group {id} has committed no such offset"));
    let found = measured.first().ok_or_else(missing)?;
    Ok(Json(found.told(&at, id, group.readers().get(&found.place).copied())))
}

/// How far a group is behind in all, and where it is furthest behind.
#[utoipa::path(get,
    path = "/v3/clusters/{cluster_id}/consumer-groups/{consumer_group_id}/lag-summary",
    operation_id = "getConsumerGroupLagSummary", tag = "Consumer groups",
    params(GroupPath, Counted),
    responses(
        (status = 200, description = "The lag.", body = ConsumerGroupLagSummary),
        Failure,
    ))]
pub async fn summary(
    at: At<GroupPath>,
    query: Result<Query<Counted>, QueryRejection>,
) -> Result<Json<ConsumerGroupLagSummary>, Failure> {
    let Query(counted) = query.map_err(Failure::bad_query)?;
    let id = at.path.consumer_group_id.as_str();
    let (group, measured) = at.lags(id, counted.isolation(), |_| true).await?;
    let missing = || Failure::missing(format!("group {id} has committed no offset"));
    let most = measured.first().ok_or_else(missing)?;
    let most = most.told(&at, id, group.readers().get(&most.place).copied());
    let path = format!("/consumer-groups/{}", segment(id));
    let consumer = match most.consumer_id.as_str() {
        "" => format!("{path}/consumers"),
        consumer => format!("{path}/consumers/{}", segment(consumer)),
    };
    let (topic, index) = (&most.topic_name, most.partition_id);
    let name = format!("/consumer-group={}/lag-summary", segment(id));
    Ok(Json(ConsumerGroupLagSummary {
        kind: "KafkaConsumerGroupLagSummary",
        metadata: at.resource(&format!("{path}/lag-summary"), &name),
        cluster_id: most.cluster_id,
        consumer_group_id: most.consumer_group_id,
        total_lag: measured.iter().map(|one| one.lag.offsets()).sum(),
        max_lag_seconds: measured.iter().filter_map(|one| one.seconds).reduce(f64::max),
        max_lag_consumer: at.link(&consumer),
        max_lag_partition: at.link(&format!("/topics/{topic}/partitions/{index}")),
        max_lag_consumer_id: most.consumer_id,
        max_lag_instance_id: most.instance_id,
        max_lag_client_id: most.client_id,
        max_lag_topic_name: most.topic_name,
        max_lag_partition_id: most.partition_id,
        max_lag: most.lag,
    }))
}
