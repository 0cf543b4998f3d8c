//! Produce (0), versions 3–13.
//!
//! Topics are named up to version 12 and given by id from 13 on. One batch per partition. Before
//! the first batch of a transaction the coordinator is asked; that request keeps its place.

use std::sync::Arc;
use std::time::Duration;

use milena_protocol::api::produce::{
    ProduceBatchError, ProduceCurrentLeader, ProduceNodeEndpoint, ProducePartitionData,
    ProducePartitionResponse, ProduceRequest, ProduceResponse, ProduceTopicData,
    ProduceTopicResponse,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, Timestamp, Uuid};
use milena_protocol::record::{Batch, Compression};

use super::clearance::{self, Clearances, Look, Question, producer_in_transaction};
use super::error::{AppendFault, append_fault};
use super::leader_hint::Hints;
use super::resolve;
use crate::blocking::off_the_reactor;
use crate::broker::Broker;
use crate::endpoints::Endpoint;
use crate::replicas::partition::{
    Acknowledgement, NotAcknowledged, Partition, Placed, ProduceError,
};
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Clients that may write to Kafka's own topics.
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// What became of a produce.
pub enum Outcome {
    /// It can be answered.
    Done(ProduceResponse),
    /// It has appended, and waits for its acknowledgement.
    Waiting(Waiting),
    /// Nothing is appended: a coordinator has to be asked first.
    Asking(Asking),
}

/// A request that has to ask the coordinator of its transaction.
pub struct Asking {
    broker: Arc<Broker>,
    context: Context,
    question: Question,
    request: ProduceRequest,
}

/// Appends that are not acknowledged yet.
pub struct Waiting {
    response: ProduceResponse,
    appends: Vec<Append>,
    timeout: Duration,
}

/// One append, and where its answer stands.
struct Append {
    partition: Arc<Partition>,
    acknowledgement: Acknowledgement,
    topic_at: usize,
    partition_at: usize,
}

/// Appends everything, unless a coordinator has to be asked first; what needs no acknowledgement,
/// or has it already, is answered.
#[must_use]
pub fn begin(broker: &Arc<Broker>, context: &Context, request: ProduceRequest) -> Outcome {
    match clearance::look(broker, context, &request) {
        Look::Cleared(clearances) => append(broker, context, request, clearances, None),
        Look::Refused(code) => append(broker, context, request, Clearances::new(), Some(code)),
        Look::Ask(question) => {
            let (broker, context) = (broker.clone(), context.clone());
            Outcome::Asking(Asking { broker, context, question, request })
        }
    }
}

impl Asking {
    /// Asks, appends, and waits for the acknowledgement.
    pub async fn answered(self) -> ProduceResponse {
        let Self { broker, context, question, request } = self;
        let clearances = question.ask(&broker, &context).await;
        match append(&broker, &context, request, clearances, None) {
            Outcome::Done(response) => response,
            Outcome::Waiting(waiting) => waiting.acknowledged().await,
            Outcome::Asking(_) => unreachable!("an append asks nobody"),
        }
    }
}

fn append(
    broker: &Arc<Broker>,
    context: &Context,
    request: ProduceRequest,
    clearances: Clearances,
    refused: Option<ErrorCode>,
) -> Outcome {
    let mut run = Run {
        broker,
        context,
        acks: request.acks,
        now: broker.clock.now(),
        has_transactional_id: request.transactional_id.is_some(),
        clearances,
        appends: Vec::new(),
        hints: Hints::new(broker, &context.peer),
    };
    let refused = run.refusal(&request).or(refused);
    let responses = request
        .topic_data
        .into_iter()
        .enumerate()
        .map(|(topic_at, topic)| run.topic(topic_at, topic, refused))
        .collect();
    let node_endpoints = run.hints.endpoints().map(node_endpoint).collect();
    let mut response = ProduceResponse { responses, node_endpoints, ..Default::default() };
    if request.acks != -1 || run.appends.is_empty() {
        return Outcome::Done(response);
    }
    let timeout = Duration::from_millis(request.timeout_ms.max(0) as u64);
    // The names are slices of the request's frame, which would stay in memory as long as they do.
    for topic in &mut response.responses {
        topic.name = topic.name.detach();
    }
    Outcome::Waiting(Waiting { response, appends: run.appends, timeout })
}

/// Whether any partition failed.
#[must_use]
pub fn has_failed(response: &ProduceResponse) -> bool {
    response
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses)
        .any(|partition| !partition.error_code.is_none())
}

