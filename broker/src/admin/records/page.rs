//! A page of records.

use axum::body::{Body, Bytes};
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::SemaphorePermit;
use utoipa::{IntoParams, ToSchema};

use super::read::{MAX_LIMIT, Wanted};
use super::shown::ShownRecord;
use crate::admin::error::Failure;
use crate::admin::path::{At, PartitionPath};

/// Records in a page where nobody says how many.
const DEFAULT_LIMIT: usize = 100;

/// Which records.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The first record; without it the first that is kept.
    offset: Option<i64>,
    /// How many at most: 100, if nothing else is said, and never more than 1000 or about 1 MiB.
    limit: Option<usize>,
}

/// Records of a partition, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordList {
    kind: &'static str,
    metadata: PageMetadata,
    /// Where to go on.
    next_offset: i64,
    /// The offset of the first record that is kept.
    log_start_offset: i64,
    /// The offset behind the last record that is acknowledged.
    high_watermark: i64,
    data: Vec<ShownRecord>,
}

/// Where a page is.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageMetadata {
    /// Its address.
    #[serde(rename = "self")]
    itself: String,
    /// The next page, even if nothing is there yet.
    next: String,
}

/// A page of records of a partition.
#[utoipa::path(get,
    path = "/v3/clusters/{cluster_id}/topics/{topic_name}/partitions/{partition_id}/records",
    operation_id = "readRecords", tag = "Records", params(PartitionPath, Range),
    responses((status = 200, description = "The records.", body = RecordList), Failure))]
pub async fn read(
    at: At<PartitionPath>,
    query: Result<Query<Range>, QueryRejection>,
) -> Result<Response, Failure> {
    let Query(range) = query.map_err(Failure::bad_query)?;
    let PartitionPath { topic_name: topic, partition_id: index, .. } = &at.path;
    let mut wanted = at.wanted(topic, *index).await?;
    wanted.offset = match range.offset {
        Some(offset) => offset,
        None => at.earliest_offset(topic, *index).await?,
    };
    wanted.limit = range.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
    let shown = at.read(&wanted).await?;
    let Wanted { offset, limit, .. } = wanted;
    let path = format!("/topics/{topic}/partitions/{index}/records");
    let page = |offset| at.url(&format!("{path}?offset={offset}&limit={limit}"));
    let room = shown.room;
    let list = RecordList {
        kind: "KafkaRecordList",
        metadata: PageMetadata { itself: page(offset), next: page(shown.next_offset) },
        next_offset: shown.next_offset,
        log_start_offset: shown.log_start_offset,
        high_watermark: shown.high_watermark,
        data: shown.records,
    };
    // Plain data: strings, numbers, and JSON.
    let json = serde_json::to_vec(&list).expect("plain data can be written");
    let body = Body::from(Bytes::from_owner(Held { json, _room: room }));
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

/// A page on its way to its reader, with the room that it takes.
struct Held {
    json: Vec<u8>,
    _room: Option<SemaphorePermit<'static>>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.json
    }
}
