//! One client that goes away at the wrong moment, or asks for too much, against a real process: the
//! others must not notice.

mod process;

use milena_protocol::api::incremental_alter_configs::{
    IncrementalAlterConfigsConfig, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResource,
};
use milena_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::NodeId;
use process::broker::{Broker, batch, create, fetch_request, produce_request, until};

/// The kind of a group in requests about configurations.
const GROUP: i8 = 32;
/// What a string may have at most.
const LONGEST_NAME: usize = 32_767;

/// A sync belonged to the client that began it: when that one went away, nobody was acknowledged
/// any more.
#[test]
fn a_client_that_leaves_during_its_sync_holds_up_nobody() {
    let mut broker = Broker::start(&[]);
    broker.create("durable", &[("flush.messages", "1")]);
    for _ in 0..50 {
        for _ in 0..3 {
            let mut connection = broker.process.connect();
            connection.send(&produce_request("durable", batch(&[1]), -1), 9);
        }
        let answer = broker.produce("durable", batch(&[2]));
        assert!(answer.error_code.is_none(), "{answer:?}");
    }
    // What they wrote is seen as well.
    until("everything is visible", || broker.list("durable", -1).offset.0 == 200);
}

fn group_config(name: String) -> IncrementalAlterConfigsResource {
    IncrementalAlterConfigsResource {
        resource_type: GROUP,
        resource_name: name.into(),
        configs: vec![IncrementalAlterConfigsConfig {
            name: "consumer.session.timeout.ms".into(),
            config_operation: 0,
            value: Some("50000".into()),
        }],
    }
}

/// One request ended the broker: its records were larger than a segment.
#[test]
fn a_change_of_metadata_that_is_too_large_is_refused() {
    let mut broker = Broker::start(&[]);
    let named = |index: usize| group_config(format!("{index:0width$}", width = LONGEST_NAME));
    let request = IncrementalAlterConfigsRequest {
        resources: (0..400).map(named).collect(),
        validate_only: false,
    };
    let answer = broker.connection.ask(&request, 1);
    let codes: Vec<ErrorCode> =
        answer.responses.iter().map(|response| response.error_code).collect();
    assert_eq!(codes, [ErrorCode::INVALID_REQUEST; 400]);
    assert!(broker.create("after", &[]).is_none());
}

/// A name in compact form could be as long as the request.
#[test]
fn a_name_that_no_log_could_hold_is_no_request() {
    let broker = Broker::start(&[]);
    let mut connection = broker.process.connect();
    let resources = vec![group_config("x".repeat(LONGEST_NAME + 1))];
    connection.send(&IncrementalAlterConfigsRequest { resources, validate_only: false }, 1);
    assert!(connection.frame().is_none());
    assert!(create(&mut broker.process.connect(), "after", 1, &[]).is_none());
}

/// A small request would get an answer of any size.
#[test]
fn what_is_named_twice_is_answered_once() {
    let mut broker = Broker::start(&[]);
    broker.create("topic", &[]);
    let named = |name: &str| MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
    let topics = Some(vec![named("topic"), named("missing"), named("topic"), named("missing")]);
    let request = MetadataRequest { topics, ..Default::default() };
    let answer = broker.connection.ask(&request, 9);
    let names: Vec<&str> =
        answer.topics.iter().map(|topic| topic.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["topic", "missing"]);
}

/// A consumer at the end of a topic would wait on when the topic is gone.
#[test]
fn a_long_poll_is_told_that_its_topic_is_gone() {
    let mut broker = Broker::start(&[]);
    broker.create("topic", &[]);
    let mut consumer = broker.process.connect();
    consumer.send(&fetch_request("topic", 0, 600_000), 12);
    assert!(consumer.is_silent());
    broker.delete_topic("topic");
    let answer = consumer.receive::<milena_protocol::api::fetch::FetchRequest>(12);
    let code = answer.responses[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

/// A replica id that nobody has would end the connection's task.
#[test]
fn an_unknown_kind_of_replica_is_refused() {
    let mut broker = Broker::start(&[]);
    let mut request = fetch_request("topic", 0, 0);
    request.replica_id = NodeId(-3);
    assert_eq!(broker.connection.ask(&request, 12).error_code, ErrorCode::INVALID_REQUEST);
}

/// Groups would find a topic of the wrong shape.
#[test]
fn asking_for_the_groups_topic_makes_it_as_groups_need_it() {
    let mut broker = Broker::start(&["offsets.topic.num.partitions=7"]);
    let named =
        MetadataRequestTopic { name: Some("__consumer_offsets".into()), ..Default::default() };
    let request = MetadataRequest {
        topics: Some(vec![named.clone(), named]),
        allow_auto_topic_creation: true,
        ..Default::default()
    };
    let answer = broker.connection.ask(&request, 9);
    assert_eq!((answer.topics[0].partitions.len(), answer.topics[0].is_internal), (7, true));
}
