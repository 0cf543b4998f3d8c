//! The REST resources of a real broker process, over a bare socket.

mod process;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use process::Process;
use serde_json::{Value, json};

struct Rest {
    _directory: tempfile::TempDir,
    _process: Process,
    address: String,
    cluster: String,
}

impl Rest {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let process = Process::start(directory.path(), &["http.listeners=http://127.0.0.1:0"]);
        let address = process.http.clone().expect("the screen names the HTTP address");
        let mut rest =
            Self { _directory: directory, _process: process, address, cluster: String::new() };
        let (status, clusters) = rest.get("/v3/clusters");
        assert_eq!(status, 200);
        rest.cluster = clusters["data"][0]["cluster_id"].as_str().unwrap().to_owned();
        rest
    }

    fn call(&self, method: &str, path: &str, host: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap();
        (status, body)
    }

    fn json(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.call(method, path, &self.address, body);
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    fn get(&self, path: &str) -> (u16, Value) {
        self.json("GET", path, "")
    }

    fn at(&self, path: &str) -> String {
        format!("/v3/clusters/{}{path}", self.cluster)
    }
}

/// An operator's scripts would not find topics where Confluent's REST has them.
#[test]
fn topics_are_made_described_grown_and_deleted() {
    let rest = Rest::start();
    let new = json!({
        "topic_name": "orders", "partitions_count": 2,
        "configs": [{ "name": "retention.ms", "value": "1000" }],
    });
    let (status, made) = rest.json("POST", &rest.at("/topics"), &new.to_string());
    assert_eq!((status, &made["kind"]), (201, &json!("KafkaTopic")), "{made}");
    assert_eq!(made["partitions_count"], 2);
    let (status, again) = rest.json("POST", &rest.at("/topics"), &new.to_string());
    assert_eq!((status, &again["error_code"]), (400, &json!(40002)));
    let (_, list) = rest.get(&rest.at("/topics"));
    assert_eq!(list["kind"], "KafkaTopicList");
    assert_eq!(list["data"][0]["topic_name"], "orders");
    let (_, config) = rest.get(&rest.at("/topics/orders/configs/retention.ms"));
    assert_eq!(config["value"], "1000");
    assert_eq!(config["source"], "DYNAMIC_TOPIC_CONFIG");
    let alter = json!({ "data": [{ "name": "retention.ms", "operation": "DELETE" }] });
    let path = rest.at("/topics/orders/configs:alter");
    assert_eq!(rest.json("POST", &path, &alter.to_string()).0, 204);
    let (_, config) = rest.get(&rest.at("/topics/orders/configs/retention.ms"));
    assert_eq!(config["is_default"], true);
    let (status, grown) =
        rest.json("PATCH", &rest.at("/topics/orders"), r#"{"partitions_count":5}"#);
    assert_eq!((status, &grown["partitions_count"]), (200, &json!(5)));
    let (_, partitions) = rest.get(&rest.at("/topics/orders/partitions"));
    assert_eq!(partitions["data"].as_array().map(Vec::len), Some(5));
    assert_eq!(rest.call("DELETE", &rest.at("/topics/orders"), &rest.address, "").0, 204);
    let (status, gone) = rest.get(&rest.at("/topics/orders"));
    assert_eq!((status, &gone["error_code"]), (404, &json!(40403)));
}

/// Records would go in over HTTP and not come out as they were.
#[test]
fn records_go_in_and_come_out() {
    let rest = Rest::start();
    rest.json("POST", &rest.at("/topics"), r#"{"topic_name":"t"}"#);
    let record = json!({
        "key": { "type": "STRING", "data": "k" },
        "value": { "type": "JSON", "data": { "n": 1 } },
        "headers": [{ "name": "h", "value": "aGVhZGVy" }],
    });
    let (status, report) = rest.json("POST", &rest.at("/topics/t/records"), &record.to_string());
    assert_eq!((status, &report["offset"]), (200, &json!(0)), "{report}");
    let two = format!("{record}{record}");
    let (status, reports) = rest.call("POST", &rest.at("/topics/t/records"), &rest.address, &two);
    assert_eq!((status, reports.matches("\"error_code\":200").count()), (200, 2), "{reports}");
    let path = rest.at("/topics/t/partitions/0/records?offset=1&limit=1");
    let (_, page) = rest.get(&path);
    assert_eq!(page["data"][0]["offset"], 1);
    assert_eq!(page["data"][0]["value"]["data"]["n"], 1);
    assert_eq!(page["data"][0]["headers"][0]["value"], "aGVhZGVy");
    assert_eq!(page["next_offset"], 2);
    let (status, _) = rest.get(&rest.at("/topics/t/partitions/0/records?offset=99"));
    assert_eq!(status, 400);
    let (status, _) = rest.json("POST", &rest.at("/topics/none/records"), &record.to_string());
    assert_eq!(status, 404);
}

/// A live view would miss records, or begin in the wrong place after a reconnect.
#[test]
fn a_stream_goes_on_behind_the_last_event() {
    let rest = Rest::start();
    rest.json("POST", &rest.at("/topics"), r#"{"topic_name":"t"}"#);
    for _ in 0..3 {
        let record = r#"{"value":{"type":"STRING","data":"v"}}"#;
        assert_eq!(rest.json("POST", &rest.at("/topics/t/records"), record).0, 200);
    }
    let mut stream = TcpStream::connect(&rest.address).unwrap();
    let path = rest.at("/topics/t/partitions/0/records:stream");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 0\r\n\r\n").unwrap();
    let ids: Vec<String> = BufReader::new(stream)
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("id: ").map(str::to_owned))
        .take(2)
        .collect();
    assert_eq!(ids, ["1", "2"]);
}

/// Dashboards and probes would see nothing; a page in a browser could drive the broker.
#[test]
fn health_metrics_and_foreign_hosts() {
    let rest = Rest::start();
    assert_eq!(rest.get("/healthz").0, 200);
    assert_eq!(rest.get("/readyz").0, 200);
    let (status, metrics) = rest.call("GET", "/metrics", &rest.address, "");
    assert_eq!(status, 200);
    for name in ["kafka_server_brokertopicmetrics_messagesin_total", "activecontrollercount"] {
        assert!(metrics.contains(name), "{name} is missing");
    }
    assert_eq!(rest.call("GET", "/v3/clusters", "evil.example", "").0, 421);
    assert_eq!(rest.get("/v3/clusters/other").1["error_code"], 40401);
    assert_eq!(rest.get("/no/such/thing").0, 404);
}
