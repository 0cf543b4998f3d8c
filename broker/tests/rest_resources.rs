//! Resources of the cluster over HTTP: brokers, partitions, replicas, configurations.

mod process;
mod rest_client;

use rest_client::Rest;
use serde_json::{Value, json};

fn kinds(list: &Value) -> Vec<&str> {
    let data = list["data"].as_array().expect("a list");
    data.iter().map(|item| item["kind"].as_str().expect("a kind")).collect()
}

/// A tool that follows links would end nowhere.
#[test]
fn links_lead_to_what_they_say() {
    let rest = Rest::start();
    rest.create("t", 2);
    let (_, cluster) = rest.get(&rest.at(""));
    assert_eq!(cluster["kind"], "KafkaCluster");
    assert_eq!(cluster["metadata"]["resource_name"], format!("crn:///kafka={}", rest.cluster));
    let follow = |link: &Value| {
        let url = link["related"].as_str().expect("a link");
        let path = url.strip_prefix(&format!("http://{}", rest.address)).expect("our address");
        let (status, found) = rest.get(path);
        assert_eq!(status, 200, "{url}");
        assert_eq!(found["metadata"]["self"], url);
        found
    };
    let (_, controller) = (0, follow(&cluster["controller"]));
    assert_eq!(controller["kind"], "KafkaBroker");
    let lists = [
        ("brokers", "KafkaBrokerList"),
        ("broker_configs", "KafkaClusterConfigList"),
        ("consumer_groups", "KafkaConsumerGroupList"),
        ("topics", "KafkaTopicList"),
        ("partition_reassignments", "KafkaReassignmentList"),
        ("quorum", "KafkaQuorum"),
    ];
    for (field, kind) in lists {
        assert_eq!(follow(&cluster[field])["kind"], kind);
    }
    let broker = follow(&cluster["brokers"])["data"][0].clone();
    let port: u16 = rest.process.address.rsplit_once(':').unwrap().1.parse().unwrap();
    assert_eq!((&broker["host"], &broker["port"]), (&json!("127.0.0.1"), &json!(port)));
    assert_eq!(follow(&broker["configs"])["kind"], "KafkaBrokerConfigList");
    assert_eq!(kinds(&follow(&broker["partition_replicas"])), ["KafkaReplica"; 2]);
    let topic = follow(&cluster["topics"])["data"][0].clone();
    assert_eq!(follow(&topic["configs"])["kind"], "KafkaTopicConfigList");
    assert_eq!(follow(&topic["partition_reassignments"])["data"], json!([]));
    let partition = follow(&topic["partitions"])["data"][1].clone();
    assert_eq!(partition["partition_id"], 1);
    let leader = follow(&partition["leader"]);
    assert_eq!((&leader["is_leader"], &leader["is_in_sync"]), (&json!(true), &json!(true)));
    assert_eq!(follow(&leader["broker"]), controller);
    assert_eq!(follow(&partition["replicas"])["data"], json!([leader]));
}

/// A proxy in front would hand out addresses that only the broker can reach, and clients that know
/// the cloud's paths would leave them.
#[test]
fn links_stay_where_the_caller_is() {
    let rest = Rest::start();
    let path = format!("/kafka/v3/clusters/{}/topics", rest.cluster);
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost:1234\r\nConnection: close\r\n\r\n");
    let list = rest.raw(head.as_bytes()).json();
    assert_eq!(list["metadata"]["self"], format!("http://localhost:1234{path}"));
}

/// A dry run would make a topic, or a real one would say where it is not.
#[test]
fn topics_are_imagined_and_made() {
    let rest = Rest::start();
    let dry = r#"{"topic_name":"t","partitions_count":3,"validate_only":true}"#;
    let (status, imagined) = rest.json("POST", &rest.at("/topics"), dry);
    assert_eq!((status, &imagined["partitions_count"]), (200, &json!(3)));
    assert_eq!(rest.get(&rest.at("/topics")).1["data"], json!([]));
    let new = r#"{"topic_name":"t","replicas_assignments":{"0":[1],"1":[1]}}"#;
    let made = rest.call("POST", &rest.at("/topics"), new);
    assert_eq!(made.status, 201, "{}", made.body);
    let location = made.header("location").expect("a location");
    assert_eq!(made.json()["metadata"]["self"], location);
    assert_eq!(made.json()["partitions_count"], 2);
    let (_, topic) = rest.get(&rest.at("/topics/t"));
    assert_eq!(topic["authorized_operations"], json!([]));
    let (_, topic) = rest.get(&rest.at("/topics/t?include_authorized_operations=true"));
    let operations = topic["authorized_operations"].as_array().expect("operations");
    assert!(operations.contains(&json!("WRITE")), "{topic}");
    let dry = r#"{"partitions_count":5,"validate_only":true}"#;
    assert_eq!(rest.json("PATCH", &rest.at("/topics/t"), dry).0, 200);
    assert_eq!(rest.get(&rest.at("/topics/t")).1["partitions_count"], 2);
}

