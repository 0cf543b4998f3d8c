//! Having a group without members go on somewhere else.

use std::collections::BTreeMap;

use axum::Json;
use milena_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, PartitionIndex, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::found::active;
use crate::admin::body::Body;
use crate::admin::call::Call;
use crate::admin::elsewhere::Asked;
use crate::admin::error::Failure;
use crate::admin::path::{At, GroupPath};
use crate::admin::resource::{List, ResourceMetadata, segment};
use crate::handlers::offset_commit;
use crate::security::Operation;
use crate::timestamp;

/// The last version of OffsetCommit that names topics.
const NAMES_TOPICS: i16 = 9;

/// Where a group shall go on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OffsetAlteration {
    /// In which topic.
    #[schema(example = "orders")]
    topic_name: String,
    /// In this partition only; without it, in all.
    partition_id: Option<i32>,
    /// Where.
    to: OffsetTarget,
    /// Only say where it would go on.
    #[serde(default)]
    validate_only: bool,
}

/// A place in a partition. None is before its first record or behind its last.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "UPPERCASE", deny_unknown_fields)]
enum OffsetTarget {
    /// The first record.
    Earliest {},
    /// The record that comes next.
    Latest {},
    /// An offset.
    Offset {
        /// The offset.
        offset: i64,
    },
    /// The first record from an instant on, or the next one where there is none.
    Timestamp {
        /// The instant, in RFC 3339.
        #[schema(example = "2021-02-05T19:14:42Z")]
        timestamp: String,
    },
    /// The first record of a span that ends now, or the next one where there is none.
    Duration {
        /// The span, in milliseconds.
        #[schema(minimum = 0)]
        duration_ms: i64,
    },
    /// So far from where it is now: forward, or back where it is negative.
    Shift {
        /// How many offsets.
        offsets: i64,
    },
}

/// Where a group goes on in a partition.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlteredOffset {
    kind: &'static str,
    metadata: ResourceMetadata,
    cluster_id: String,
    consumer_group_id: String,
    topic_name: String,
    partition_id: i32,
    /// Where it was; null where it had committed nothing.
    previous_offset: Option<i64>,
    /// Where it goes on, or would.
    current_offset: i64,
}

/// An [`OffsetTarget`] that makes sense.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    Earliest,
    Latest,
    At(i64),
    Since(Timestamp),
    Shift(i64),
}

impl OffsetTarget {
    fn parse(&self, now: Timestamp) -> Result<Wanted, Failure> {
        let negative = |what: &str| Err(Failure::bad_request(format!("{what} is not negative")));
        match self {
            Self::Earliest {} => Ok(Wanted::Earliest),
            Self::Latest {} => Ok(Wanted::Latest),
            Self::Offset { offset } if *offset < 0 => negative("an offset"),
            Self::Offset { offset } => Ok(Wanted::At(*offset)),
            Self::Timestamp { timestamp: text } => match timestamp::read(text) {
                Some(instant) => Ok(Wanted::Since(instant)),
                None => Err(Failure::bad_request(format!("{text:?} is no instant of RFC 3339"))),
            },
            Self::Duration { duration_ms } if *duration_ms < 0 => negative("a duration"),
            Self::Duration { duration_ms } => {
                Ok(Wanted::Since(Timestamp(now.0.saturating_sub(*duration_ms).max(0))))
            }
            Self::Shift { offsets } => Ok(Wanted::Shift(*offsets)),
        }
    }
}

impl Call {
    /// Where a group would go on in a partition.
    async fn target(
        &self,
        (topic, index): (&str, i32),
        wanted: Wanted,
        committed: Option<i64>,
    ) -> Result<i64, Failure> {
        let earliest = self.earliest_offset(topic, index).await?;
        let latest = self.latest_offset(topic, index).await?;
        let offset = match wanted {
            Wanted::Earliest => earliest,
            Wanted::Latest => latest,
            Wanted::At(offset) => offset,
            Wanted::Since(instant) => match self.offset_at(topic, index, instant).await? {
                found if found < 0 => latest,
                found => found,
            },
            Wanted::Shift(offsets) => {
                let nowhere = || {
                    let message = format!(
                        "the group has committed no offset of {topic}-{index} to be shifted from"
                    );
                    Failure::of_wire(ErrorCode::INVALID_REQUEST, Some(&Text::from(message)))
                };
                committed.ok_or_else(nowhere)?.saturating_add(offsets)
            }
        };
        Ok(offset.min(latest).max(earliest))
    }

