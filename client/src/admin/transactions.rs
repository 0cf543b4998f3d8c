//! Transactions: which are open, who has them, and ending those that nobody else ends (KIP-664).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use milena_protocol::api::describe_producers::{
    DescribeProducersProducer, DescribeProducersRequest, DescribeProducersTopicRequest,
};
use milena_protocol::api::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsTransaction,
};
use milena_protocol::api::init_producer_id::InitProducerIdRequest;
use milena_protocol::api::list_transactions::ListTransactionsRequest;
use milena_protocol::api::write_txn_markers::{
    WriteTxnMarkersMarker, WriteTxnMarkersRequest, WriteTxnMarkersTopic,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{
    Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, Timestamp,
};
use tokio::time::{Instant, sleep};

use super::ask::Admin;
use super::groups::TopicPartition;
use crate::backoff::Backoff;
use crate::client::Topics;
use crate::error::{ClientError, Refused};

/// Which transactions are listed; all without a filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionFilter {
    /// Only those in one of these states, such as `Ongoing`.
    pub states: Vec<String>,
    /// Only those of these producers.
    pub producer_ids: Vec<ProducerId>,
    /// Only those that have been open for longer than this.
    pub open_for: Option<Duration>,
    /// Only those whose whole id matches this expression of RE2; brokers before Kafka 4.1 do not
    /// know it and list all.
    pub pattern: Option<String>,
}

/// A transactional id in a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedTransaction {
    /// The id.
    pub transactional_id: String,
    /// Its producer.
    pub producer_id: ProducerId,
    /// Where its transaction stands, in Kafka's words.
    pub state: String,
}

/// A transactional id and its transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedTransaction {
    /// The id.
    pub transactional_id: String,
    /// Where its transaction stands, in Kafka's words.
    pub state: String,
    /// Its producer.
    pub producer_id: ProducerId,
    /// The producer's epoch.
    pub producer_epoch: ProducerEpoch,
    /// After how long an open transaction is aborted.
    pub timeout: Duration,
    /// When the transaction began; −1 while none is open.
    pub began_at: Timestamp,
    /// What the transaction has written to so far.
    pub partitions: BTreeSet<TopicPartition>,
    /// The broker that coordinates it.
    pub coordinator: milena_protocol::ids::NodeId,
}

/// A producer as a partition knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionProducer {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// The sequence of its last record; −1 where there is none.
    pub last_sequence: Sequence,
    /// When it last wrote; −1 where nobody knows.
    pub last_timestamp: Timestamp,
    /// The epoch of the coordinator that last ended a transaction of it here; −1 for none.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins, if it has one here.
    pub open_from: Option<Offset>,
}

/// A transaction that is open in a partition and that no coordinator knows to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HangingTransaction {
    /// The partition.
    pub place: TopicPartition,
    /// The producer, and where the transaction begins.
    pub producer: PartitionProducer,
}

impl Admin {
    /// The transactional ids of all brokers, by name.
    ///
    /// # Errors
    /// When a broker does not answer, or does not know a state.
    pub async fn list_transactions(
        &self,
        filter: &TransactionFilter,
    ) -> Result<Vec<ListedTransaction>, ClientError> {
        self.of_coordinator(|| self.try_list_transactions(filter)).await
    }

    async fn try_list_transactions(
        &self,
        filter: &TransactionFilter,
    ) -> Result<Vec<ListedTransaction>, ClientError> {
        self.client.refresh(Topics::None, false).await?;
        let open_for = filter.open_for.map(|open_for| open_for.as_millis());
        let request = ListTransactionsRequest {
            state_filters: filter.states.iter().map(|state| state.as_str().into()).collect(),
            producer_id_filters: filter.producer_ids.clone(),
            duration_filter: open_for.map_or(-1, |ms| i64::try_from(ms).unwrap_or(i64::MAX)),
            transactional_id_pattern: filter.pattern.as_deref().map(Into::into),
        };
        let nodes: Vec<_> = self.client.metadata().brokers.keys().copied().collect();
        let mut listed = BTreeSet::new();
        for node_id in nodes {
            let response = self.client.broker(node_id).await?.ask(&request).await?;
            let what = || format!("the transactions of {node_id}");
            Refused::check(response.error_code, None).map_err(|refused| refused.of(what()))?;
            if let Some(unknown) = response.unknown_state_filters.first() {
                let message = Some(format!("{unknown} is no state of a transaction"));
                return Err(Refused { code: ErrorCode::INVALID_REQUEST, message }.of(what()));
            }
            listed.extend(response.transaction_states.iter().map(|one| ListedTransaction {
                transactional_id: one.transactional_id.to_string(),
                producer_id: one.producer_id,
                state: one.transaction_state.to_string(),
            }));
        }
        Ok(listed.into_iter().collect())
    }

