//! Groups over HTTP, in Confluent's shapes.

mod group_client;
mod process;
mod rest_client;

use group_client::{NO_DELAY, commit, commit_as_nobody, join_classic, join_consumers};
use process::broker::{batch, now_ms, produce};
use rest_client::Rest;
use serde_json::{Value, json};

/// What is at a path below the cluster, of which there must be something.
fn found(rest: &Rest, path: &str) -> Value {
    let (status, found) = rest.get(&rest.at(path));
    assert_eq!(status, 200, "{path}: {found}");
    found
}

/// Takes out what Confluent's form does not have.
fn without(mut found: Value, ours: &str) -> Value {
    assert!(found.as_object_mut().expect("an object").remove(ours).is_some(), "{ours}");
    found
}

/// Tools that know Confluent's API would not find what they look for. The expected answers are the
/// examples of its OpenAPI document, with the names and numbers of this test.
#[test]
fn a_classic_group_has_the_shapes_of_confluent() {
    let rest = Rest::start_with(&[NO_DELAY]);
    rest.create("topic-1", 2);
    let mut connection = rest.process.connect();
    produce(&mut connection, "topic-1", batch(&[now_ms(); 10]), -1);
    let consumer = join_classic(&mut connection, "group-1", "instance-1", ("topic-1", 2));
    commit(&mut connection, "group-1", ("topic-1", 0, 1), (&consumer, 1));
    let url = |path: &str| format!("http://{}{}", rest.address, rest.at(path));
    let metadata = |path: &str, name: &str| {
        let resource_name = format!("crn:///kafka={}{name}", rest.cluster);
        json!({ "self": url(path), "resource_name": resource_name })
    };
    let list = |path: &str| json!({ "self": url(path), "next": null });

    let group = json!({
        "kind": "KafkaConsumerGroup",
        "metadata": metadata("/consumer-groups/group-1", "/consumer-group=group-1"),
        "cluster_id": rest.cluster,
        "consumer_group_id": "group-1",
        "is_simple": false,
        "partition_assignor": "range",
        "state": "STABLE",
        "type": "CLASSIC",
        "is_mixed_consumer_group": false,
        "coordinator": { "related": url("/brokers/1") },
        "consumers": { "related": url("/consumer-groups/group-1/consumers") },
        "lag_summary": { "related": url("/consumer-groups/group-1/lag-summary") },
    });
    assert_eq!(found(&rest, "/consumer-groups/group-1"), group);
    assert_eq!(
        found(&rest, "/consumer-groups"),
        json!({
            "kind": "KafkaConsumerGroupList",
            "metadata": list("/consumer-groups"),
            "data": [group],
        })
    );

    let path = format!("/consumer-groups/group-1/consumers/{consumer}");
    let name = format!("/consumer-group=group-1/consumer={consumer}");
    let member = json!({
        "kind": "KafkaConsumer",
        "metadata": metadata(&path, &name),
        "cluster_id": rest.cluster,
        "consumer_group_id": "group-1",
        "consumer_id": consumer,
        "instance_id": "instance-1",
        "client_id": "test",
        "assignments": { "related": url(&format!("{path}/assignments")) },
    });
    assert_eq!(found(&rest, &path), member);
    let consumers = found(&rest, "/consumer-groups/group-1/consumers");
    assert_eq!(
        (&consumers["kind"], &consumers["data"]),
        (&json!("KafkaConsumerList"), &json!([member]))
    );

    let partition = "topic-1/partitions/1";
    let assignment = json!({
        "kind": "KafkaConsumerAssignment",
        "metadata": metadata(
            &format!("{path}/assignments/{partition}"),
            &format!("{name}/assignment=topic-1/partition=1"),
        ),
        "cluster_id": rest.cluster,
        "consumer_group_id": "group-1",
        "consumer_id": consumer,
        "topic_name": "topic-1",
        "partition_id": 1,
        "partition": { "related": url(&format!("/topics/{partition}")) },
        "lag": { "related": url(&format!("/consumer-groups/group-1/lags/{partition}")) },
    });
    assert_eq!(found(&rest, &format!("{path}/assignments/{partition}")), assignment);
    let assignments = found(&rest, &format!("{path}/assignments"));
    assert_eq!(assignments["kind"], "KafkaConsumerAssignmentList");
    assert_eq!(assignments["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(assignments["data"][1], assignment);

    let path = "/consumer-groups/group-1/lags/topic-1/partitions/0";
    let lag = json!({
        "kind": "KafkaConsumerLag",
        "metadata": metadata(path, "/consumer-group=group-1/lag=topic-1/partition=0"),
        "cluster_id": rest.cluster,
        "consumer_group_id": "group-1",
        "topic_name": "topic-1",
        "partition_id": 0,
        "consumer_id": consumer,
        "instance_id": "instance-1",
        "client_id": "test",
        "current_offset": 1,
        "log_end_offset": 10,
        "lag": 9,
    });
    assert_eq!(without(found(&rest, path), "lag_seconds"), lag);
    let mut lags = found(&rest, "/consumer-groups/group-1/lags");
    assert_eq!(
        (&lags["kind"], &lags["metadata"]),
        (&json!("KafkaConsumerLagList"), &list("/consumer-groups/group-1/lags"))
    );
    assert_eq!(without(lags["data"][0].take(), "lag_seconds"), lag);

    let path = "/consumer-groups/group-1/lag-summary";
    let summary = json!({
        "kind": "KafkaConsumerGroupLagSummary",
        "metadata": metadata(path, "/consumer-group=group-1/lag-summary"),
        "cluster_id": rest.cluster,
        "consumer_group_id": "group-1",
        "max_lag_consumer_id": consumer,
        "max_lag_instance_id": "instance-1",
        "max_lag_client_id": "test",
        "max_lag_topic_name": "topic-1",
        "max_lag_partition_id": 0,
        "max_lag": 9,
        "total_lag": 9,
        "max_lag_consumer": {
            "related": url(&format!("/consumer-groups/group-1/consumers/{consumer}")),
        },
        "max_lag_partition": { "related": url("/topics/topic-1/partitions/0") },
    });
    assert_eq!(without(found(&rest, path), "max_lag_seconds"), summary);
}

/// Groups of the new protocol, and those that only keep offsets, would not be seen, or be taken for
/// something else; odd names would lead nowhere.
#[test]
fn groups_of_all_kinds_are_shown() {
    let rest = Rest::start_with(&[NO_DELAY]);
    rest.create("t", 1);
    assert_eq!(found(&rest, "/consumer-groups")["data"], json!([]));
    let mut connection = rest.process.connect();
    join_consumers(&mut connection, "new", "member", "t");
    commit_as_nobody(&mut connection, "a b/ü", ("t", 0, 0));
    let groups = found(&rest, "/consumer-groups");
    let told: Vec<Value> = groups["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|group| {
            json!([
                group["consumer_group_id"],
                group["type"],
                group["state"],
                group["is_simple"],
                group["partition_assignor"]
            ])
        })
        .collect();
    assert_eq!(
        told,
        [
            json!(["a b/ü", "CLASSIC", "EMPTY", true, ""]),
            json!(["new", "CONSUMER", "STABLE", false, "uniform"]),
        ]
    );
    let path = "/consumer-groups/new/consumers/member/assignments/t/partitions/0";
    assert_eq!(found(&rest, path)["kind"], "KafkaConsumerAssignment");
    let odd = groups["data"][0]["metadata"]["self"].as_str().expect("an address");
    let odd = odd.strip_prefix(&format!("http://{}", rest.address)).expect("our address");
    assert_eq!(rest.get(odd), (200, groups["data"][0].clone()));
    assert_eq!(rest.get(&format!("{odd}/consumers")).1["data"], json!([]));
    let summary = rest.get(&format!("{odd}/lag-summary")).1;
    assert_eq!((&summary["max_lag_consumer_id"], &summary["total_lag"]), (&json!(""), &json!(0)));
}

/// A client would take an error for an empty group, or look for another one's error code.
#[test]
fn what_is_not_there_is_404() {
    let rest = Rest::start_with(&[NO_DELAY]);
    rest.create("t", 1);
    let paths = [
        "",
        "/consumers",
        "/consumers/none",
        "/consumers/none/assignments",
        "/consumers/none/assignments/t/partitions/0",
        "/lag-summary",
        "/lags",
        "/lags/t/partitions/0",
    ];
    let check = |path: String| {
        let (status, failure) = rest.get(&rest.at(&path));
        assert_eq!((status, &failure["error_code"]), (404, &json!(404)), "{path}: {failure}");
    };
    // First without the topic that groups are kept in, then with it.
    for _ in 0..2 {
        paths.iter().for_each(|path| check(format!("/consumer-groups/none{path}")));
        join_consumers(&mut rest.process.connect(), "group", "member", "t");
    }
    // It has committed nothing, has no other member, and that one reads nothing else.
    for path in &paths[2..] {
        check(format!("/consumer-groups/group{path}"));
    }
    check("/consumer-groups/group/consumers/member/assignments/t/partitions/1".to_owned());
}