/// Whoever looks after a cluster would see who is there, and not how they are.
#[test]
fn a_node_alone_is_told_to_be_well() {
    let rest = Rest::start();
    rest.create("t", 1);
    let healthy = json!({ "healthy": true, "findings": [], "reassignments": 0 });
    assert_eq!(rest.get(&rest.at("/health")), (200, healthy));
    let (_, broker) = rest.get(&rest.at("/brokers/1"));
    let told = |name: &str| broker[name].clone();
    assert_eq!([told("leaders_count"), told("replicas_count")], [json!(1), json!(1)]);
    let flags = ["is_controller", "is_fenced", "is_in_controlled_shutdown"].map(told);
    assert_eq!(flags, [json!(true), json!(false), json!(false)]);
    assert_eq!(broker["endpoints"][0]["port"], broker["port"]);
    assert!(broker["broker_epoch"].as_i64().is_some_and(|epoch| epoch >= 0), "{broker}");
    let (_, quorum) = rest.get(&rest.at("/quorum"));
    assert_eq!((&quorum["leader_id"], &quorum["observers"]), (&json!(1), &json!([])));
    let (_, partition) = rest.get(&rest.at("/topics/t/partitions/0"));
    let told = ["assigned_replicas", "in_sync_replicas", "offline_replicas"];
    let told = told.map(|name| partition[name].clone());
    assert_eq!(told, [json!([1]), json!([1]), json!([])]);
    assert_eq!(partition["is_at_min_isr"], true, "of one replica one is needed: {partition}");
    let in_state = |state: &str| {
        let (_, list) = rest.get(&rest.at(&format!("/topics/-/partitions?state={state}")));
        list["data"].as_array().expect("a list").len()
    };
    let states = ["offline", "under-replicated", "under-min-isr", "at-min-isr", "reassigning"];
    assert_eq!(states.map(in_state), [0, 0, 0, 1, 0]);
}

/// Lag could not be reckoned from offsets over HTTP.
#[test]
fn offsets_are_told() {
    let rest = Rest::start();
    rest.create("t", 1);
    let record = r#"{"value":{"type":"STRING","data":"v"}}"#.repeat(3);
    rest.call("POST", &rest.at("/topics/t/records"), &record);
    let (_, offsets) = rest.get(&rest.at("/topics/t/partitions/0/offset"));
    assert_eq!(offsets["kind"], "KafkaPartitionWithOffsets");
    assert_eq!((&offsets["earliest_offset"], &offsets["latest_offset"]), (&json!(0), &json!(3)));
}