impl Waiting {
    /// Waits for all of them, at most as long as the request allows.
    pub async fn acknowledged(self) -> ProduceResponse {
        let Self { mut response, appends, timeout } = self;
        let deadline = tokio::time::Instant::now() + timeout;
        for append in appends {
            let acknowledged = append.partition.acknowledged(append.acknowledgement);
            let error_code = match tokio::time::timeout_at(deadline, acknowledged).await {
                Ok(Ok(())) => continue,
                Ok(Err(NotAcknowledged::Storage(error))) => {
                    tracing::error!(partition = ?append.partition, %error, "sync failed");
                    ErrorCode::KAFKA_STORAGE_ERROR
                }
                Ok(Err(NotAcknowledged::Refused(code))) => code,
                // The records may still count later (fact P3).
                Err(_) => ErrorCode::REQUEST_TIMED_OUT,
            };
            let answer = response
                .responses
                .get_mut(append.topic_at)
                .and_then(|topic| topic.partition_responses.get_mut(append.partition_at));
            if let Some(answer) = answer {
                *answer = failed(answer.index, error_code, None);
            }
        }
        response
    }
}

struct Run<'a> {
    broker: &'a Arc<Broker>,
    context: &'a Context,
    acks: i16,
    now: Timestamp,
    has_transactional_id: bool,
    clearances: Clearances,
    appends: Vec<Append>,
    hints: Hints<'a>,
}

impl Run<'_> {
    /// A reason to refuse every partition of the request.
    fn refusal(&self, request: &ProduceRequest) -> Option<ErrorCode> {
        if !matches!(request.acks, -1..=1) {
            return Some(ErrorCode::INVALID_REQUIRED_ACKS);
        }
        None
    }

    fn topic(
        &mut self,
        topic_at: usize,
        topic: ProduceTopicData,
        refused: Option<ErrorCode>,
    ) -> ProduceTopicResponse {
        let by_id = self.context.version >= 13;
        let found = resolve::topic(self.broker, by_id, &topic.name, topic.topic_id);
        let allowed = found.as_ref().map_err(|code| *code).and_then(|found| self.may_write(found));
        let partition_responses = topic
            .partition_data
            .into_iter()
            .enumerate()
            .map(|(partition_at, data)| {
                let refusal = refused.map_or(allowed, Err);
                let hosted = refusal.and_then(|()| {
                    self.broker.replicas.leading(&found.as_ref().map_err(|c| *c)?.id, data.index)
                });
                let mut answer = match hosted {
                    Ok(partition) => self.append(partition, data, topic_at, partition_at),
                    Err(code) => failed(data.index, code, None),
                };
                if let Ok(topic) = &found {
                    hint(&mut self.hints, self.context, topic.id, &mut answer);
                }
                answer
            })
            .collect();
        ProduceTopicResponse { name: topic.name, topic_id: topic.topic_id, partition_responses }
    }

    fn may_write(&self, topic: &resolve::Topic) -> Result<(), ErrorCode> {
        let principal = &self.context.peer.principal;
        let resource = Resource::Topic(&topic.name);
        if !self.broker.authorizer.allows(principal, Operation::Write, resource) {
            return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        }
        if topic.is_internal && self.context.client_id != ADMIN_CLIENT_ID {
            return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
        }
        Ok(())
    }

    fn append(
        &mut self,
        partition: Arc<Partition>,
        data: ProducePartitionData,
        topic_at: usize,
        partition_at: usize,
    ) -> ProducePartitionResponse {
        let index = data.index;
        let records = match data.records {
            Some(records) if !records.0.is_empty() => records.0,
            _ => {
                let refusal = failed(index, ErrorCode::INVALID_RECORD, Some(NO_RECORDS.into()));
                return self.counted(&partition, refusal);
            }
        };
        if let Err((code, message)) = self.check_batch(&records) {
            return self.counted(&partition, failed(index, code, Some(message.into())));
        }
        let cleared = self.clearances.get(&(topic_at, partition_at)).copied().transpose();
        let guard = match cleared {
            Ok(guard) => guard,
            Err(code) => {
                let refusal = failed(index, code, Some(NO_TRANSACTION.into()));
                return self.counted(&partition, refusal);
            }
        };
        let (acks, now) = (self.acks, self.now);
        let append = || match producer_in_transaction(&records) {
            Some(producer) => {
                let begins = (producer, clearance::start_of(self.context));
                partition.append_in_transaction(&records, acks, now, begins, guard)
            }
            None => partition.append_as_leader(&records, acks, now),
        };
        let appended = if is_costly(&records) { off_the_reactor(append) } else { append() };
        match appended {
            Ok(placed) => {
                self.broker.metrics.produced(partition.topic(), placed.records, records.len());
                self.placed(partition, &placed, index, topic_at, partition_at)
            }
            Err(ProduceError::Refused(code)) => self.counted(&partition, failed(index, code, None)),
            Err(ProduceError::Append(error)) => {
                self.counted(&partition, self.refused(&partition, index, error))
            }
        }
    }

    /// Counts a refusal. What was not even looked at, such as an unknown topic, is not counted:
    /// whoever makes up names would fill the figures with them.
    fn counted(
        &self,
        partition: &Partition,
        refusal: ProducePartitionResponse,
    ) -> ProducePartitionResponse {
        self.broker.metrics.failed_produce(partition.topic());
        refusal
    }

    /// What can be said of a batch before the log sees it.
    fn check_batch(&self, records: &[u8]) -> Result<(), (ErrorCode, &'static str)> {
        let Ok((batch, rest)) = Batch::parse(records) else {
            // The log says precisely what is wrong.
            return Ok(());
        };
        if !rest.is_empty() {
            return Err((ErrorCode::INVALID_RECORD, ONE_BATCH));
        }
        let attributes = batch.attributes();
        if attributes.is_transactional() && !self.has_transactional_id {
            return Err((ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, NO_ID));
        }
        if self.context.version < 7 && attributes.codec() == Some(Compression::Zstd) {
            return Err((ErrorCode::UNSUPPORTED_COMPRESSION_TYPE, ZSTD_TOO_EARLY));
        }
        Ok(())
    }

    fn placed(
        &mut self,
        partition: Arc<Partition>,
        placed: &Placed,
        index: milena_protocol::ids::PartitionIndex,
        topic_at: usize,
        partition_at: usize,
    ) -> ProducePartitionResponse {
        let acknowledgement = placed.acknowledgement;
        let counts = acknowledgement.counts(partition.reader().offsets());
        if !counts && acknowledgement.must_flush {
            // Whoever sent it may ask for no acknowledgement, or go away before it comes, but
            // consumers wait for it: it is visible once it is on stable storage.
            partition.begin_sync(acknowledgement.end);
        }
        if self.acks == -1 && !counts {
            self.appends.push(Append { partition, acknowledgement, topic_at, partition_at });
        }
        ProducePartitionResponse {
            index,
            base_offset: placed.appended.base_offset,
            log_append_time_ms: placed.appended.log_append_time.unwrap_or(Timestamp::NONE),
            log_start_offset: placed.appended.log_start_offset,
            ..Default::default()
        }
    }

    fn refused(
        &self,
        partition: &Partition,
        index: milena_protocol::ids::PartitionIndex,
        error: milena_storage::AppendError,
    ) -> ProducePartitionResponse {
        tracing::debug!(?partition, %error, client = %self.context.client_id, "produce refused");
        let AppendFault { code, message, records } = append_fault(&error);
        ProducePartitionResponse {
            record_errors: records
                .into_iter()
                .map(|(batch_index, message)| ProduceBatchError {
                    batch_index,
                    batch_index_error_message: message.map(Into::into),
                })
                .collect(),
            ..failed(index, code, message)
        }
    }
}

