//! What the handlers of transactions share: finding the coordinator, and asking it.

use std::time::Duration;

use milena_cluster::transaction::{Answer, Ask, Asked, Request};
use milena_protocol::api::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopic,
    AddPartitionsToTxnTopicResult, AddPartitionsToTxnTransaction,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::PartitionIndex;

use crate::broker::Broker;

/// How long a request waits for the markers of the transaction before. Clients give up after 30
/// seconds by default, and take a retriable code after this for what it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the coordinator of a transactional id, and again with a producer id if it wants one.
///
/// # Errors
/// Why the coordinator does not answer, or why there is no producer id.
pub async fn ask(broker: &Broker, id: &str, version: i16, ask: Ask) -> Result<Answer, ErrorCode> {
    let coordinator = broker.transactions.of_key(id).await?;
    let mut asked = Asked { version, patience: PATIENCE, fresh_producer_id: None, ask };
    let answer = coordinator.ask(Request::Ask(asked.clone())).await?;
    if answer != Answer::NeedsProducerId {
        return Ok(answer);
    }
    asked.fresh_producer_id =
        Some(broker.producer_ids.next(&broker.metadata, &broker.active_controller).await?);
    coordinator.ask(Request::Ask(asked)).await
}

/// Asks about the partitions of one transaction; a coordinator that does not answer is the answer
/// for all of them.
pub async fn ask_partitions(
    broker: &Broker,
    version: i16,
    transaction: AddPartitionsToTxnTransaction,
) -> AddPartitionsToTxnResult {
    let id = transaction.transactional_id.clone();
    let topics = transaction.topics.clone();
    match ask(broker, &id, version, Ask::AddPartitions(transaction)).await {
        Ok(Answer::AddPartitions(result)) => result,
        Ok(other) => unreachable!("a coordinator answers what it was asked, and not {other:?}"),
        Err(code) => AddPartitionsToTxnResult {
            transactional_id: id,
            topic_results: results(&topics, |_, _| code),
        },
    }
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
