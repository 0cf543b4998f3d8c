//! Records as they come: a stream of server-sent events.
//!
//! An event's id is its record's offset, so that a browser which reconnects with `Last-Event-ID`
//! misses nothing. The stream reads only as fast as its reader takes.

use std::convert::Infallible;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use tokio::sync::SemaphorePermit;
use utoipa::IntoParams;

use super::read::Wanted;
use super::shown::ShownRecord;
use crate::admin::call::Call;
use crate::admin::error::Failure;
use crate::admin::path::{At, PartitionPath};

/// How long a stream waits for records before it looks again.
const WAIT_MS: i32 = 2_000;

/// Where a stream begins.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The first record; without it the next one that is produced.
    offset: Option<i64>,
}

/// What a stream holds between two events.
struct Watch {
    call: Call,
    wanted: Wanted,
    ready: std::vec::IntoIter<ShownRecord>,
    /// What they take of the room for large records.
    _room: Option<SemaphorePermit<'static>>,
    has_failed: bool,
}

/// The records of a partition as they come.
///
/// Events are named `record`, their ids are offsets, their data is the record as a page shows it.
/// An event named `error` is the last: the partition can no longer be read from there.
#[utoipa::path(get,
    path = "/v3/clusters/{cluster_id}/topics/{topic_name}/partitions/{partition_id}/records:stream",
    operation_id = "watchRecords", tag = "Records",
    params(PartitionPath, Start,
        ("Last-Event-ID" = Option<i64>, Header, description = "Go on behind this offset.")),
    responses(
        (status = 200, description = "The events.", body = ShownRecord,
            content_type = "text/event-stream"),
        Failure,
    ))]
pub async fn watch(
    at: At<PartitionPath>,
    query: Result<Query<Start>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    let Query(start) = query.map_err(Failure::bad_query)?;
    let PartitionPath { topic_name: topic, partition_id: index, .. } = &at.path;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse::<i64>().ok());
    let resumed = last.map(|last| last.saturating_add(1));
    let mut wanted = at.wanted(topic, *index).await?;
    wanted.offset = match resumed.or(start.offset) {
        Some(offset) => offset,
        None => at.latest_offset(topic, *index).await?,
    };
    // What cannot be read at all is refused while there is a status to say so.
    let first = at.read(&wanted).await?;
    wanted.offset = first.next_offset;
    wanted.max_wait_ms = WAIT_MS;
    let (ready, room) = (first.records.into_iter(), first.room);
    let watch = Watch { call: at.clone(), wanted, ready, _room: room, has_failed: false };
    let events = futures_util::stream::unfold(watch, async |mut watch| {
        let event = watch.next().await?;
        Some((Ok(event), watch))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

impl Watch {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if self.has_failed {
                return None;
            }
            if let Some(record) = self.ready.next() {
                let id = record.offset.to_string();
                return Some(event("record", &record).id(id));
            }
            self._room = None;
            match self.call.read(&self.wanted).await {
                Ok(shown) => {
                    self.wanted.offset = shown.next_offset;
                    self.ready = shown.records.into_iter();
                    self._room = shown.room;
                }
                Err(failure) => {
                    self.has_failed = true;
                    return Some(event("error", &failure.into_body()));
                }
            }
        }
    }
}

fn event(name: &str, data: &impl Serialize) -> Event {
    // Plain data: strings, numbers, and JSON without line ends.
    let data = serde_json::to_string(data).expect("plain data can be written");
    Event::default().event(name).data(data)
}