    /// A transactional id and its transaction.
    ///
    /// # Errors
    /// When there is no such id, or its coordinator does not answer.
    pub async fn describe_transaction(
        &self,
        id: &str,
    ) -> Result<DescribedTransaction, ClientError> {
        self.of_coordinator(|| self.try_describe_transaction(id)).await
    }

    async fn try_describe_transaction(
        &self,
        id: &str,
    ) -> Result<DescribedTransaction, ClientError> {
        let (coordinator, connection) = self.client.transaction_coordinator(id).await?;
        let request = DescribeTransactionsRequest { transactional_ids: vec![id.into()] };
        let response = connection.ask(&request).await?;
        let refused = |refused: Refused| refused.of(format!("transactional id {id}"));
        let code = ErrorCode::TRANSACTIONAL_ID_NOT_FOUND;
        let found = response.transaction_states.first();
        let found = found.ok_or_else(|| refused(Refused { code, message: None }))?;
        Refused::check(found.error_code, None).map_err(refused)?;
        Ok(DescribedTransaction {
            transactional_id: found.transactional_id.to_string(),
            state: found.transaction_state.to_string(),
            producer_id: found.producer_id,
            producer_epoch: found.producer_epoch,
            timeout: Duration::from_millis(
                u64::try_from(found.transaction_timeout_ms).unwrap_or_default(),
            ),
            began_at: found.transaction_start_time_ms,
            partitions: partitions(found),
            coordinator,
        })
    }

    /// The producers that a partition's leader knows.
    ///
    /// # Errors
    /// When there is no such partition, or its leader does not answer.
    pub async fn describe_producers(
        &self,
        topic: &str,
        partition: PartitionIndex,
    ) -> Result<Vec<PartitionProducer>, ClientError> {
        let asked = DescribeProducersTopicRequest {
            name: topic.into(),
            partition_indexes: vec![partition],
        };
        let request = DescribeProducersRequest { topics: vec![asked] };
        self.of_leader(topic, partition, async |leader| {
            let response = leader.connection.ask(&request).await?;
            let mut producers = Vec::new();
            for answer in response.topics.iter().flat_map(|topic| &topic.partitions) {
                Refused::check(answer.error_code, answer.error_message.as_deref())
                    .map_err(|refused| refused.of(format!("producers of {topic} {partition}")))?;
                producers.extend(answer.active_producers.iter().map(producer));
            }
            Ok(producers)
        })
        .await
    }

    /// Transactions that are open in partitions of topics and that no coordinator will end: nobody
    /// has written to them for longer than any transaction may take, and their coordinator knows
    /// nothing of them there.
    ///
    /// # Errors
    /// When a broker does not answer.
    pub async fn hanging_transactions(
        &self,
        topics: &[&str],
        open_for: Duration,
        now: Timestamp,
    ) -> Result<Vec<HangingTransaction>, ClientError> {
        let open_for = i64::try_from(open_for.as_millis()).unwrap_or(i64::MAX);
        let mut open = Vec::new();
        for topic in topics {
            for partition in &self.client.topic(topic, false).await?.partitions {
                let producers = self.describe_producers(topic, partition.index).await?;
                let old = producers.into_iter().filter(|producer| {
                    let age = now.0.saturating_sub(producer.last_timestamp.0);
                    producer.open_from.is_some() && age >= open_for
                });
                let place = ((*topic).to_owned(), partition.index);
                open.extend(
                    old.map(|producer| HangingTransaction { place: place.clone(), producer }),
                );
            }
        }
        if open.is_empty() {
            return Ok(open);
        }
        let producer_ids: BTreeSet<ProducerId> =
            open.iter().map(|one| one.producer.producer_id).collect();
        let known = self.known_partitions(producer_ids).await?;
        open.retain(|one| !known.contains(&(one.producer.producer_id, one.place.clone())));
        Ok(open)
    }

