//! What the handlers of transactions share: finding the coordinator, and asking it.
//!
//! Clients find the coordinator themselves, so it is asked where it is on this broker. Only the
//! partitions of a transaction are asked about from wherever a record comes to (KIP-890).

use std::time::Duration;

use milena_cluster::transaction::{Answer, Ask, Asked, Request};
use milena_protocol::api::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopic,
    AddPartitionsToTxnTopicResult, AddPartitionsToTxnTransaction,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, PartitionIndex};
use tokio::time::Instant;

use crate::broker::Broker;
use crate::colleagues::Silence;

/// How long a request waits for the markers of the transaction before. Clients give up after 30
/// seconds by default, and take a retriable code after this for what it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it waits where a broker asks, for several transactions at once: none of them should
/// wait for the markers of another one.
const PATIENCE_FOR_BROKERS: Duration = Duration::from_millis(50);
/// How long a broker rests until it asks again about a transaction whose markers are being written.
const REST: Duration = Duration::from_millis(5);
/// The version of AddPartitionsToTxn that brokers speak.
const BROKERS_VERSION: i16 = 5;

/// Asks the coordinator of a transactional id, and again with a producer id if it wants one.
///
/// # Errors
/// Why the coordinator does not answer, or why there is no producer id.
pub async fn ask(broker: &Broker, id: &str, version: i16, ask: Ask) -> Result<Answer, ErrorCode> {
    ask_for(broker, id, version, ask, PATIENCE).await
}

async fn ask_for(
    broker: &Broker,
    id: &str,
    version: i16,
    ask: Ask,
    patience: Duration,
) -> Result<Answer, ErrorCode> {
    let coordinator = broker.transactions.of_key(id).await?;
    let mut asked = Asked { version, patience, fresh_producer_id: None, ask };
    let answer = coordinator.ask(Request::Ask(asked.clone())).await?;
    if answer != Answer::NeedsProducerId {
        return Ok(answer);
    }
    asked.fresh_producer_id =
        Some(broker.producer_ids.next(&broker.metadata, &broker.active_controller).await?);
    coordinator.ask(Request::Ask(asked)).await
}

/// Asks the coordinator on this broker about the partitions of one transaction, for a client.
pub async fn ask_partitions(
    broker: &Broker,
    version: i16,
    transaction: AddPartitionsToTxnTransaction,
) -> AddPartitionsToTxnResult {
    ask_partitions_for(broker, version, transaction, PATIENCE).await
}

/// The same for another broker.
pub async fn ask_partitions_for_broker(
    broker: &Broker,
    version: i16,
    transaction: AddPartitionsToTxnTransaction,
) -> AddPartitionsToTxnResult {
    ask_partitions_for(broker, version, transaction, PATIENCE_FOR_BROKERS).await
}

/// A coordinator that does not answer is the answer for all of the partitions.
async fn ask_partitions_for(
    broker: &Broker,
    version: i16,
    transaction: AddPartitionsToTxnTransaction,
    patience: Duration,
) -> AddPartitionsToTxnResult {
    let id = transaction.transactional_id.clone();
    let topics = transaction.topics.clone();
    match ask_for(broker, &id, version, Ask::AddPartitions(transaction), patience).await {
        Ok(Answer::AddPartitions(result)) => result,
        Ok(other) => unreachable!("a coordinator answers what it was asked, and not {other:?}"),
        Err(code) => AddPartitionsToTxnResult {
            transactional_id: id,
            topic_results: results(&topics, |_, _| code),
        },
    }
}

/// Adds partitions to a transaction or says whether they are in it, wherever its coordinator is:
/// what has to be known before a record is appended.
pub async fn clear(
    broker: &Broker,
    transaction: AddPartitionsToTxnTransaction,
) -> AddPartitionsToTxnResult {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let id = &transaction.transactional_id;
        let Some(leader) = broker.transactions.leader_of(id).filter(|it| *it != broker.node_id)
        else {
            return ask_partitions(broker, BROKERS_VERSION, transaction).await;
        };
        let result = match ask_there(broker, leader, &transaction).await {
            Ok(result) => result,
            Err(code) => AddPartitionsToTxnResult {
                transactional_id: id.clone(),
                topic_results: results(&transaction.topics, |_, _| code),
            },
        };
        if !is_being_ended(&result) || Instant::now() >= deadline {
            return result;
        }
        tokio::time::sleep(REST).await;
    }
}

/// Asks the coordinator on another broker, until that one leads its partition no more.
async fn ask_there(
    broker: &Broker,
    leader: NodeId,
    transaction: &AddPartitionsToTxnTransaction,
) -> Result<AddPartitionsToTxnResult, ErrorCode> {
    if leader == NodeId::NONE {
        return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
    }
    let id = &transaction.transactional_id;
    let moved =
        broker.metadata.until(|image| broker.transactions.leader_in(image, id) != Some(leader));
    milena_client::select! {
        answer = broker.colleagues.additions.ask(leader, transaction.clone()) => {
            answer.map_err(|silence| match silence {
                Silence::NotAsked => ErrorCode::COORDINATOR_NOT_AVAILABLE,
                Silence::NoAnswer => ErrorCode::NETWORK_EXCEPTION,
            })
        }
        () = moved => Err(ErrorCode::NOT_COORDINATOR),
    }
}

/// Whether markers of the transaction before are still being written.
fn is_being_ended(result: &AddPartitionsToTxnResult) -> bool {
    let mut results = result.topic_results.iter().flat_map(|topic| &topic.results_by_partition);
    results.any(|result| result.partition_error_code == ErrorCode::CONCURRENT_TRANSACTIONS)
}

/// A code for each partition.
pub fn results(
    topics: &[AddPartitionsToTxnTopic],
    code: impl Fn(&str, PartitionIndex) -> ErrorCode,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let of_topic = |topic: &AddPartitionsToTxnTopic| {
        let results = topic.partitions.iter().map(|partition| AddPartitionsToTxnPartitionResult {
            partition_index: *partition,
            partition_error_code: code(&topic.name, *partition),
        });
        AddPartitionsToTxnTopicResult {
            name: topic.name.clone(),
            results_by_partition: results.collect(),
        }
    };
    topics.iter().map(of_topic).collect()
}
