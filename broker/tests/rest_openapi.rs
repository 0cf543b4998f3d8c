//! `/openapi.json` against what is served, against the rules of OpenAPI 3.1, and against the page
//! that people read.

mod process;
mod rest_client;

use std::collections::{BTreeMap, BTreeSet};

use rest_client::{Answer, Rest, schema};
use serde_json::Value;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// A method, a path and what the document says of it.
type Operation<'a> = (String, &'a str, &'a Value);

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let paths = document["paths"].as_object().expect("paths");
    let operation = |path, item: &'static str, found| (item.to_uppercase(), path, found);
    paths
        .iter()
        .flat_map(|(path, item)| {
            METHODS
                .into_iter()
                .filter_map(move |method| Some(operation(path.as_str(), method, item.get(method)?)))
        })
        .collect()
}

fn template_names(path: &str) -> BTreeSet<&str> {
    path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}

/// A generated client would call what is not there, or the document would not be read at all.
#[test]
fn the_document_keeps_the_rules_of_openapi() {
    let rest = Rest::start();
    let (status, document) = rest.get("/openapi.json");
    assert_eq!(status, 200);
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
    for field in ["title", "version"] {
        assert!(document["info"][field].is_string(), "info.{field}");
    }
    let mut ids = BTreeMap::new();
    for (method, path, operation) in operations(&document) {
        let at = format!("{method} {path}");
        assert!(path.starts_with('/'), "{at}");
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{at} has no id"));
        assert_eq!(ids.insert(id.to_owned(), at.clone()), None, "{id} twice");
        assert!(operation["summary"].is_string(), "{at} says nothing");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
        let mut declared = BTreeSet::new();
        for parameter in in_path {
            assert_eq!(parameter["required"], true, "{at}");
            declared.insert(parameter["name"].as_str().expect("a name"));
        }
        assert_eq!(declared, template_names(path), "{at}");
        for parameter in &parameters {
            assert!(parameter["schema"].is_object(), "{at}");
        }
        let responses = operation["responses"].as_object().expect("responses");
        assert!(!responses.is_empty(), "{at}");
        for (status, response) in responses {
            assert!(response["description"].is_string(), "{at} {status}");
        }
        let has_body = matches!(method.as_str(), "POST" | "PUT" | "PATCH");
        let refuses_all = path.contains("/acls");
        let describes_body = operation["requestBody"]["content"].is_object();
        assert_eq!(describes_body, has_body && !refuses_all, "{at}");
    }
    check_references(&document, &document);
}

fn check_references(document: &Value, value: &Value) {
    match value {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').expect("a local reference");
                assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
            }
            fields.values().for_each(|field| check_references(document, field));
        }
        Value::Array(items) => items.iter().for_each(|item| check_references(document, item)),
        _ => {}
    }
}

/// The document would name a route that is not served, here or below /kafka.
#[test]
fn what_is_documented_is_served() {
    let rest = Rest::start();
    let (_, document) = rest.get("/openapi.json");
    for (method, path, _) in operations(&document) {
        let concrete = path
            .replace("{cluster_id}", &rest.cluster)
            .replace("{topic_name}", "none")
            .replace("{partition_id}", "0")
            .replace("{broker_id}", "99")
            .replace("{consumer_group_id}", "none")
            .replace("{consumer_id}", "none")
            .replace("{name}", "none");
        let mut served = vec![concrete.clone()];
        if path.starts_with("/v3") {
            served.push(format!("/kafka{concrete}"));
        }
        for concrete in served {
            let answer = rest.call(&method, &concrete, "{}");
            assert_ne!(answer.status, 405, "{method} {path}");
            assert!(!answer.body.contains("there is nothing at"), "{method} {path}");
        }
    }
}

