//! `/openapi.json` against what is served, against the rules of OpenAPI 3.1, and against the page
//! that people read.

mod process;
mod rest_client;

use std::collections::{BTreeMap, BTreeSet};

use rest_client::Rest;
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
