//! The REST resources of a real broker process, over a bare socket.

mod process;
mod rest_client;

use std::io::{BufRead, BufReader, Write};

use rest_client::Rest;
use serde_json::json;

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
    assert_eq!(rest.call("DELETE", &rest.at("/topics/orders"), "").status, 204);
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
    let reports = rest.call("POST", &rest.at("/topics/t/records"), &two);
    let offsets: Vec<_> = reports.lines().iter().map(|line| line["offset"].clone()).collect();
    assert_eq!((reports.status, offsets), (200, vec![json!(1), json!(2)]));
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
    let mut stream = rest.connect();
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
    let metrics = rest.call("GET", "/metrics", "");
    assert_eq!(metrics.status, 200);
    for name in ["kafka_server_brokertopicmetrics_messagesin_total", "activecontrollercount"] {
        assert!(metrics.body.contains(name), "{name} is missing");
    }
    let kafka = format!("kafka_broker_info{{id=\"1\",address=\"{}\"}} 1", rest.process.address);
    assert!(metrics.body.contains(&kafka), "{kafka} is missing: {}", metrics.body);
    let foreign = "GET /v3/clusters HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(rest.raw(foreign.as_bytes()).status, 421);
}