/// A generated client would not understand the answers, successes and errors alike.
#[test]
fn answers_are_as_documented() {
    let rest = Rest::start();
    rest.create("t", 2);
    let record = r#"{"key":{"type":"STRING","data":"k"},"value":{"type":"JSON","data":{"n":1}},
        "headers":[{"name":"h","value":"AA=="},{"name":"n"}],"partition_id":0}"#;
    let batch = format!(
        r#"{{"entries":[{{"id":"a"}},{{"id":"b","partition_id":9}},{{"id":"c",{}]}}"#,
        &record[1..]
    );
    let value = r#"{"value":"86400000"}"#;
    let alter = r#"{"data":[{"name":"retention.ms","value":"1"}]}"#;
    let bodies = [
        ("alterConsumerGroupOffsets", r#"{"topic_name":"t","to":{"type":"EARLIEST"}}"#),
        ("createTopic", r#"{"topic_name":"u"}"#),
        ("addVoter", r#"{"node_id":9}"#),
        ("removeVoter", r#"{"node_id":9}"#),
        ("alterReassignment", r#"{"replicas":[1]}"#),
        ("growTopic", r#"{"partitions_count":3}"#),
        ("produceRecord", record),
        ("produceRecordsBatch", batch.as_str()),
        ("updateTopicConfig", value),
        ("updateBrokerConfig", value),
        ("updateClusterConfig", value),
        ("alterTopicConfigs", alter),
    ];
    let (_, document) = rest.get("/openapi.json");
    let mut operations = operations(&document);
    // What there is to show is made first, and the topic goes last.
    let order = ["POST", "PUT", "PATCH", "GET", "DELETE"];
    operations.sort_by_key(|(method, ..)| order.iter().position(|other| other == method));
    for (method, path, operation) in operations {
        let id = operation["operationId"].as_str().expect("an id");
        if id == "watchRecords" {
            continue;
        }
        let body = bodies.iter().find(|(other, _)| *other == id).map(|(_, body)| body);
        if let Some(body) = body {
            check_body(&document, operation, body, id);
        }
        let body = body.unwrap_or(&"{}");
        for (topic, broker, config) in [("none", "9", "none"), ("t", "1", "log.retention.ms")] {
            let config =
                if path.contains("{topic_name}") && topic == "t" { "retention.ms" } else { config };
            let concrete = path
                .replace("{cluster_id}", &rest.cluster)
                .replace("{topic_name}", topic)
                .replace("{partition_id}", "0")
                .replace("{broker_id}", broker)
                .replace("{consumer_group_id}", &format!("{topic}-readers"))
                .replace("{consumer_id}", "none")
                .replace("{name}", config);
            let answer = rest.call(&method, &concrete, body);
            check_answer(&document, operation, &answer, &format!("{method} {concrete}"));
        }
    }
}

/// A body that is taken is as documented too.
fn check_body(document: &Value, operation: &Value, body: &str, what: &str) {
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{what}");
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(schema::faults(document, schema, &body), [""; 0], "{what}: {body}");
}

fn check_answer(document: &Value, operation: &Value, answer: &Answer, what: &str) {
    let exact = &operation["responses"][answer.status.to_string()];
    let range = &operation["responses"][format!("{}XX", answer.status / 100)];
    let response = if exact.is_null() { range } else { exact };
    assert!(response.is_object(), "{what}: {} is not documented", answer.status);
    let Some(contents) = response["content"].as_object() else {
        assert_eq!(answer.body, "", "{what}");
        return;
    };
    let kind = answer.header("content-type").expect("a type").split(';').next().unwrap_or("");
    let content = contents.get(kind).unwrap_or_else(|| panic!("{what}: {kind} is not documented"));
    if kind == "application/json" {
        let faults = schema::faults(document, &content["schema"], &answer.json());
        assert_eq!(faults, [""; 0], "{what}: {}", answer.body);
    }
}

/// A route could be served that the document does not know.
#[test]
fn what_is_served_is_documented() {
    let source = include_str!("../src/admin/routes.rs");
    let undocumented = [".route(", ".route_service(", ".nest_service(", ".fallback_service("];
    for call in undocumented {
        assert!(!source.contains(call), "{call} registers a route without documentation");
    }
}

/// The page would send a reader to routes that are not there, or keep some from him.
#[test]
fn the_page_lists_what_is_served() {
    let rest = Rest::start();
    let (_, document) = rest.get("/openapi.json");
    let served: BTreeSet<String> =
        operations(&document).iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    let page = include_str!("../../docs/rest.md");
    let listed: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split_once("` | "))
        .flat_map(|(path, rest)| {
            let methods = rest.split(" | ").next().unwrap_or("").split(", ");
            methods.map(move |method| format!("{method} {path}")).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(listed, served);
}
