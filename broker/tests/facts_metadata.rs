//! What Metadata says and does, against a real broker process over a bare socket.

mod process;

use milena_protocol::api::describe_cluster::DescribeClusterRequest;
use milena_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic, MetadataTopic};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, Uuid};
use process::Connection;
use process::broker::{Broker, until};

/// A client would not find its topics, or make one it did not ask for.
#[test]
fn metadata_names_topics_and_makes_them_on_request() {
    let mut broker = Broker::start(&[]);
    assert!(broker.create("one", &[]).is_none());
    let all = |topics| MetadataRequest { topics, ..Default::default() };
    let connection = &mut broker.connection;
    assert_eq!(connection.ask(&all(Some(vec![])), 0).topics.len(), 1);
    assert_eq!(connection.ask(&all(Some(vec![])), 1).topics.len(), 0);
    assert_eq!(connection.ask(&all(None), 12).topics.len(), 1);
    let named = |name: &str, create| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name: Some(name.into()), topic_id: Uuid::ZERO }]),
        allow_auto_topic_creation: create,
        ..Default::default()
    };
    let unknown = connection.ask(&named("two", false), 12);
    assert_eq!(unknown.topics[0].error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let made = connection.ask(&named("two", true), 12);
    assert!(made.topics[0].error_code.is_none());
    assert_eq!(made.topics[0].partitions[0].leader_id, made.brokers[0].node_id);
    let invalid = connection.ask(&named("no such/name", true), 12);
    assert_eq!(invalid.topics[0].error_code, ErrorCode::INVALID_TOPIC_EXCEPTION);
    let by_id = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name: None, topic_id: Uuid::from_u128(77777) }]),
        ..Default::default()
    };
    let unknown = connection.ask(&by_id, 12);
    assert_eq!(unknown.topics[0].error_code, ErrorCode::UNKNOWN_TOPIC_ID);
    // The Java client sends an empty name beside the id.
    let topic_id = made.topics[0].topic_id;
    let as_java = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name: Some("".into()), topic_id }]),
        allow_auto_topic_creation: true,
        ..Default::default()
    };
    let found = connection.ask(&as_java, 13);
    assert_eq!(found.topics[0].name.as_deref(), Some("two"));
    assert_eq!(connection.ask(&as_java, 11).topics[0].error_code, ErrorCode::INVALID_REQUEST);
}

fn named(name: &str, create: bool) -> MetadataRequest {
    MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name: Some(name.into()), topic_id: Uuid::ZERO }]),
        allow_auto_topic_creation: create,
        ..Default::default()
    }
}

fn topics(connection: &mut Connection) -> Vec<MetadataTopic> {
    connection.ask(&MetadataRequest::default(), 12).topics
}

/// An administrator's requests would go to a node that is not there.
#[test]
fn the_controller_named_is_a_live_broker() {
    let mut broker = Broker::start(&[]);
    for version in 1..=13 {
        let response = broker.connection.ask(&named("t", false), version);
        assert_ne!(response.controller_id, NodeId::NONE, "version {version}");
        let nodes: Vec<NodeId> = response.brokers.iter().map(|broker| broker.node_id).collect();
        assert!(nodes.contains(&response.controller_id), "version {version}");
    }
    let cluster = broker.connection.ask(&DescribeClusterRequest::default(), 1);
    assert!(cluster.brokers.iter().any(|broker| broker.broker_id == cluster.controller_id));
}

/// A client that may not create, or that only lists, would create; one that may would wait for
/// ever.
#[test]
fn topics_are_made_only_for_whoever_names_them_and_may() {
    let mut broker = Broker::start(&[]);
    let connection = &mut broker.connection;
    connection.ask(&MetadataRequest { topics: None, ..named("", true) }, 12);
    let by_id = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name: None, topic_id: Uuid::from_u128(7) }]),
        ..named("", true)
    };
    let answer = connection.ask(&by_id, 12);
    assert_eq!(answer.topics[0].error_code, ErrorCode::UNKNOWN_TOPIC_ID);
    assert_eq!(connection.ask(&named("may-not", false), 12).topics.len(), 1);
    assert!(topics(connection).is_empty());
    // The answer may already know the topic, or ask the client to come back, as Kafka's does.
    until("the topic that was named", || {
        let topic = connection.ask(&named("made", true), 12).topics[0].clone();
        assert!(matches!(topic.error_code.0, 0 | 3), "{topic:?}");
        topic.error_code.is_none() && topic.partitions.len() == 1
    });
    assert_eq!(topics(connection).len(), 1);
}

/// A broker that was told not to create would.
#[test]
fn topics_are_not_made_where_the_broker_may_not() {
    let mut broker = Broker::start(&["auto.create.topics.enable=false"]);
    let answer = broker.connection.ask(&named("t", true), 12);
    assert_eq!(answer.topics[0].error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert!(topics(&mut broker.connection).is_empty());
}

/// Whoever created a topic would not find it on the broker that confirmed it.
#[test]
fn what_was_created_is_there_for_the_next_request() {
    let mut broker = Broker::start(&[]);
    let mut other = broker.process.connect();
    for index in 0..10 {
        let name = format!("t{index}");
        assert!(broker.create(&name, &[]).is_none());
        let topic = other.ask(&named(&name, false), 12).topics[0].clone();
        assert!(topic.error_code.is_none() && topic.partitions[0].error_code.is_none());
        assert!(broker.delete_topic(&name).is_none());
        let topic = other.ask(&named(&name, false), 12).topics[0].clone();
        assert_eq!(topic.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
}
