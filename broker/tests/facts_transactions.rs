//! Transactions, against a real broker process over a bare socket.

mod process;

use milena_protocol::api::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic,
};
use milena_protocol::api::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsTransaction,
};
use milena_protocol::api::end_txn::{EndTxnRequest, EndTxnResponse};
use milena_protocol::api::fetch::FetchPartitionResponse;
use milena_protocol::api::find_coordinator::FindCoordinatorRequest;
use milena_protocol::api::init_producer_id::InitProducerIdRequest;
use milena_protocol::api::list_transactions::ListTransactionsRequest;
use milena_protocol::api::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use milena_protocol::api::write_txn_markers::{
    WriteTxnMarkersMarker, WriteTxnMarkersRequest, WriteTxnMarkersTopic,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence};
use milena_protocol::record::BatchOptions;
use process::broker::{Broker, batch_with, fetch_request, produce_request, records_of, until};

const ID: &str = "txn-1";

/// A producer as its coordinator knows it.
type Producer = (ProducerId, ProducerEpoch);

/// Finds the coordinator, which makes its topic, and becomes the producer.
fn init(broker: &mut Broker, timeout_ms: i32) -> Producer {
    let find = FindCoordinatorRequest {
        key_type: 1,
        coordinator_keys: vec![ID.into()],
        ..Default::default()
    };
    let found = broker.connection.ask(&find, 6);
    assert_eq!(found.coordinators[0].error_code, ErrorCode::NONE);
    let request = InitProducerIdRequest {
        transactional_id: Some(ID.into()),
        transaction_timeout_ms: timeout_ms,
        ..Default::default()
    };
    let answer = broker.connection.ask(&request, 5);
    assert_eq!(answer.error_code, ErrorCode::NONE);
    (answer.producer_id, answer.producer_epoch)
}

/// Writes one record in the producer's transaction.
fn write(broker: &mut Broker, producer: Producer, sequence: i32, version: i16) -> ErrorCode {
    let options = BatchOptions {
        producer_id: producer.0,
        producer_epoch: producer.1,
        base_sequence: Sequence(sequence),
        is_transactional: true,
        ..Default::default()
    };
    let mut request = produce_request("t", batch_with(options, &[1]), -1);
    request.transactional_id = Some(ID.into());
    let answer = broker.connection.ask(&request, version);
    answer.responses[0].partition_responses[0].error_code
}

fn end(broker: &mut Broker, producer: Producer, committed: bool, version: i16) -> EndTxnResponse {
    let request = EndTxnRequest {
        transactional_id: ID.into(),
        producer_id: producer.0,
        producer_epoch: producer.1,
        committed,
    };
    broker.connection.ask(&request, version)
}

/// Ends a transaction under version 2: the producer of the next one.
fn ended(broker: &mut Broker, producer: Producer, committed: bool) -> Producer {
    let answer = end(broker, producer, committed, 5);
    assert_eq!(answer.error_code, ErrorCode::NONE);
    (answer.producer_id, answer.producer_epoch)
}

fn add(broker: &mut Broker, producer: Producer) -> ErrorCode {
    add_to(broker, "t", producer)
}

fn add_to(broker: &mut Broker, topic: &str, producer: Producer) -> ErrorCode {
    let topic = AddPartitionsToTxnTopic { name: topic.into(), partitions: vec![PartitionIndex(0)] };
    let request = AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: ID.into(),
        v3_and_below_producer_id: producer.0,
        v3_and_below_producer_epoch: producer.1,
        v3_and_below_topics: vec![topic],
        ..Default::default()
    };
    let answer = broker.connection.ask(&request, 3);
    answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
}

/// What a consumer of committed records is given from the beginning on.
fn committed(broker: &mut Broker) -> FetchPartitionResponse {
    let mut request = fetch_request("t", 0, 0);
    request.isolation_level = 1;
    broker.connection.ask(&request, 12).responses[0].partitions[0].clone()
}

fn stable(broker: &mut Broker) -> i64 {
    committed(broker).last_stable_offset.0
}

fn describe(broker: &mut Broker) -> DescribeTransactionsTransaction {
    let request = DescribeTransactionsRequest { transactional_ids: vec![ID.into()] };
    broker.connection.ask(&request, 0).transaction_states.remove(0)
}

