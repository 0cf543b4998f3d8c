//! What is shown of transactions (KIP-664).

use milena_cluster::transaction::{Answer, Request};
use milena_protocol::api::describe_transactions::DescribeTransactionsTransaction;
use milena_protocol::api::list_transactions::{ListTransactionsRequest, ListTransactionsResponse};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::ProducerId;

use crate::node::{BEGIN, FIRST, ID, Node, TIMEOUT_MS, add, end};

fn describe(node: &mut Node, id: &str) -> DescribeTransactionsTransaction {
    let ticket = node.request(Request::Describe(id.into()));
    match node.answers.remove(&ticket) {
        Some(Answer::Describe(answer)) => answer,
        other => panic!("{other:?}"),
    }
}

fn list(node: &mut Node, request: ListTransactionsRequest) -> ListTransactionsResponse {
    let ticket = node.request(Request::List(request));
    match node.answers.remove(&ticket) {
        Some(Answer::List(answer)) => answer,
        other => panic!("{other:?}"),
    }
}

/// Whoever looks for a hanging transaction would not see what it waits for.
#[test]
fn a_transaction_shows_its_state_and_its_partitions() {
    let mut node = Node::new();
    assert_eq!(describe(&mut node, ID).error_code, ErrorCode::TRANSACTIONAL_ID_NOT_FOUND);
    assert_eq!(describe(&mut node, "").error_code, ErrorCode::INVALID_REQUEST);
    let holder = node.begin();
    let shown = describe(&mut node, ID);
    assert_eq!((&*shown.transaction_state, shown.transaction_start_time_ms.0), ("Empty", -1));
    node.now += 5;
    node.now_answered(5, add(holder, &[0, 2])).unwrap_err();
    let shown = describe(&mut node, ID);
    assert_eq!(&*shown.transaction_state, "Ongoing");
    assert_eq!(shown.transaction_start_time_ms.0, (BEGIN + 5) as i64);
    assert_eq!(shown.transaction_timeout_ms, TIMEOUT_MS);
    assert_eq!((shown.producer_id, shown.producer_epoch), (holder.id, holder.epoch));
    assert_eq!(shown.topics.len(), 1);
    assert_eq!(shown.topics[0].partitions.len(), 2);
    node.now_answered(5, end(holder, false)).unwrap();
    let mut one = node.markers[0].clone();
    one.partitions.pop_first();
    node.report(&one, milena_cluster::transaction::MarkerOutcome::Written);
    let shown = describe(&mut node, ID);
    assert_eq!(&*shown.transaction_state, "PrepareAbort");
    assert_eq!(shown.topics[0].partitions.len(), 1);
}

/// A list would leave out what was asked for, or not say that it did not know a filter.
#[test]
fn a_list_is_filtered() {
    let mut node = Node::new();
    let holder = node.begin();
    node.open(holder, 0);
    node.now += 1000;
    let filters = |states: &[&str], producers: &[i64], duration_filter| ListTransactionsRequest {
        state_filters: states.iter().map(|state| (*state).into()).collect(),
        producer_id_filters: producers.iter().map(|id| ProducerId(*id)).collect(),
        duration_filter,
        ..Default::default()
    };
    let mut count = |request| list(&mut node, request).transaction_states.len();
    assert_eq!(count(filters(&[], &[], -1)), 1);
    assert_eq!(count(filters(&["Ongoing", "Empty"], &[FIRST], 999)), 1);
    assert_eq!(count(filters(&["Empty"], &[], -1)), 0);
    assert_eq!(count(filters(&["Dead"], &[], -1)), 0);
    assert_eq!(count(filters(&[], &[FIRST + 1], -1)), 0);
    assert_eq!(count(filters(&[], &[], 1000)), 0);
    let mut matching = |pattern: &str| {
        let transactional_id_pattern = Some(pattern.into());
        list(
            &mut node,
            ListTransactionsRequest { transactional_id_pattern, ..filters(&[], &[], -1) },
        )
    };
    assert_eq!(matching("txn-[0-9]").transaction_states.len(), 1);
    assert_eq!(matching("").transaction_states.len(), 1);
    assert_eq!(matching("txn").transaction_states.len(), 0);
    assert_eq!(matching("a|txn-1").transaction_states.len(), 1);
    assert_eq!(matching("(").error_code, ErrorCode::INVALID_REGULAR_EXPRESSION);
    assert_eq!(matching("txn-1)|(.*").error_code, ErrorCode::INVALID_REGULAR_EXPRESSION);
    let answer = list(&mut node, filters(&["Open", "Ongoing"], &[], -1));
    assert_eq!(answer.unknown_state_filters, ["Open"]);
    assert_eq!(answer.transaction_states[0].transaction_state, "Ongoing");
    assert_eq!(answer.transaction_states[0].transactional_id, *ID);
}