/// Says who leads instead, in the versions that can be told (fact P17).
fn hint(
    hints: &mut Hints<'_>,
    context: &Context,
    topic_id: Uuid,
    answer: &mut ProducePartitionResponse,
) {
    if answer.error_code != ErrorCode::NOT_LEADER_OR_FOLLOWER || context.version < 10 {
        return;
    }
    if let Some((leader_id, leader_epoch)) = hints.leader(topic_id, answer.index) {
        answer.current_leader = ProduceCurrentLeader { leader_id, leader_epoch };
    }
}

fn node_endpoint(endpoint: Endpoint) -> ProduceNodeEndpoint {
    let Endpoint { node_id, host, port, rack } = endpoint;
    ProduceNodeEndpoint { node_id, host, port, rack }
}

/// A compressed batch from this size on may hold so many records that others would wait for them.
const COSTLY_FROM_BYTES: usize = 4 * 1024;

/// Whether looking at a batch may take longer than the connections of this thread should wait.
fn is_costly(records: &[u8]) -> bool {
    let compressed = |batch: &Batch<'_>| batch.attributes().codec() != Some(Compression::None);
    records.len() >= COSTLY_FROM_BYTES && Batch::parse(records).is_ok_and(|(b, _)| compressed(&b))
}

const NO_RECORDS: &str = "the partition's data holds no record batch";
const ONE_BATCH: &str = "a produce request must hold exactly one record batch per partition";
const NO_TRANSACTION: &str = "the coordinator of its transaction does not let the batch in";
const NO_ID: &str = "the batch is transactional, but the request names no transactional id";
const ZSTD_TOO_EARLY: &str = "zstd needs Produce version 7 or later";

fn failed(
    index: milena_protocol::ids::PartitionIndex,
    error_code: ErrorCode,
    message: Option<String>,
) -> ProducePartitionResponse {
    ProducePartitionResponse {
        index,
        error_code,
        base_offset: Offset::NONE,
        log_append_time_ms: Timestamp::NONE,
        log_start_offset: Offset::NONE,
        error_message: message.map(Into::into),
        ..Default::default()
    }
}
