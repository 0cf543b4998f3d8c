//! What HTTP says to requests that make no sense: one form, the right status, and the broker goes
//! on serving.

mod process;
mod rest_client;

use std::io::Write;

use rest_client::{Answer, Rest};
use serde_json::{Value, json};

fn check(answer: &Answer, status: u16, error_code: u32, what: &str) {
    let body = answer.json();
    assert_eq!(
        (answer.status, &body["error_code"]),
        (status, &json!(error_code)),
        "{what}: {body}"
    );
    let fields: Vec<&str> = body.as_object().expect(what).keys().map(String::as_str).collect();
    assert_eq!(fields, ["error_code", "message"], "{what}");
    assert!(body["message"].as_str().is_some_and(|message| message.len() > 5), "{what}: {body}");
    let kind = answer.header("content-type").unwrap_or("");
    assert!(kind.starts_with("application/json"), "{what}: {kind}");
}

/// A client that reads Confluent's form of an error would find something else.
#[test]
fn errors_have_one_form() {
    let rest = Rest::start();
    rest.create("t", 1);
    let config = "/topics/t/configs/retention.ms";
    let grow = r#"{"partitions_count":1}"#;
    let replicated = r#"{"topic_name":"u","replication_factor":3}"#;
    let moved = r#"{"replicas":[1]}"#;
    let cases = [
        ("GET", "/no/such/thing".to_owned(), "", 404, 404),
        ("GET", "/kafka/v3/no".to_owned(), "", 404, 404),
        ("GET", rest.at("/consumer-groups/none"), "", 404, 404),
        ("GET", rest.at("/consumer-groups/none/lags?isolation_level=all"), "", 400, 400),
        ("GET", "/v3/clusters/other".to_owned(), "", 404, 404),
        ("GET", "/v3/clusters/other/topics/t".to_owned(), "", 404, 404),
        ("GET", rest.at("/brokers/99"), "", 404, 404),
        ("GET", rest.at("/brokers/first"), "", 404, 404),
        ("GET", rest.at("/brokers/99/configs"), "", 404, 404),
        ("GET", rest.at("/brokers/99/partition-replicas"), "", 404, 404),
        ("DELETE", rest.at("/brokers/99"), "", 404, 404),
        ("DELETE", rest.at("/brokers/1"), "", 400, 400),
        ("POST", rest.at("/quorum/voters:add"), "{}", 400, 400),
        ("POST", rest.at("/quorum/voters:add"), r#"{"node_id":9}"#, 404, 404),
        ("POST", rest.at("/quorum/voters:add"), r#"{"node_id":9,"address":"9"}"#, 400, 400),
        ("POST", rest.at("/quorum/voters:remove"), r#"{"node_id":9}"#, 404, 404),
        ("POST", rest.at("/quorum/voters:remove"), r#"{"node_id":1}"#, 400, 400),
        ("GET", rest.at("/topics/-/partitions?state=lost"), "", 400, 400),
        ("GET", rest.at("/topics/t/partitions?status=offline"), "", 400, 400),
        ("PUT", rest.at("/topics/t/partitions/0/reassignment"), r#"{"replicas":[9]}"#, 400, 40002),
        ("PUT", rest.at("/topics/t/partitions/0/reassignment"), r#"{"replicas":[]}"#, 400, 40002),
        ("PUT", rest.at("/topics/t/partitions/9/reassignment"), moved, 404, 40403),
        ("DELETE", rest.at("/topics/t/partitions/0/reassignment"), "", 404, 404),
        ("GET", rest.at("/topics/none"), "", 404, 40403),
        ("GET", rest.at("/topics/none/configs"), "", 404, 40403),
        ("GET", rest.at("/topics/none/partitions"), "", 404, 40403),
        ("GET", rest.at("/topics/t/partitions/1"), "", 404, 40402),
        ("GET", rest.at("/topics/t/partitions/-1"), "", 404, 40402),
        ("GET", rest.at("/topics/t/partitions/9/records"), "", 404, 40402),
        ("GET", rest.at("/topics/t/partitions/9/records:stream"), "", 404, 40402),
        ("GET", rest.at("/topics/t/partitions/0/records:stream?offset=9"), "", 400, 40002),
        ("GET", rest.at("/topics/t/partitions/0/records?limit=-1"), "", 400, 400),
        ("GET", rest.at("/topics/t/partitions/0/records?start=1"), "", 400, 400),
        ("GET", rest.at("/topics/t/partitions/0/records?offset=1"), "", 400, 40002),
        ("GET", rest.at("/topics/t/partitions/0/offset?offset_type=latest"), "", 400, 400),
        ("GET", rest.at("/topics/t/partitions/0/replicas/9"), "", 404, 404),
        ("GET", rest.at("/topics/t/partitions/0/reassignment"), "", 404, 404),
        ("GET", rest.at("/topics/t/configs/none"), "", 404, 404),
        ("GET", rest.at("/topics/a%20b"), "", 400, 40002),
        ("GET", rest.at("/topics/%ff"), "", 404, 404),
        ("GET", rest.at("/acls"), "", 400, 40002),
        ("POST", rest.at("/acls"), "{}", 400, 40002),
        ("POST", rest.at("/topics"), "", 400, 400),
        ("POST", rest.at("/topics"), "{", 400, 400),
        ("POST", rest.at("/topics"), "{}", 400, 400),
        ("POST", rest.at("/topics"), "[]", 400, 400),
        ("POST", rest.at("/topics"), r#"{"topic_name":1}"#, 400, 400),
        ("POST", rest.at("/topics"), r#"{"topic_name":"u","partition_count":1}"#, 400, 400),
        ("POST", rest.at("/topics"), r#"{"topic_name":"t"}"#, 400, 40002),
        ("POST", rest.at("/topics"), r#"{"topic_name":"a b"}"#, 400, 40002),
        ("POST", rest.at("/topics"), replicated, 400, 40002),
        ("PATCH", rest.at("/topics/t"), grow, 400, 40002),
        ("DELETE", rest.at("/topics/none"), "", 404, 40403),
        ("PUT", rest.at(config), "{}", 400, 40002),
        ("PUT", rest.at(config), r#"{"value":"soon"}"#, 400, 40002),
        ("PUT", rest.at(config), r#"{"value":1}"#, 400, 400),
        ("PUT", rest.at("/topics/t/configs/none"), r#"{"value":"1"}"#, 404, 404),
        ("PUT", rest.at("/broker-configs/none"), r#"{"value":"1"}"#, 400, 40002),
        ("DELETE", rest.at("/topics/t/configs/none"), "", 404, 404),
        ("POST", rest.at("/topics/none/records"), "{}", 404, 40403),
        ("POST", rest.at("/topics/t/records"), "", 422, 422),
        ("POST", rest.at("/topics/t/records:batch"), r#"{"entries":[]}"#, 422, 422),
    ];
    for (method, path, body, status, error_code) in cases {
        let what = format!("{method} {path} {body}");
        check(&rest.call(method, &path, body), status, error_code, &what);
    }
}

/// A client could not find out what a resource is for.
#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let rest = Rest::start();
    let answer = rest.call("PUT", &rest.at("/topics"), "{}");
    check(&answer, 405, 405, "PUT topics");
    assert_eq!(answer.header("allow"), Some("GET,HEAD,POST"));
    let answer = rest.call("POST", "/kafka/v3/clusters", "{}");
    check(&answer, 405, 405, "POST clusters");
    assert_eq!(answer.header("allow"), Some("GET,HEAD"));
    check(&rest.call("DELETE", "/metrics", ""), 405, 405, "DELETE metrics");
}

/// A web page could have a browser write here without asking: plain text needs no permission.
#[test]
fn only_json_is_read() {
    let rest = Rest::start();
    rest.create("t", 1);
    let send = |path: &str, kind: &str| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{kind}\
             Content-Length: 2\r\n\r\n{{}}"
        );
        rest.raw(head.as_bytes())
    };
    for path in ["/topics", "/topics/t/records", "/topics/t/records:batch"] {
        let path = rest.at(path);
        check(&send(&path, "Content-Type: text/plain\r\n"), 415, 415, "text");
        check(
            &send(&path, "Content-Type: application/x-www-form-urlencoded\r\n"),
            415,
            415,
            "form",
        );
        check(&send(&path, ""), 415, 415, "nothing");
        let answer = send(&path, "Content-Type: application/json; charset=utf-8\r\n");
        assert_ne!(answer.status, 415, "{path}");
    }
}

/// A name that somebody else's page points at this machine would be answered.
#[test]
fn foreign_hosts_are_refused() {
    let rest = Rest::start();
    let send = |target: &str, host: &str| {
        let head = format!("GET {target} HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
        rest.raw(head.as_bytes())
    };
    for host in ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.x:1"] {
        let answer = send("/v3/clusters", &format!("Host: {host}\r\n"));
        check(&answer, 421, 42101, host);
    }
    let absolute = send("http://evil.example/v3/clusters", "Host: localhost\r\n");
    check(&absolute, 421, 42101, "an absolute target");
    for host in ["localhost", "LOCALHOST:9644", "127.0.0.1", "[::1]:9644", "10.0.0.1:1"] {
        assert_eq!(send("/v3/clusters", &format!("Host: {host}\r\n")).status, 200, "{host}");
    }
}

/// One request could fill the memory, or one slow one could block the others.
#[test]
fn bodies_are_bounded() {
    let rest = Rest::start();
    rest.create("t", 1);
    let large = |bytes: usize| format!("{{\"topic_name\":\"{}\"}}", "x".repeat(bytes));
    check(&rest.call("POST", &rest.at("/topics"), &large(2 << 20)), 413, 413, "a large body");
    let entries = format!("{{\"entries\":[{}\"\"]}}", " ".repeat(17 << 20));
    let answer = rest.call("POST", &rest.at("/topics/t/records:batch"), &entries);
    check(&answer, 413, 413, "a large batch");
    // Announced and never sent: nothing is kept for it, and the next request is served.
    let mut announced = rest.connect();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: 900000000000\r\n\r\n{{",
        rest.at("/topics")
    );
    announced.write_all(head.as_bytes()).unwrap();
    assert_eq!(rest.get("/v3/clusters").0, 200);
}

/// A connection with bytes that are no HTTP would take the broker with it.
#[test]
fn nonsense_is_survived() {
    let rest = Rest::start();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    check(&rest.call("POST", &rest.at("/topics"), &deep), 400, 400, "deep nesting");
    let nested = format!(r#"{{"value":{{"type":"JSON","data":{deep}}}}}"#);
    rest.create("t", 1);
    let answer = rest.call("POST", &rest.at("/topics/t/records"), &nested);
    assert_eq!(answer.status, 200);
    let mut garbage = rest.connect();
    garbage.write_all(b"\x00\x00\x00\x10\xff\xff\xff\xff garbage \r\n\r\n").unwrap();
    let torn = rest.at("/topics");
    let mut half = rest.connect();
    half.write_all(format!("POST {torn} HTTP/1.1\r\nHost: localhost\r\n").as_bytes()).unwrap();
    drop(half);
    let long = format!("/{}", "x".repeat(60_000));
    assert!(rest.call("GET", &long, "").status >= 400);
    assert_eq!(rest.get("/healthz"), (200, json!({ "status": "alive" })));
    let (_, page) = rest.get(&rest.at("/topics/t/partitions/0/records"));
    assert_ne!(page["data"], Value::Null);
}