/// Records would be seen before they are committed, or aborted ones not be told apart.
#[test]
fn what_is_committed_is_seen_and_what_is_aborted_is_named() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let first = init(&mut broker, 60_000);
    assert_eq!(write(&mut broker, first, 0, 12), ErrorCode::NONE);
    assert_eq!(write(&mut broker, first, 1, 12), ErrorCode::NONE);
    let open = committed(&mut broker);
    assert_eq!((open.last_stable_offset, open.high_watermark), (Offset(0), Offset(2)));
    assert!(records_of(&open).is_empty());
    assert_eq!(describe(&mut broker).transaction_state, "Ongoing");
    let second = ended(&mut broker, first, true);
    assert_eq!(second, (first.0, ProducerEpoch(first.1.0 + 1)));
    // The next transaction waits for the marker of the one before.
    assert_eq!(write(&mut broker, second, 0, 12), ErrorCode::NONE);
    assert_eq!(stable(&mut broker), 3);
    let third = ended(&mut broker, second, false);
    until("the marker is written", || stable(&mut broker) == 5);
    let aborted = committed(&mut broker).aborted_transactions.unwrap_or_default();
    assert_eq!(aborted.len(), 1);
    assert_eq!((aborted[0].producer_id, aborted[0].first_offset), (first.0, Offset(3)));
    assert_eq!(write(&mut broker, second, 1, 12), ErrorCode::INVALID_PRODUCER_EPOCH);
    assert_eq!(write(&mut broker, third, 0, 12), ErrorCode::NONE);
}

/// Clients of before KIP-890 could not transact, or could write where no marker will come.
#[test]
fn older_clients_add_their_partitions_first() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let producer = init(&mut broker, 60_000);
    assert_eq!(write(&mut broker, producer, 0, 11), ErrorCode::TRANSACTION_ABORTABLE);
    assert_eq!(write(&mut broker, producer, 0, 10), ErrorCode::INVALID_TXN_STATE);
    assert_eq!(add(&mut broker, producer), ErrorCode::NONE);
    assert_eq!(write(&mut broker, producer, 0, 11), ErrorCode::NONE);
    assert_eq!(end(&mut broker, producer, true, 4).error_code, ErrorCode::NONE);
    assert_eq!(end(&mut broker, producer, true, 4).error_code, ErrorCode::NONE);
    until("the marker is written", || stable(&mut broker) == 2);
    assert_eq!(write(&mut broker, producer, 1, 11), ErrorCode::TRANSACTION_ABORTABLE);
    assert_eq!(add(&mut broker, producer), ErrorCode::NONE);
    assert_eq!(write(&mut broker, producer, 1, 11), ErrorCode::NONE);
}

/// The first batch of a transaction would be refused because the marker of the one before came in
/// while its coordinator was asked.
#[test]
fn transactions_follow_each_other_without_a_pause() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let mut producer = init(&mut broker, 60_000);
    for round in 0..50 {
        assert_eq!(write(&mut broker, producer, 0, 12), ErrorCode::NONE, "{round}");
        producer = ended(&mut broker, producer, round % 3 > 0);
    }
    for round in 0..50 {
        assert_eq!(add(&mut broker, producer), ErrorCode::NONE, "{round}");
        assert_eq!(write(&mut broker, producer, round, 11), ErrorCode::NONE, "{round}");
        let answer = end(&mut broker, producer, round % 3 > 0, 4);
        assert_eq!(answer.error_code, ErrorCode::NONE);
    }
    until("the markers are written", || stable(&mut broker) == 200);
}

/// A decision would be forgotten by a kill, or an open transaction be decided by it.
#[test]
fn a_kill_changes_no_decision() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let first = init(&mut broker, 60_000);
    assert_eq!(write(&mut broker, first, 0, 12), ErrorCode::NONE);
    let second = ended(&mut broker, first, true);
    let mut broker = broker.restart(&[]);
    // Nobody asks the coordinator: it goes on by itself.
    until("the marker is written", || stable(&mut broker) >= 2);
    assert!(committed(&mut broker).aborted_transactions.unwrap_or_default().is_empty());
    assert_eq!(ended(&mut broker, first, true), second);
    let end = stable(&mut broker);
    assert_eq!(write(&mut broker, second, 0, 12), ErrorCode::NONE);
    let mut broker = broker.restart(&[]);
    assert_eq!(write(&mut broker, second, 1, 12), ErrorCode::NONE);
    assert_eq!(stable(&mut broker), end);
    assert_eq!(describe(&mut broker).transaction_state, "Ongoing");
    ended(&mut broker, second, true);
    until("the marker is written", || stable(&mut broker) == end + 3);
}

/// Two producers with one transactional id would both write.
#[test]
fn the_next_producer_aborts_and_fences_the_one_before() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let first = init(&mut broker, 60_000);
    assert_eq!(write(&mut broker, first, 0, 12), ErrorCode::NONE);
    // Answered once the transaction before is aborted, without CONCURRENT_TRANSACTIONS.
    let next = init(&mut broker, 60_000);
    assert_eq!(next, (first.0, ProducerEpoch(first.1.0 + 2)));
    assert_eq!(stable(&mut broker), 2);
    assert_eq!(write(&mut broker, first, 1, 12), ErrorCode::INVALID_PRODUCER_EPOCH);
    assert_eq!(end(&mut broker, first, true, 5).error_code, ErrorCode::PRODUCER_FENCED);
    assert_eq!(write(&mut broker, next, 0, 12), ErrorCode::NONE);
}