    /// What coordinators know these producers to have open.
    async fn known_partitions(
        &self,
        producer_ids: BTreeSet<ProducerId>,
    ) -> Result<BTreeSet<(ProducerId, TopicPartition)>, ClientError> {
        let producer_ids = producer_ids.into_iter().collect();
        let filter = TransactionFilter { producer_ids, ..Default::default() };
        let mut known = BTreeSet::new();
        for listed in self.list_transactions(&filter).await? {
            match self.describe_transaction(&listed.transactional_id).await {
                Ok(described) => known.extend(
                    described.partitions.into_iter().map(|place| (described.producer_id, place)),
                ),
                // It is forgotten meanwhile.
                Err(error) if error.code() == Some(ErrorCode::TRANSACTIONAL_ID_NOT_FOUND) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(known)
    }

    /// Aborts a transaction in one partition, past its coordinator: only for one that hangs, for it
    /// takes from the transaction that it is all or nothing.
    ///
    /// # Errors
    /// When the leader does not answer, or refuses, as it does where the producer has gone on.
    pub async fn abort_hanging(&self, hanging: &HangingTransaction) -> Result<(), ClientError> {
        let (topic, partition) = &hanging.place;
        let marker = WriteTxnMarkersMarker {
            producer_id: hanging.producer.producer_id,
            producer_epoch: hanging.producer.producer_epoch,
            transaction_result: false,
            topics: vec![WriteTxnMarkersTopic {
                name: topic.as_str().into(),
                partition_indexes: vec![*partition],
            }],
            // Where no coordinator has ended one here, the first one will have epoch 0.
            coordinator_epoch: hanging.producer.coordinator_epoch.max(0),
            transaction_version: 0,
        };
        let request = WriteTxnMarkersRequest { markers: vec![marker] };
        self.of_leader(topic, *partition, async |leader| {
            let response = leader.connection.ask(&request).await?;
            let answers = response.markers.iter().flat_map(|marker| &marker.topics);
            let answer = answers.flat_map(|topic| &topic.partitions).next();
            let code = answer.map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |answer| answer.error_code);
            Refused::check(code, None)
                .map_err(|refused| refused.of(format!("aborting in {topic} {partition}")))
        })
        .await
    }

    /// Fences the producer of a transactional id, which aborts what it has open. Gives the epoch
    /// that fences it.
    ///
    /// # Errors
    /// When the coordinator does not answer, or refuses.
    pub async fn fence_producer(
        &self,
        id: &str,
    ) -> Result<(ProducerId, ProducerEpoch), ClientError> {
        let request = InitProducerIdRequest {
            transactional_id: Some(id.into()),
            transaction_timeout_ms: self.timeout_ms(),
            ..Default::default()
        };
        let deadline = Instant::now() + self.client.options().patience;
        let mut backoff = Backoff::default();
        loop {
            let (_, connection) = self.client.transaction_coordinator(id).await?;
            let answer = connection.ask(&request).await?;
            match Refused::check(answer.error_code, None) {
                Ok(()) => return Ok((answer.producer_id, answer.producer_epoch)),
                // The transaction that was open is being aborted.
                Err(refused) if refused.code.is_retriable() && Instant::now() < deadline => {
                    sleep(backoff.next()).await;
                }
                Err(refused) => return Err(refused.of(format!("fencing {id}"))),
            }
        }
    }
}

fn partitions(found: &DescribeTransactionsTransaction) -> BTreeSet<TopicPartition> {
    let topics: BTreeMap<&str, &[PartitionIndex]> =
        found.topics.iter().map(|topic| (&*topic.topic, topic.partitions.as_slice())).collect();
    let places = topics.into_iter().flat_map(|(topic, partitions)| {
        partitions.iter().map(move |partition| (topic.to_owned(), *partition))
    });
    places.collect()
}

fn producer(answer: &DescribeProducersProducer) -> PartitionProducer {
    PartitionProducer {
        producer_id: answer.producer_id,
        // The protocol has more room for it here than anywhere else.
        producer_epoch: ProducerEpoch(i16::try_from(answer.producer_epoch).unwrap_or(i16::MAX)),
        last_sequence: answer.last_sequence,
        last_timestamp: answer.last_timestamp,
        coordinator_epoch: answer.coordinator_epoch,
        open_from: (answer.current_txn_start_offset >= Offset::ZERO)
            .then_some(answer.current_txn_start_offset),
    }
}
