//! Records one after the other in one request, a report on each in their order.
//!
//! As in Confluent's, the status is 200 once the first record may come, and each report has its
//! own `error_code`. A record that makes no sense is reported and the next one is read; what is no
//! JSON ends the stream, for nobody knows where the next record would begin.
//!
//! A body of known length is read whole before the first report, for its sender may read nothing
//! until it has sent everything. A chunked body is answered piece by piece, and is read only as
//! fast as the reports are taken.

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::error::Category;
use utoipa::ToSchema;

use super::objects::Objects;
use super::produce::{Appended, Delivery, Producer};
use super::received::NewRecord;
use crate::admin::body::{self, MAX_BYTES};
use crate::admin::error::{ErrorBody, Failure};
use crate::admin::path::{At, TopicPath};
use crate::broker::Broker;
use crate::limits::budget::Share;

/// Records that are appended before the first of them is waited for.
const MAX_IN_FLIGHT: usize = 256;

/// The report on a record.
#[derive(Debug, Serialize, ToSchema)]
pub struct Report {
    /// 200: it is acknowledged.
    error_code: u32,
    #[serde(flatten)]
    delivery: Delivery,
}

/// The report on a record, or why there is none.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Line {
    /// It is acknowledged.
    Report(Report),
    /// It is not.
    Error(ErrorBody),
}

impl From<Result<Delivery, Failure>> for Line {
    fn from(result: Result<Delivery, Failure>) -> Self {
        match result {
            Ok(delivery) => Self::Report(Report { error_code: 200, delivery }),
            Err(failure) => Self::Error(failure.into_body()),
        }
    }
}

/// Produces a record, or several one after the other.
///
/// Several records are JSON objects one behind the other, in a body of any length or in chunks as
/// they happen; the answer is as many reports, in their order, each on a line of its own. The
/// status is 200 whatever becomes of a record: `error_code` in its report says it.
#[utoipa::path(post, path = "/v3/clusters/{cluster_id}/topics/{topic_name}/records",
    operation_id = "produceRecord", tag = "Records", params(TopicPath),
    request_body = NewRecord,
    responses((status = 200, description = "A report on each record.", body = Line), Failure))]
pub async fn produce(at: At<TopicPath>, request: Request) -> Result<Response, Failure> {
    body::check_media_type(request.headers())?;
    let producer = Producer::new(&at, &at.path.topic_name).await?;
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.parse::<usize>().ok());
    // Who asks before it sends (100-continue) is told to go on when somebody waits for its body,
    // and no more once the answer has begun.
    let asks_first = request.headers().contains_key(EXPECT);
    let mut objects = Objects::default();
    let mut chunks = request.into_body();
    if length.is_some_and(|length| length <= MAX_BYTES) {
        let mut share = Share::new(&at.broker.request_budget);
        let whole = body::collect(chunks, MAX_BYTES, &mut share).await?;
        if whole.iter().all(u8::is_ascii_whitespace) {
            return Err(no_record());
        }
        objects = Objects::of(whole);
        chunks = Body::empty();
    }
    let mut exchange = Exchange {
        broker: at.broker.clone(),
        producer,
        objects,
        chunks: chunks.into_data_stream(),
        state: State::Fresh,
    };
    if asks_first && exchange.objects.held_bytes() == 0 {
        exchange.read_more(&mut Share::new(&at.broker.request_budget)).await?;
    }
    let lines = futures_util::stream::unfold(exchange, async |mut exchange| {
        let lines = exchange.step().await?;
        Some((Ok::<_, std::convert::Infallible>(lines), exchange))
    });
    let kind = [(CONTENT_TYPE, "application/json")];
    Ok((StatusCode::OK, kind, Body::from_stream(lines)).into_response())
}

fn no_record() -> Failure {
    Failure::unprocessable("the body is empty; it must hold at least one record")
}

/// One request under way.
struct Exchange {
    broker: std::sync::Arc<Broker>,
    producer: Producer,
    objects: Objects,
    chunks: BodyDataStream,
    state: State,
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No record has come yet.
    Fresh,
    /// Records come.
    Flowing,
    /// Nothing comes any more.
    Ended,
}

impl Exchange {
    /// The reports on the next records; none after the last.
    async fn step(&mut self) -> Option<Bytes> {
        let broker = self.broker.clone();
        let mut share = Share::new(&broker.request_budget);
        if let Err(failure) = body::grow(&mut share, self.objects.held_bytes()).await {
            self.state = State::Ended;
            return Some(report(vec![Err(failure)]).await);
        }
        loop {
            let appended = self.append_ready();
            if !appended.is_empty() {
                return Some(report(appended).await);
            }
            if self.state == State::Ended {
                return None;
            }
            if let Err(failure) = self.read_more(&mut share).await {
                self.state = State::Ended;
                return Some(report(vec![Err(failure)]).await);
            }
        }
    }

    /// Appends the records that are there as a whole.
    fn append_ready(&mut self) -> Vec<Result<Appended, Failure>> {
        let mut appended = Vec::new();
        while self.state != State::Ended && appended.len() < MAX_IN_FLIGHT {
            match self.objects.next() {
                Ok(Some(object)) => {
                    self.state = State::Flowing;
                    appended.push(self.append(&object));
                }
                Ok(None) => break,
                Err(failure) => {
                    self.state = State::Ended;
                    appended.push(Err(failure));
                }
            }
        }
        appended
    }

    fn append(&mut self, object: &[u8]) -> Result<Appended, Failure> {
        let record = serde_json::from_slice::<NewRecord>(object).map_err(|error| {
            if error.classify() != Category::Data {
                self.state = State::Ended;
            }
            body::unreadable(&error)
        })?;
        self.producer.append(&record)
    }

    /// Waits for the next piece of the body.
    async fn read_more(&mut self, share: &mut Share<'_>) -> Result<(), Failure> {
        let idle_timeout = self.broker.limits.idle_timeout();
        let next = tokio::time::timeout(idle_timeout, self.chunks.next()).await;
        let chunk = next.map_err(|_| {
            let message = format!("no record came for {} s", idle_timeout.as_secs());
            Failure::plain(StatusCode::REQUEST_TIMEOUT, message)
        })?;
        match chunk {
            Some(chunk) => {
                let chunk = chunk.map_err(|error| body::broken(&error))?;
                body::grow(share, self.objects.held_bytes() + chunk.len()).await?;
                self.objects.push(&chunk);
                Ok(())
            }
            None if self.state == State::Fresh && self.objects.held_bytes() == 0 => {
                Err(no_record())
            }
            None if self.objects.held_bytes() > 0 => {
                Err(Failure::bad_request("the body ends within a record"))
            }
            None => {
                self.state = State::Ended;
                Ok(())
            }
        }
    }
}

/// Waits for all acknowledgements, in order, and writes a line on each.
async fn report(appended: Vec<Result<Appended, Failure>>) -> Bytes {
    let mut lines = Vec::with_capacity(appended.len() * 256);
    for record in appended {
        let result = match record {
            Ok(appended) => appended.acknowledged().await,
            Err(failure) => Err(failure),
        };
        // A line is plain data: strings, numbers, no map with other keys.
        let written = serde_json::to_writer(&mut lines, &Line::from(result));
        written.expect("plain data in memory can be written");
        lines.extend_from_slice(b"\r\n");
    }
    lines.into()
}
