//! What can be set on a running broker takes effect without a restart, and survives one.

mod process;

use milena_protocol::api::api_versions::ApiVersionsRequest;
use milena_protocol::api::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use milena_protocol::api::incremental_alter_configs::{
    IncrementalAlterConfigsConfig, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResource,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::Offset;
use process::broker::{BROKER, Broker, TOPIC, batch, large, now_ms, until};

impl Broker {
    fn unset(&mut self, kind: i8, name: &str, key: &str) -> ErrorCode {
        let request = IncrementalAlterConfigsRequest {
            resources: vec![IncrementalAlterConfigsResource {
                resource_type: kind,
                resource_name: name.into(),
                configs: vec![IncrementalAlterConfigsConfig {
                    name: key.into(),
                    config_operation: 1,
                    value: None,
                }],
            }],
            validate_only: false,
        };
        self.connection.ask(&request, 1).responses[0].error_code
    }
}

/// Tools would show no id where the broker chose its own.
#[test]
fn a_generated_node_id_is_shown() {
    let mut broker = Broker::start(&[]);
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: BROKER,
            resource_name: "1".into(),
            configuration_keys: Some(vec!["node.id".into()]),
        }],
        ..Default::default()
    };
    let response = broker.connection.ask(&request, 4);
    let shown = &response.results[0].configs[0];
    // The source is the broker's own, static configuration.
    assert_eq!((shown.value.as_deref(), shown.config_source), (Some("1"), 4));
}

/// An administrator's limit would hold after the next restart, or be forgotten by it.
#[test]
fn the_largest_batch_follows_topic_broker_and_cluster() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let batch = large(5000);
    let is_taken = |broker: &mut Broker| broker.produce("t", batch.clone()).error_code.is_none();
    assert!(is_taken(&mut broker));
    assert!(broker.alter(BROKER, "", &[("message.max.bytes", "1000")]).is_none());
    assert!(!is_taken(&mut broker));
    // The broker's own value goes before the cluster's, the topic's before both.
    assert!(broker.alter(BROKER, "1", &[("message.max.bytes", "100000")]).is_none());
    assert!(is_taken(&mut broker));
    assert!(broker.alter(TOPIC, "t", &[("max.message.bytes", "1000")]).is_none());
    assert!(!is_taken(&mut broker));
    assert!(broker.unset(TOPIC, "t", "max.message.bytes").is_none());
    assert!(is_taken(&mut broker));
    assert!(broker.unset(BROKER, "1", "message.max.bytes").is_none());
    let mut broker = broker.restart(&[]);
    assert!(!is_taken(&mut broker));
    assert!(broker.unset(BROKER, "", "message.max.bytes").is_none());
    assert!(is_taken(&mut broker));
}

/// A disk that fills up could not be relieved without a restart.
#[test]
fn retention_follows_the_broker() {
    let mut broker = Broker::start(&["log.retention.check.interval.ms=20"]);
    broker.create("t", &[]);
    broker.produce("t", batch(&[now_ms() - 3_600_000]));
    assert_eq!(broker.list("t", -2).offset, Offset(0));
    assert!(broker.alter(BROKER, "", &[("log.retention.ms", "60000")]).is_none());
    until("the old record to go", || broker.list("t", -2).offset == Offset(1));
}

/// A topic's clock, codec and bounds could not be set for all topics.
#[test]
fn topics_inherit_what_the_broker_is_given() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let set = [("log.message.timestamp.type", "LogAppendTime"), ("compression.type", "gzip")];
    assert!(broker.alter(BROKER, "", &set).is_none());
    let began = now_ms();
    assert!(broker.produce("t", batch(&[1])).log_append_time_ms.0 >= began);
    let records = process::broker::records_of(&broker.fetch("t", 0));
    let (stored, _) = milena_protocol::record::Batch::parse(&records).unwrap();
    let gzip = milena_protocol::record::Compression::Gzip;
    assert_eq!(stored.attributes().codec(), Some(gzip));
}

/// A broker would refuse what it can do, or take what it cannot.
#[test]
fn what_is_wrong_or_fixed_at_start_is_refused() {
    let mut broker = Broker::start(&[]);
    let wrong = [
        ("message.max.bytes", "-5"),
        ("message.max.bytes", "many"),
        ("log.cleanup.policy", "shred"),
        ("compression.type", "rar"),
        ("socket.request.max.bytes", "1000"),
        ("node.id", "7"),
    ];
    for (key, value) in wrong {
        let code = broker.alter(BROKER, "1", &[(key, value)]);
        assert!(!code.is_none(), "{key}={value}");
    }
}

/// A limit on connections would need a restart, which closes all of them.
#[test]
fn the_limit_of_connections_follows_the_broker() {
    let mut broker = Broker::start(&[]);
    assert!(broker.alter(BROKER, "", &[("max.connections", "2")]).is_none());
    let mut second = broker.process.connect();
    assert!(second.ask(&ApiVersionsRequest::default(), 0).error_code.is_none());
    // The third waits for one of the others to close, and is served then.
    let mut third = broker.process.connect();
    third.send(&ApiVersionsRequest::default(), 0);
    assert!(third.is_silent());
    drop(second);
    assert!(third.receive::<ApiVersionsRequest>(0).error_code.is_none());
    // Or for the limit to be raised.
    let mut fourth = broker.process.connect();
    fourth.send(&ApiVersionsRequest::default(), 0);
    assert!(fourth.is_silent());
    assert!(broker.alter(BROKER, "", &[("max.connections", "10")]).is_none());
    assert!(fourth.receive::<ApiVersionsRequest>(0).error_code.is_none());
}

/// One machine could take all connections.
#[test]
fn the_limit_of_one_address_follows_the_broker() {
    let mut broker = Broker::start(&["max.connections.per.ip=2"]);
    let mut second = broker.process.connect();
    assert!(second.ask(&ApiVersionsRequest::default(), 0).error_code.is_none());
    assert_eq!(broker.process.connect().frame(), None);
    assert!(broker.alter(BROKER, "", &[("max.connections.per.ip", "3")]).is_none());
    let mut third = broker.process.connect();
    assert!(third.ask(&ApiVersionsRequest::default(), 0).error_code.is_none());
    assert_eq!(broker.process.connect().frame(), None);
}
