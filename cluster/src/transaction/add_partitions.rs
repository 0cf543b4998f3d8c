//! AddPartitionsToTxn and AddOffsetsToTxn: partitions come into a transaction before anything is
//! written to them (facts T5, T9, T10; KIP-890).
//!
//! Clients of version 2 do not ask: the broker that their records come to does, with version 4 or
//! later of the API. For older clients it only asks whether they have.

use std::collections::BTreeSet;

use milena_protocol::api::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use milena_protocol::api::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
    AddPartitionsToTxnTransaction,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::PartitionIndex;

use super::case::{Case, Verdict, check_holder, for_version};
use super::known::{TopicPartition, Transaction};
use super::request::Answer;
use super::state::State;
use crate::coordinator::Producer;

/// Where groups keep their offsets.
const OFFSETS_TOPIC: Text = Text::from_static("__consumer_offsets");
/// The first version that brokers speak instead of clients.
const FIRST_OF_BROKERS: i16 = 4;
/// The version of a transaction whose partitions brokers add.
const IMPLICIT: i16 = 2;

/// What becomes of partitions that are to be in a transaction.
enum Addition {
    There,
    Added(Transaction),
    Wait,
    Refused(ErrorCode),
}

fn add(
    case: &Case<'_>,
    id: &Text,
    producer: Producer,
    partitions: BTreeSet<TopicPartition>,
    client_version: i16,
) -> Addition {
    let known = match checked(case, id, producer) {
        Ok(known) => known,
        Err(code) => return Addition::Refused(code),
    };
    if known.state.decision().is_some() {
        return Addition::Wait;
    }
    if known.state == State::Ongoing && partitions.is_subset(&known.partitions) {
        return Addition::There;
    }
    Addition::Added(known.with_partitions(partitions, client_version, case.now))
}

fn checked<'a>(
    case: &Case<'a>,
    id: &Text,
    producer: Producer,
) -> Result<&'a Transaction, ErrorCode> {
    if id.is_empty() {
        return Err(ErrorCode::INVALID_REQUEST);
    }
    let known = case.known.ok_or(ErrorCode::INVALID_PRODUCER_ID_MAPPING)?;
    check_holder(known, producer)?;
    Ok(known)
}

pub(super) fn decide(case: &Case<'_>, request: &AddPartitionsToTxnTransaction) -> Verdict {
    let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
    if request.verify_only {
        return verify(case, request, producer);
    }
    let client_version = if case.version >= FIRST_OF_BROKERS { IMPLICIT } else { 0 };
    let partitions = partitions(request).collect();
    let answer = |code| result(case.version, request, |_| code);
    match add(case, &request.transactional_id, producer, partitions, client_version) {
        Addition::There => Verdict::Answer(answer(ErrorCode::NONE)),
        Addition::Added(next) => Verdict::Become(next, answer(ErrorCode::NONE)),
        Addition::Wait => Verdict::Wait,
        Addition::Refused(code) => Verdict::Answer(answer(code)),
    }
}

/// Says which partitions are in the transaction, and changes nothing. Whoever asks knows what its
/// client understands.
fn verify(case: &Case<'_>, request: &AddPartitionsToTxnTransaction, producer: Producer) -> Verdict {
    let known = match checked(case, &request.transactional_id, producer) {
        Ok(known) => known,
        Err(code) => return Verdict::Answer(result(case.version, request, |_| code)),
    };
    if known.state.decision().is_some() {
        return Verdict::Wait;
    }
    Verdict::Answer(result(case.version, request, |partition| {
        match known.partitions.contains(partition) {
            true => ErrorCode::NONE,
            false => ErrorCode::TRANSACTION_ABORTABLE,
        }
    }))
}

fn partitions(
    request: &AddPartitionsToTxnTransaction,
) -> impl Iterator<Item = TopicPartition> + '_ {
    request.topics.iter().flat_map(|topic| {
        let name = topic.name.detach();
        let with = move |partition: &PartitionIndex| TopicPartition {
            topic: name.clone(),
            partition: *partition,
        };
        topic.partitions.iter().map(with)
    })
}

/// The answer, with a code for each partition.
fn result(
    version: i16,
    request: &AddPartitionsToTxnTransaction,
    code: impl Fn(&TopicPartition) -> ErrorCode,
) -> Answer {
    let topics = request.topics.iter().map(|topic| {
        let results = topic.partitions.iter().map(|partition| {
            let at = TopicPartition { topic: topic.name.clone(), partition: *partition };
            AddPartitionsToTxnPartitionResult {
                partition_index: *partition,
                partition_error_code: for_version(code(&at), version, 2),
            }
        });
        AddPartitionsToTxnTopicResult {
            name: topic.name.clone(),
            results_by_partition: results.collect(),
        }
    });
    Answer::AddPartitions(AddPartitionsToTxnResult {
        transactional_id: request.transactional_id.clone(),
        topic_results: topics.collect(),
    })
}

pub(super) fn decide_offsets(
    case: &Case<'_>,
    request: &AddOffsetsToTxnRequest,
    offsets_partition: PartitionIndex,
) -> Verdict {
    let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
    let partition = TopicPartition { topic: OFFSETS_TOPIC, partition: offsets_partition };
    let answer = |code| answer_offsets(case.version, code);
    match add(case, &request.transactional_id, producer, BTreeSet::from([partition]), 0) {
        Addition::There => Verdict::Answer(answer(ErrorCode::NONE)),
        Addition::Added(next) => Verdict::Become(next, answer(ErrorCode::NONE)),
        Addition::Wait => Verdict::Wait,
        Addition::Refused(code) => Verdict::Answer(answer(code)),
    }
}

pub(super) fn refused(
    version: i16,
    request: &AddPartitionsToTxnTransaction,
    code: ErrorCode,
) -> Answer {
    result(version, request, |_| code)
}

pub(super) fn answer_offsets(version: i16, code: ErrorCode) -> Answer {
    let error_code = for_version(code, version, 2);
    Answer::AddOffsets(AddOffsetsToTxnResponse { error_code, ..Default::default() })
}
