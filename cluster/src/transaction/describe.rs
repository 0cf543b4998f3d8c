//! DescribeTransactions and ListTransactions (KIP-664, KIP-994, KIP-1152).

use std::collections::BTreeSet;

use milena_protocol::api::describe_transactions::{
    DescribeTransactionsTopic, DescribeTransactionsTransaction,
};
use milena_protocol::api::list_transactions::{
    ListTransactionsRequest, ListTransactionsResponse, ListTransactionsTransaction,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::Timestamp;
use regex::{Regex, RegexBuilder};

use super::known::{TopicPartition, Transaction};
use super::request::Answer;
use super::state::State;

/// Describes one transactional id, with the partitions that are still in its transaction.
pub(super) fn describe(
    id: &Text,
    known: Option<(&Transaction, &BTreeSet<TopicPartition>)>,
) -> Answer {
    let refuse = |error_code| DescribeTransactionsTransaction {
        error_code,
        transactional_id: id.clone(),
        ..Default::default()
    };
    if id.is_empty() {
        return Answer::Describe(refuse(ErrorCode::INVALID_REQUEST));
    }
    let Some((transaction, partitions)) = known else {
        return Answer::Describe(refuse(ErrorCode::TRANSACTIONAL_ID_NOT_FOUND));
    };
    Answer::Describe(DescribeTransactionsTransaction {
        error_code: ErrorCode::NONE,
        transactional_id: id.clone(),
        transaction_state: Text::from_static(transaction.state.name()),
        transaction_timeout_ms: transaction.timeout_ms,
        transaction_start_time_ms: transaction.started_at,
        producer_id: transaction.producer.id,
        producer_epoch: transaction.producer.epoch,
        topics: topics(partitions),
    })
}

fn topics(partitions: &BTreeSet<TopicPartition>) -> Vec<DescribeTransactionsTopic> {
    let mut topics: Vec<DescribeTransactionsTopic> = Vec::new();
    for TopicPartition { topic, partition } in partitions {
        match topics.last_mut() {
            Some(last) if last.topic == *topic => last.partitions.push(*partition),
            _ => topics.push(DescribeTransactionsTopic {
                topic: topic.clone(),
                partitions: vec![*partition],
            }),
        }
    }
    topics
}

/// How much memory a pattern may take: a client's line must not cost more.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// The pattern of a request, to match whole transactional ids; none where it is null or empty.
fn pattern(request: &ListTransactionsRequest) -> Result<Option<Regex>, regex::Error> {
    let Some(pattern) = request.transactional_id_pattern.as_deref() else { return Ok(None) };
    if pattern.is_empty() {
        return Ok(None);
    }
    let build = |text: &str| RegexBuilder::new(text).size_limit(MAX_PATTERN_BYTES).build();
    // Alone first: a pattern may not close the bracket that is put around it.
    build(pattern).and_then(|_| build(&format!(r"\A(?:{pattern})\z"))).map(Some)
}

/// What can be said of a list before any coordinator is asked: whether the pattern is one, and
/// which states there are not.
#[must_use]
pub fn list_none(request: &ListTransactionsRequest) -> ListTransactionsResponse {
    list(request, Timestamp::NONE, std::iter::empty())
}

/// Lists what passes the filters.
pub(super) fn list<'a>(
    request: &ListTransactionsRequest,
    now: Timestamp,
    all: impl Iterator<Item = (&'a Text, &'a Transaction)>,
) -> ListTransactionsResponse {
    let Ok(pattern) = pattern(request) else {
        let error_code = ErrorCode::INVALID_REGULAR_EXPRESSION;
        return ListTransactionsResponse { error_code, ..Default::default() };
    };
    let mut wanted = BTreeSet::new();
    let mut unknown = Vec::new();
    for name in &request.state_filters {
        match State::from_name(name) {
            Ok(state) => wanted.extend(state),
            Err(_) => unknown.push(name.clone()),
        }
    }
    let is_wanted = |transaction: &Transaction| {
        let producers = &request.producer_id_filters;
        let open_for = now.0.saturating_sub(transaction.started_at.0);
        (producers.is_empty() || producers.contains(&transaction.producer.id))
            && (request.state_filters.is_empty() || wanted.contains(&transaction.state))
            && (request.duration_filter < 0 || open_for > request.duration_filter)
    };
    let listed = all.filter(|(id, transaction)| {
        is_wanted(transaction) && pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
    });
    ListTransactionsResponse {
        unknown_state_filters: unknown,
        transaction_states: listed
            .map(|(id, transaction)| ListTransactionsTransaction {
                transactional_id: id.clone(),
                producer_id: transaction.producer.id,
                transaction_state: Text::from_static(transaction.state.name()),
            })
            .collect(),
        ..Default::default()
    }
}