/// A producer that died would hold back every consumer of committed records.
#[test]
fn a_transaction_that_takes_too_long_is_aborted() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let producer = init(&mut broker, 100);
    assert_eq!(write(&mut broker, producer, 0, 12), ErrorCode::NONE);
    until("it is aborted", || stable(&mut broker) == 2);
    assert_eq!(committed(&mut broker).aborted_transactions.unwrap_or_default().len(), 1);
    assert_eq!(write(&mut broker, producer, 1, 12), ErrorCode::INVALID_PRODUCER_EPOCH);
}

/// An administrator could not find a transaction that hangs, or not end it.
#[test]
fn a_transaction_can_be_found_and_ended_from_outside() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let producer = init(&mut broker, 60_000);
    assert_eq!(write(&mut broker, producer, 0, 12), ErrorCode::NONE);
    let request = ListTransactionsRequest {
        state_filters: vec!["Ongoing".into()],
        transactional_id_pattern: Some("txn-.".into()),
        ..Default::default()
    };
    let listed = broker.connection.ask(&request, 2);
    assert_eq!(listed.error_code, ErrorCode::NONE);
    assert_eq!(listed.transaction_states[0].transactional_id, ID);
    let marker = WriteTxnMarkersMarker {
        producer_id: producer.0,
        producer_epoch: producer.1,
        transaction_result: false,
        topics: vec![WriteTxnMarkersTopic {
            name: "t".into(),
            partition_indexes: vec![PartitionIndex(0), PartitionIndex(1)],
        }],
        ..Default::default()
    };
    let answer = broker.connection.ask(&WriteTxnMarkersRequest { markers: vec![marker] }, 1);
    let codes: Vec<ErrorCode> = answer.markers[0].topics[0]
        .partitions
        .iter()
        .map(|partition| partition.error_code)
        .collect();
    assert_eq!(codes[0], ErrorCode::NONE);
    assert_eq!(codes[1], ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(stable(&mut broker), 2);
}

/// A transactional batch would get in without anybody to end it.
#[test]
fn a_batch_in_a_transaction_needs_one() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let producer = init(&mut broker, 60_000);
    let options = BatchOptions {
        producer_id: producer.0,
        producer_epoch: producer.1,
        base_sequence: Sequence(0),
        is_transactional: true,
        ..Default::default()
    };
    let refused = broker.produce("t", batch_with(options, &[1]));
    assert_eq!(refused.error_code, ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    let stranger = (ProducerId(producer.0.0 + 1), producer.1);
    let refused = write(&mut broker, stranger, 0, 12);
    assert_eq!(refused, ErrorCode::INVALID_PRODUCER_ID_MAPPING);
    assert_eq!(stable(&mut broker), 0);
}

/// A batch that overtook the first would leave a gap; what older clients write may be what is left
/// of a longer history (fact I4).
#[test]
fn under_version_2_an_unknown_producer_begins_at_zero() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let producer = init(&mut broker, 60_000);
    assert_eq!(write(&mut broker, producer, 3, 12), ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(write(&mut broker, producer, 0, 12), ErrorCode::NONE);
    let producer = ended(&mut broker, producer, true);
    broker.create("other", &[]);
    let options = BatchOptions {
        producer_id: producer.0,
        producer_epoch: producer.1,
        base_sequence: Sequence(3),
        is_transactional: true,
        ..Default::default()
    };
    assert_eq!(add_to(&mut broker, "other", producer), ErrorCode::NONE);
    let mut request = produce_request("other", batch_with(options, &[1]), -1);
    request.transactional_id = Some(ID.into());
    let answer = broker.connection.ask(&request, 11);
    assert_eq!(answer.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
}

/// A producer that was fenced would take the code for one that is fatal, where Kafka tells it to
/// abort.
#[test]
fn offsets_under_an_old_epoch_are_refused_as_such() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let first = init(&mut broker, 60_000);
    init(&mut broker, 60_000);
    for version in [2, 4, 5] {
        let request = TxnOffsetCommitRequest {
            transactional_id: ID.into(),
            group_id: "g".into(),
            producer_id: first.0,
            producer_epoch: first.1,
            topics: vec![TxnOffsetCommitRequestTopic {
                name: "t".into(),
                partitions: vec![TxnOffsetCommitRequestPartition::default()],
            }],
            ..Default::default()
        };
        let answer = broker.connection.ask(&request, version);
        let code = answer.topics[0].partitions[0].error_code;
        assert_eq!(code, ErrorCode::INVALID_PRODUCER_EPOCH, "version {version}");
    }
}

/// A pattern that is none would look like one that nothing matches, as long as there is no
/// transaction at all.
#[test]
fn a_filter_is_checked_before_there_is_a_coordinator() {
    let mut broker = Broker::start(&[]);
    let request = ListTransactionsRequest {
        transactional_id_pattern: Some("(".into()),
        ..Default::default()
    };
    let listed = broker.connection.ask(&request, 2);
    assert_eq!(listed.error_code, ErrorCode::INVALID_REGULAR_EXPRESSION);
    let state_filters = vec!["Sideways".into()];
    let request = ListTransactionsRequest { state_filters, ..Default::default() };
    let listed = broker.connection.ask(&request, 2);
    assert_eq!(listed.unknown_state_filters, ["Sideways"]);
}
