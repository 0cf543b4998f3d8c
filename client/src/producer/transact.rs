//! What a transactional producer asks its coordinator, again and again until there is an answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use milena_protocol::api::Request;
use milena_protocol::api::add_offsets_to_txn::AddOffsetsToTxnRequest;
use milena_protocol::api::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic,
};
use milena_protocol::api::end_txn::EndTxnRequest;
use milena_protocol::api::init_producer_id::InitProducerIdRequest;
use milena_protocol::api::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{ProducerEpoch, ProducerId};
use tokio::time::{Instant, sleep};

use super::lane::{Identity, Key};
use super::transaction::{End, refused};
use crate::backoff::Backoff;
use crate::client::Client;
use crate::connection::Connection;
use crate::error::{ClientError, Refused};
use crate::group::{GroupMetadata, Offsets};

/// The feature that says how transactions are spoken of.
const FEATURE: &str = "transaction.version";
/// From this level on epochs rise with each transaction and partitions are added by brokers.
const IMPLICIT_LEVEL: i16 = 2;
/// The last version of AddPartitionsToTxn that clients use; later ones are for brokers.
const LAST_ADD_PARTITIONS: i16 = 3;
/// The last versions in which the broker adds and raises nothing by itself.
const LAST_EXPLICIT_END: i16 = 4;
const LAST_EXPLICIT_OFFSETS: i16 = 4;

/// One transactional id and the way to its coordinator.
#[derive(Clone, Debug)]
pub struct Coordinator {
    pub client: Client,
    pub id: String,
    /// How long something is tried.
    pub patience: Duration,
    pub known: Arc<Known>,
}

/// Coordinators that answered last, so that nobody has to be asked who they are each time.
#[derive(Debug, Default)]
pub struct Known {
    transaction: Mutex<Option<Arc<Connection>>>,
    group: Mutex<Option<(String, Arc<Connection>)>>,
}

impl Known {
    /// The coordinator that is known for a group; without one that of the transactional id.
    fn find(&self, group: Option<&str>) -> Option<Arc<Connection>> {
        let connection = match group {
            None => lock(&self.transaction).clone(),
            Some(group) => {
                let known = lock(&self.group);
                let known = known.as_ref().filter(|(name, _)| name == group);
                known.map(|(_, connection)| Arc::clone(connection))
            }
        };
        connection.filter(|connection| !connection.is_lost())
    }

    fn keep(&self, group: Option<&str>, connection: &Arc<Connection>) {
        match group {
            None => *lock(&self.transaction) = Some(Arc::clone(connection)),
            Some(group) => *lock(&self.group) = Some((group.to_owned(), Arc::clone(connection))),
        }
    }

    fn forget(&self, group: Option<&str>) {
        match group {
            None => *lock(&self.transaction) = None,
            Some(_) => *lock(&self.group) = None,
        }
    }
}