/// Configurations would be changed for others than those named, or not come back.
#[test]
fn configurations_belong_to_a_topic_a_broker_or_all() {
    let rest = Rest::start();
    rest.create("t", 1);
    let all = "/broker-configs";
    let cases = [
        ("/topics/t/configs", "retention.ms", "KafkaTopicConfig", "DYNAMIC_TOPIC_CONFIG"),
        ("/brokers/1/configs", "log.retention.ms", "KafkaBrokerConfig", "DYNAMIC_BROKER_CONFIG"),
        (all, "log.retention.ms", "KafkaClusterConfig", "DYNAMIC_DEFAULT_BROKER_CONFIG"),
    ];
    for (path, name, kind, source) in cases {
        let at = rest.at(&format!("{path}/{name}"));
        let set = rest.call("PUT", &at, r#"{"value":"86400000"}"#);
        assert_eq!(set.status, 204, "{}", set.body);
        let (_, config) = rest.get(&at);
        assert_eq!((&config["kind"], &config["source"]), (&json!(kind), &json!(source)));
        assert_eq!((&config["value"], &config["is_default"]), (&json!("86400000"), &json!(false)));
        assert_eq!(config["synonyms"][0]["source"], source);
        let (_, list) = rest.get(&rest.at(path));
        assert_eq!(list["kind"], format!("{kind}List"));
        assert!(list["data"].as_array().expect("a list").contains(&config), "{path}");
        assert_eq!(rest.call("DELETE", &at, "").status, 204);
        let (status, config) = rest.get(&at);
        // All brokers have only what somebody set.
        let expected = if path == all { (404, &Value::Null) } else { (200, &json!(true)) };
        assert_eq!((status, &config["is_default"]), expected, "{path}");
    }
}

/// A tool that looks through all configurations would miss some, or find them torn.
#[test]
fn configurations_of_all_are_listed() {
    let rest = Rest::start();
    assert_eq!(rest.get(&rest.at("/topics/-/configs")).1["data"], json!([]));
    rest.create("t", 1);
    rest.create("u", 1);
    let (_, all_topics) = rest.get(&rest.at("/topics/-/configs"));
    assert_eq!(all_topics["kind"], "KafkaTopicConfigList");
    let data = all_topics["data"].as_array().expect("a list");
    let (_, of_u) = rest.get(&rest.at("/topics/u/configs"));
    assert_eq!(data[data.len() / 2..], *of_u["data"].as_array().expect("a list"));
    let (_, all_brokers) = rest.get(&rest.at("/brokers/-/configs"));
    assert_eq!(all_brokers["data"][0]["broker_id"], 1);
}

/// Half of a change could be made, or a trial one.
#[test]
fn alterations_are_made_together_or_not_at_all() {
    let rest = Rest::start();
    rest.create("t", 1);
    let alter = |changes: &Value| {
        let path = rest.at("/topics/t/configs:alter");
        rest.call("POST", &path, &changes.to_string()).status
    };
    let value = |name: &str| {
        let (_, config) = rest.get(&rest.at(&format!("/topics/t/configs/{name}")));
        config["value"].as_str().map(str::to_owned)
    };
    let retention = value("retention.ms");
    let set = json!({ "name": "retention.ms", "value": "1000" });
    let bad = json!({ "name": "segment.bytes", "value": "many" });
    assert_eq!(alter(&json!({ "data": [set, bad] })), 400);
    assert_eq!(alter(&json!({ "data": [set], "validate_only": true })), 204);
    assert_eq!(value("retention.ms"), retention);
    let append = json!({ "name": "cleanup.policy", "value": "compact", "operation": "APPEND" });
    assert_eq!(alter(&json!({ "data": [set, append] })), 204);
    assert_eq!(value("retention.ms").as_deref(), Some("1000"));
    assert_eq!(value("cleanup.policy").as_deref(), Some("delete,compact"));
    let back = json!({ "name": "retention.ms", "operation": "DELETE", "value": null });
    assert_eq!(alter(&json!({ "data": [back] })), 204);
    assert_eq!(value("retention.ms"), retention);
    for path in ["/brokers/1/configs:alter", "/broker-configs:alter"] {
        let changes = json!({ "data": [{ "name": "log.retention.ms", "value": "5000" }] });
        assert_eq!(rest.call("POST", &rest.at(path), &changes.to_string()).status, 204, "{path}");
    }
}

/// A dialogue for a new topic would offer the overrides of an old one as defaults.
#[test]
fn defaults_are_those_of_a_new_topic() {
    let rest = Rest::start();
    rest.create("t", 1);
    let default = |topic: &str| {
        let (status, list) = rest.get(&rest.at(&format!("/topics/{topic}/default-configs")));
        assert_eq!(status, 200, "{list}");
        let data = list["data"].as_array().expect("a list").clone();
        let found = data.into_iter().find(|config| config["name"] == "retention.ms");
        found.expect("every topic has it")["value"].clone()
    };
    let before = default("t");
    rest.call("PUT", &rest.at("/topics/t/configs/retention.ms"), r#"{"value":"1000"}"#);
    assert_eq!(default("t"), before);
    assert_eq!(default("not-yet-there"), before);
    assert_eq!(rest.get(&rest.at("/topics/not-yet-there")).0, 404);
}