    async fn commit(&self, id: &str, topic: &str, to: &BTreeMap<i32, i64>) -> Result<(), Failure> {
        // The first group has a topic made that groups are kept in.
        let made = self.broker.groups.ensure_topic().await;
        made.map_err(|code| Failure::of_wire(code, None))?;
        let partitions = to.iter().map(|(index, offset)| OffsetCommitRequestPartition {
            partition_index: PartitionIndex(*index),
            committed_offset: Offset(*offset),
            ..Default::default()
        });
        let topic = OffsetCommitRequestTopic {
            name: topic.into(),
            partitions: partitions.collect(),
            ..Default::default()
        };
        let request =
            OffsetCommitRequest { group_id: id.into(), topics: vec![topic], ..Default::default() };
        let asked = Asked { request, version: NAMES_TOPICS };
        let right = (Operation::Read, id);
        let response = self.coordinate(right, asked, offset_commit::handle).await?;
        for result in response.topics.iter().flat_map(|topic| &topic.partitions) {
            match result.error_code {
                // Somebody has come meanwhile.
                ErrorCode::UNKNOWN_MEMBER_ID => return Err(active(id)),
                code => Failure::unless_none(code, None)?,
            }
        }
        Ok(())
    }
}

/// Has a group go on somewhere else in a topic.
///
/// Refused while somebody is in the group, also where nothing is to be changed. A group that is not
/// there is made.
#[utoipa::path(post,
    path = "/v3/clusters/{cluster_id}/consumer-groups/{consumer_group_id}/offsets:alter",
    operation_id = "alterConsumerGroupOffsets", tag = "Consumer groups", params(GroupPath),
    request_body = OffsetAlteration,
    responses(
        (status = 200, description = "Where it goes on.", body = List<AlteredOffset>),
        Failure,
    ))]
pub async fn alter(
    at: At<GroupPath>,
    Body(alteration): Body<OffsetAlteration>,
) -> Result<Json<List<AlteredOffset>>, Failure> {
    let id = at.path.consumer_group_id.as_str();
    let topic = alteration.topic_name.as_str();
    let wanted = alteration.to.parse(at.broker.clock.now())?;
    let found = at.topic(topic).await?;
    let mut indexes: Vec<i32> =
        found.partitions.iter().map(|partition| partition.partition_index.0).collect();
    if let Some(only) = alteration.partition_id {
        indexes.retain(|index| *index == only);
        if indexes.is_empty() {
            return Err(Failure::no_partition(topic, only));
        }
    }
    at.check_inactive(id).await?;
    let committed = at.committed(id).await?;
    let of_topic = committed.iter().filter(|one| *one.topic == *topic);
    let previous: BTreeMap<i32, i64> =
        of_topic.map(|one| (one.partition.0, one.offset.0)).collect();
    let mut to = BTreeMap::new();
    for index in indexes {
        let offset = at.target((topic, index), wanted, previous.get(&index).copied()).await?;
        to.insert(index, offset);
    }
    if !alteration.validate_only {
        at.commit(id, topic, &to).await?;
    }
    let group = segment(id);
    let data = to.iter().map(|(index, offset)| AlteredOffset {
        kind: "KafkaConsumerGroupOffset",
        metadata: at.resource(
            &format!("/consumer-groups/{group}/lags/{topic}/partitions/{index}"),
            &format!("/consumer-group={group}/lag={topic}/partition={index}"),
        ),
        cluster_id: at.broker.cluster_id.to_string(),
        consumer_group_id: id.to_owned(),
        topic_name: topic.to_owned(),
        partition_id: *index,
        previous_offset: previous.get(index).copied(),
        current_offset: *offset,
    });
    let list = format!("/consumer-groups/{group}/offsets:alter");
    Ok(Json(at.list("KafkaConsumerGroupOffsetList", &list, data.collect())))
}