/// What a panic elsewhere cannot leave half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Coordinator {
    /// An identity that fences the producers of before; with `current`, one that follows it. Says
    /// too whether the broker does its part of KIP-890.
    pub async fn initialise(
        &self,
        timeout: Duration,
        current: Option<Identity>,
    ) -> Result<(Identity, bool), ClientError> {
        let none = Identity { producer_id: ProducerId::NONE, producer_epoch: ProducerEpoch::NONE };
        let current = current.unwrap_or(none);
        let request = InitProducerIdRequest {
            transactional_id: Some(self.id.as_str().into()),
            transaction_timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
            producer_id: current.producer_id,
            producer_epoch: current.producer_epoch,
        };
        let request = &request;
        self.retried("initialising transactions", |connection| async move {
            let answer = connection.ask(request).await?;
            self.check(answer.error_code, "initialising transactions")?;
            let identity =
                Identity { producer_id: answer.producer_id, producer_epoch: answer.producer_epoch };
            Ok((identity, is_implicit(&connection)))
        })
        .await
    }

    /// Ends a transaction. Gives the identity of the next one where the broker raises the epoch.
    pub async fn end(
        &self,
        identity: Identity,
        end: End,
        is_implicit: bool,
    ) -> Result<Option<Identity>, ClientError> {
        let request = &EndTxnRequest {
            transactional_id: self.id.as_str().into(),
            producer_id: identity.producer_id,
            producer_epoch: identity.producer_epoch,
            committed: end == End::Commit,
        };
        let what = match end {
            End::Commit => "committing the transaction",
            End::Abort => "aborting the transaction",
        };
        self.retried(what, |connection| async move {
            let version = version::<EndTxnRequest>(&connection, is_implicit, LAST_EXPLICIT_END)?;
            let answer = connection.submit(request, version)?.wait().await?;
            self.check(answer.error_code, what)?;
            let next =
                Identity { producer_id: answer.producer_id, producer_epoch: answer.producer_epoch };
            Ok((next.producer_id != ProducerId::NONE).then_some(next))
        })
        .await
    }

    /// Tells that a transaction writes to partitions, for brokers that do not see to it.
    pub async fn add(&self, identity: Identity, keys: Vec<Key>) -> Result<(), ClientError> {
        let mut topics: BTreeMap<&str, AddPartitionsToTxnTopic> = BTreeMap::new();
        for (topic, partition) in &keys {
            let topic = topics.entry(topic).or_insert_with(|| AddPartitionsToTxnTopic {
                name: (**topic).into(),
                partitions: Vec::new(),
            });
            topic.partitions.push(*partition);
        }
        let request = &AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.id.as_str().into(),
            v3_and_below_producer_id: identity.producer_id,
            v3_and_below_producer_epoch: identity.producer_epoch,
            v3_and_below_topics: topics.into_values().collect(),
            ..Default::default()
        };
        let what = "adding partitions to the transaction";
        self.retried(what, |connection| async move {
            let version = connection.version_of::<AddPartitionsToTxnRequest>()?;
            let version = version.min(LAST_ADD_PARTITIONS);
            let answer = connection.submit(request, version)?.wait().await?;
            let topics = answer.results_by_topic_v3_and_below.iter();
            let codes = topics.flat_map(|topic| &topic.results_by_partition);
            let codes = codes.map(|partition| partition.partition_error_code);
            // With one bad partition the others are not tried: that one says why.
            let worst = codes.filter(|code| !code.is_none()).max_by_key(|code| {
                (*code != ErrorCode::OPERATION_NOT_ATTEMPTED, !code.is_retriable())
            });
            self.check(worst.unwrap_or_default(), what)
        })
        .await
    }

    /// Commits a group's offsets with the transaction.
    pub async fn commit_offsets(
        &self,
        identity: Identity,
        is_implicit: bool,
        offsets: &Offsets,
        group: &GroupMetadata,
    ) -> Result<(), ClientError> {
        let request = &TxnOffsetCommitRequest {
            transactional_id: self.id.as_str().into(),
            group_id: group.group.as_str().into(),
            producer_id: identity.producer_id,
            producer_epoch: identity.producer_epoch,
            generation_id: group.epoch,
            member_id: group.member_id.as_str().into(),
            group_instance_id: group.instance_id.as_deref().map(Into::into),
            topics: by_topic(offsets),
        };
        let what = "committing offsets with the transaction";
        self.retried_at(Some(&group.group), what, |connection| async move {
            let last = LAST_EXPLICIT_OFFSETS;
            let version = version::<TxnOffsetCommitRequest>(&connection, is_implicit, last)?;
            let answer = connection.submit(request, version)?.wait().await?;
            let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            let codes = partitions.map(|partition| partition.error_code);
            let worst = codes.filter(|code| !code.is_none()).max_by_key(|c| !c.is_retriable());
            self.check(worst.unwrap_or_default(), what)
        })
        .await
    }

    /// Tells that a transaction commits a group's offsets, for brokers that do not see to it.
    pub async fn add_offsets(
        &self,
        identity: Identity,
        group: &GroupMetadata,
    ) -> Result<(), ClientError> {
        let request = &AddOffsetsToTxnRequest {
            transactional_id: self.id.as_str().into(),
            producer_id: identity.producer_id,
            producer_epoch: identity.producer_epoch,
            group_id: group.group.as_str().into(),
        };
        let what = "adding the group to the transaction";
        self.retried(what, |connection| async move {
            let answer = connection.ask(request).await?;
            self.check(answer.error_code, what)
        })
        .await
    }

    fn check(&self, code: ErrorCode, what: &str) -> Result<(), ClientError> {
        Refused::check(code, None)
            .map_err(|code| refused(code, &format!("{what} of transactional id {}", self.id)))
    }

    async fn retried<T, A: Future<Output = Result<T, ClientError>>>(
        &self,
        what: &str,
        ask: impl Fn(Arc<Connection>) -> A,
    ) -> Result<T, ClientError> {
        self.retried_at(None, what, ask).await
    }

    /// Asks a group's coordinator, or that of the transactional id, until it answers. While markers
    /// of an earlier transaction are being written, Kafka answers CONCURRENT_TRANSACTIONS, which is
    /// tried again like the rest.
    async fn retried_at<T, A: Future<Output = Result<T, ClientError>>>(
        &self,
        group: Option<&str>,
        what: &str,
        ask: impl Fn(Arc<Connection>) -> A,
    ) -> Result<T, ClientError> {
        let mut patience = Patience::new(what, self.patience);
        loop {
            let tried = async {
                let connection = match (self.known.find(group), group) {
                    (Some(connection), _) => connection,
                    (None, Some(group)) => self.client.coordinator(group).await?.1,
                    (None, None) => self.client.transaction_coordinator(&self.id).await?.1,
                };
                self.known.keep(group, &connection);
                ask(connection).await
            };
            match tried.await {
                Err(error) if error.is_retriable() => {
                    if error.code() != Some(ErrorCode::CONCURRENT_TRANSACTIONS) {
                        self.known.forget(group);
                    }
                    patience.wait(error).await?;
                }
                settled => return settled,
            }
        }
    }
}

