//! Several records in one JSON document, each with an id, and what became of each.

use std::collections::BTreeSet;

use axum::Json;
use axum::http::StatusCode;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::produce::{Delivery, Producer};
use super::received::{Data, NewHeader, NewRecord};
use crate::admin::body::{Body, MAX_BYTES};
use crate::admin::error::{ErrorBody, Failure};
use crate::admin::path::{At, TopicPath};

/// Records in a batch.
const MAX_ENTRIES: usize = 1000;
/// Characters in the id of an entry.
const MAX_ID_LENGTH: usize = 80;

/// Records to be produced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBatch {
    /// 1 to 1000 of them, each with an id of its own.
    #[serde(deserialize_with = "bounded")]
    entries: Vec<Entry>,
}

/// A record to be produced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// 1 to 80 letters, digits, `-` and `_`; it comes back in the answer.
    #[schema(value_type = String, min_length = 1, max_length = 80)]
    id: Value,
    /// As in a single record.
    partition_id: Option<i32>,
    /// As in a single record.
    headers: Option<Vec<NewHeader>>,
    /// As in a single record.
    key: Option<Data>,
    /// As in a single record.
    value: Option<Data>,
    /// As in a single record.
    #[schema(format = DateTime)]
    timestamp: Option<String>,
}

/// What became of a batch.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct BatchReport {
    successes: Vec<Success>,
    failures: Vec<Refused>,
}

/// An entry that is acknowledged.
#[derive(Debug, Serialize, ToSchema)]
pub struct Success {
    id: String,
    #[serde(flatten)]
    delivery: Delivery,
}

/// An entry that is not.
#[derive(Debug, Serialize, ToSchema)]
pub struct Refused {
    id: String,
    #[serde(flatten)]
    error: ErrorBody,
}

impl Entry {
    /// The id and the record.
    fn split(self) -> Result<(String, NewRecord), Failure> {
        let Self { id, partition_id, headers, key, value, timestamp } = self;
        let is_good = |id: &String| {
            let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            (1..=MAX_ID_LENGTH).contains(&id.len()) && id.bytes().all(is_allowed)
        };
        match id {
            Value::String(id) if is_good(&id) => {
                Ok((id, NewRecord { partition_id, headers, key, value, timestamp }))
            }
            other => Err(Failure::unprocessable(format!(
                "{other} cannot be the id of an entry: it must be a string of 1 to \
                 {MAX_ID_LENGTH} letters, digits, '-' and '_'"
            ))),
        }
    }
}

/// Keeps as many entries as there may be, and one more that says that there are too many.
fn bounded<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Entry>, D::Error> {
    struct Entries;
    impl<'de> serde::de::Visitor<'de> for Entries {
        type Value = Vec<Entry>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an array of entries")
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(
            self,
            mut seq: A,
        ) -> Result<Vec<Entry>, A::Error> {
            let mut entries = Vec::new();
            while entries.len() <= MAX_ENTRIES
                && let Some(entry) = seq.next_element()?
            {
                entries.push(entry);
            }
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(entries)
        }
    }
    deserializer.deserialize_seq(Entries)
}

/// Produces a batch of records.
///
/// Each entry succeeds or fails on its own; entries of one partition are stored in their order.
#[utoipa::path(post, path = "/v3/clusters/{cluster_id}/topics/{topic_name}/records:batch",
    operation_id = "produceRecordsBatch", tag = "Records", params(TopicPath),
    request_body = NewBatch,
    responses((status = 207, description = "What became of each.", body = BatchReport), Failure))]
pub async fn produce(
    at: At<TopicPath>,
    Body(batch): Body<NewBatch, MAX_BYTES>,
) -> Result<(StatusCode, Json<BatchReport>), Failure> {
    if batch.entries.is_empty() {
        return Err(Failure::unprocessable("the batch is empty"));
    }
    if batch.entries.len() > MAX_ENTRIES {
        let message = format!("a batch may have {MAX_ENTRIES} entries, and this one has more");
        return Err(Failure::unprocessable(message));
    }
    let entries: Vec<(String, NewRecord)> =
        batch.entries.into_iter().map(Entry::split).collect::<Result<_, _>>()?;
    let mut ids = BTreeSet::new();
    if let Some((id, _)) = entries.iter().find(|(id, _)| !ids.insert(id)) {
        let message = format!("two entries have the id {id}");
        return Err(Failure::unprocessable(message));
    }
    let mut producer = Producer::new(&at, &at.path.topic_name).await?;
    // All are appended before the first is waited for, so that one sync can do for all.
    let appended: Vec<_> =
        entries.into_iter().map(|(id, record)| (id, producer.append(&record))).collect();
    let mut report = BatchReport::default();
    for (id, appended) in appended {
        let result = match appended {
            Ok(appended) => appended.acknowledged().await,
            Err(failure) => Err(failure),
        };
        match result {
            Ok(delivery) => report.successes.push(Success { id, delivery }),
            Err(failure) => report.failures.push(Refused { id, error: failure.into_body() }),
        }
    }
    Ok((StatusCode::MULTI_STATUS, Json(report)))
}