/// Waits between attempts, until it is too late for another one.
struct Patience {
    what: String,
    limit: Duration,
    deadline: Instant,
    backoff: Backoff,
}

impl Patience {
    fn new(what: &str, limit: Duration) -> Self {
        let what = format!("{what} did not succeed");
        Self { what, limit, deadline: Instant::now() + limit, backoff: Backoff::default() }
    }

    async fn wait(&mut self, error: ClientError) -> Result<(), ClientError> {
        let wait = self.backoff.next_after(&error);
        if Instant::now() + wait > self.deadline {
            let (what, last) = (self.what.clone(), Some(error.to_string()));
            return Err(ClientError::GaveUp { what, after: self.limit, last });
        }
        sleep(wait).await;
        Ok(())
    }
}

/// Whether the cluster has agreed on KIP-890.
fn is_implicit(connection: &Connection) -> bool {
    let features = connection.features().iter();
    let level = features.filter(|feature| feature.name == FEATURE).find_map(|one| one.finalized);
    level.is_some_and(|level| level >= IMPLICIT_LEVEL)
}

/// The version to ask in: a newer one would have the broker do what the client does itself.
fn version<R: Request>(
    connection: &Connection,
    is_implicit: bool,
    last_explicit: i16,
) -> Result<i16, ClientError> {
    let version = connection.version_of::<R>()?;
    Ok(if is_implicit { version } else { version.min(last_explicit) })
}

fn by_topic(offsets: &Offsets) -> Vec<TxnOffsetCommitRequestTopic> {
    let mut topics: Vec<TxnOffsetCommitRequestTopic> = Vec::new();
    for ((topic, partition_index), committed) in offsets {
        let partition = TxnOffsetCommitRequestPartition {
            partition_index: *partition_index,
            committed_offset: committed.offset,
            committed_leader_epoch: committed.leader_epoch,
            committed_metadata: Some(committed.metadata.as_str().into()),
        };
        match topics.last_mut().filter(|last| *last.name == **topic) {
            Some(last) => last.partitions.push(partition),
            None => topics.push(TxnOffsetCommitRequestTopic {
                name: (**topic).into(),
                partitions: vec![partition],
            }),
        }
    }
    topics
}
