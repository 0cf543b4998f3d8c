//! Records over HTTP: batches, streams, and what becomes of each record in them.

mod process;
mod rest_client;

use std::io::{BufRead, BufReader, Read, Write};

use rest_client::{Answer, Rest};
use serde_json::{Value, json};

fn codes(lines: &[Value]) -> Vec<u64> {
    lines.iter().map(|line| line["error_code"].as_u64().expect("a code")).collect()
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

fn chunked_head(path: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
}

/// One bad record would take its neighbours with it, or be taken for a good one.
#[test]
fn every_record_has_a_report_of_its_own() {
    let rest = Rest::start();
    rest.create("t", 1);
    let cases = [
        (r#"{"value":{"type":"STRING","data":"good"}}"#, 200),
        (r#"{"value":{"type":"STRING","data":5}}"#, 400),
        (r#"{"value":{"type":"BINARY","data":"%"}}"#, 400),
        (r#"{"value":{"type":"XML","data":"x"}}"#, 400),
        (r#"{"value":{"type":"AVRO","data":"x","schema":"{}"}}"#, 422),
        (r#"{"value":{"data":"x"}}"#, 422),
        (r#"{"records":[]}"#, 400),
        (r#"{"partition_id":-1}"#, 40402),
        (r#"{"partition_id":1}"#, 40402),
        (r#"{"timestamp":"yesterday"}"#, 400),
        (r#"{"timestamp":1612552482000}"#, 400),
        (r#"{"headers":[{"name":"h","value":"%"}]}"#, 400),
        (r#"{"key":null,"value":{"type":"JSON","data":null},"headers":null}"#, 200),
        ("{}", 200),
    ];
    let body: String = cases.iter().map(|(record, _)| format!("{record}\n")).collect();
    let answer = rest.call("POST", &rest.at("/topics/t/records"), &body);
    assert_eq!(answer.status, 200);
    let lines = answer.lines();
    let expected: Vec<u64> = cases.iter().map(|(_, code)| *code).collect();
    assert_eq!(codes(&lines), expected, "{lines:#?}");
    let (_, offsets) = rest.get(&rest.at("/topics/t/partitions/0/offset"));
    assert_eq!(offsets["latest_offset"], 3);
}

/// What comes after something that is no JSON would be cut in the wrong place.
#[test]
fn a_stream_ends_where_it_is_no_json() {
    let rest = Rest::start();
    rest.create("t", 1);
    let send = |body: &str| {
        let answer = rest.call("POST", &rest.at("/topics/t/records"), body);
        (answer.status, codes(&answer.lines()))
    };
    assert_eq!(send("{} [1] {}"), (200, vec![200, 400]));
    assert_eq!(send(r#"{} {"key": tru} {}"#), (200, vec![200, 400]));
    assert_eq!(send(r#"{} {"key": "#), (200, vec![200, 400]));
}

/// Records would be stored as others than were sent.
#[test]
fn records_come_out_as_they_went_in() {
    let rest = Rest::start();
    rest.create("t", 1);
    let sent = r#"{"key":{"type":"BINARY","data":"AP8="},
        "value":{"type":"JSON","data":{"z":1.50,"a":[12345678901234567890123]}},
        "headers":[{"name":"h","value":"AA=="},{"name":"h"},{"name":"h","value":""}],
        "timestamp":"2021-02-05T20:14:42.123+01:00"}"#;
    let lines = rest.call("POST", &rest.at("/topics/t/records"), sent).lines();
    let report = &lines[0];
    assert_eq!(report["timestamp"], "2021-02-05T19:14:42.123Z");
    assert_eq!(report["key"], json!({ "type": "BINARY", "size": 2 }));
    assert_eq!(report["value"], json!({ "type": "JSON", "size": 40 }));
    let page = rest.call("GET", &rest.at("/topics/t/partitions/0/records"), "");
    let stored = r#""data":{"z":1.50,"a":[12345678901234567890123]}"#;
    assert!(page.body.contains(stored), "{}", page.body);
    let record = &page.json()["data"][0];
    assert_eq!(record["timestamp"], report["timestamp"]);
    assert_eq!(record["key"], json!({ "type": "BINARY", "data": "AP8=" }));
    let headers = json!([
        { "name": "h", "value": "AA==" },
        { "name": "h", "value": null },
        { "name": "h", "value": "" },
    ]);
    assert_eq!(record["headers"], headers);
    // What was read can be sent.
    let again = json!({
        "key": record["key"], "value": { "type": "STRING", "data": "v" },
        "headers": record["headers"], "timestamp": record["timestamp"],
    });
    let lines = rest.call("POST", &rest.at("/topics/t/records"), &again.to_string()).lines();
    assert_eq!(codes(&lines), [200]);
}

/// Records of a key would be scattered, or all others would lie in one partition.
#[test]
fn keys_decide_and_the_rest_goes_round() {
    let rest = Rest::start();
    rest.create("t", 3);
    let keyed = r#"{"key":{"type":"STRING","data":"test"}}"#.repeat(3);
    let partitions = |body: &str| -> Vec<i64> {
        let lines = rest.call("POST", &rest.at("/topics/t/records"), body).lines();
        lines.iter().map(|line| line["partition_id"].as_i64().expect("a partition")).collect()
    };
    // Java's default partitioner: murmur2("test") is 716234879.
    assert_eq!(partitions(&keyed), [716_234_879 % 3; 3]);
    let mut round = partitions(&"{}".repeat(3));
    round.sort_unstable();
    assert_eq!(round, [0, 1, 2]);
    assert_eq!(partitions(r#"{"partition_id":2}"#), [2]);
}

/// A client that streams would get no report before its stream ends, and could never go on with
/// what a report says.
#[test]
fn a_stream_is_answered_while_it_comes() {
    let rest = Rest::start();
    rest.create("t", 1);
    let mut stream = rest.connect();
    stream.write_all(chunked_head(&rest.at("/topics/t/records")).as_bytes()).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let mut report = || loop {
        let mut line = String::new();
        assert!(answers.read_line(&mut line).unwrap() > 0, "the stream ended");
        if line.starts_with('{') {
            break serde_json::from_str::<Value>(&line).unwrap();
        }
    };
    for offset in 0..3 {
        // A record in two pieces, the second with the first half of the next one.
        stream.write_all(&chunk(r#"{"value":{"type":"STR"#)).unwrap();
        stream.write_all(&chunk(r#"ING","data":"v"}}"#)).unwrap();
        assert_eq!(report()["offset"], offset);
    }
    stream.write_all(&chunk(r#"{}{"partition_id":7}{"#)).unwrap();
    assert_eq!(
        (report()["offset"].clone(), report()["error_code"].clone()),
        (3.into(), 40402.into())
    );
    stream.write_all(&chunk("}")).unwrap();
    assert_eq!(report()["offset"], 4);
    stream.write_all(b"0\r\n\r\n").unwrap();
    let mut rest_of_answer = String::new();
    answers.read_to_string(&mut rest_of_answer).unwrap();
    assert_eq!(rest_of_answer.trim(), "0");
}

/// A client that asks before it sends, as curl does, would wait a second for nothing.
#[test]
fn who_asks_before_it_sends_is_told_to_go_on() {
    let rest = Rest::start();
    rest.create("t", 1);
    let mut stream = rest.connect();
    let head = chunked_head(&rest.at("/topics/t/records"));
    let head = head.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut told = [0; 25];
    stream.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&chunk("{}")).unwrap();
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(codes(&Answer::read(stream).lines()), [200]);
}

/// A client that reads nothing until it has sent everything would wait for ever.
#[test]
fn a_body_of_known_length_is_read_whole() {
    let rest = Rest::start();
    rest.create("t", 1);
    let count = 30_000;
    let body = "{}".repeat(count);
    let answer = rest.call("POST", &rest.at("/topics/t/records"), &body);
    assert_eq!(answer.lines().len(), count);
    let (_, offsets) = rest.get(&rest.at("/topics/t/partitions/0/offset"));
    assert_eq!(offsets["latest_offset"], count);
}

/// Nobody could tell from the answer which entries of a batch are stored.
#[test]
fn a_batch_says_what_became_of_each_entry() {
    let rest = Rest::start_with(&["message.max.bytes=1000"]);
    rest.create("t", 1);
    let value = |data: &str| json!({ "type": "STRING", "data": data });
    let batch = json!({ "entries": [
        { "id": "first", "value": value("v"), "timestamp": "2021-02-05T19:14:42Z" },
        { "id": "no-partition", "partition_id": 7 },
        { "id": "large", "value": value(&"x".repeat(2000)) },
        { "id": "not_base64", "key": { "type": "BINARY", "data": "%" } },
        { "id": "0", "value": value("w") },
    ]});
    let path = rest.at("/topics/t/records:batch");
    let (status, report) = rest.json("POST", &path, &batch.to_string());
    assert_eq!(status, 207, "{report}");
    let success = &report["successes"][0];
    assert_eq!(success["id"], "first");
    assert_eq!((&success["offset"], &success["partition_id"]), (&json!(0), &json!(0)));
    assert_eq!(success["timestamp"], "2021-02-05T19:14:42Z");
    assert_eq!(success["error_code"], Value::Null);
    assert_eq!(report["successes"][1]["id"], "0");
    assert_eq!(report["successes"][1]["offset"], 1);
    let failures = report["failures"].as_array().expect("failures");
    let failed: Vec<_> =
        failures.iter().map(|entry| (entry["id"].as_str(), entry["error_code"].as_u64())).collect();
    let expected = [
        (Some("no-partition"), Some(40402)),
        (Some("large"), Some(413)),
        (Some("not_base64"), Some(400)),
    ];
    assert_eq!(failed, expected);
}

/// A batch whose reports cannot be told apart would be stored.
#[test]
fn a_batch_that_cannot_be_answered_is_refused_as_a_whole() {
    let rest = Rest::start();
    rest.create("t", 1);
    let many: Vec<Value> = (0..1001).map(|id| json!({ "id": id.to_string() })).collect();
    let cases = [
        (json!({ "entries": [] }), 422),
        (json!({ "entries": many }), 422),
        (json!({ "entries": [{ "id": "a" }, { "id": "a" }] }), 422),
        (json!({ "entries": [{ "id": 1 }] }), 422),
        (json!({ "entries": [{ "id": "" }] }), 422),
        (json!({ "entries": [{ "id": "a b" }] }), 422),
        (json!({ "entries": [{ "id": "x".repeat(81) }] }), 422),
        (json!({ "entries": [{}] }), 400),
        (json!({ "records": [] }), 400),
        (json!({}), 400),
    ];
    for (batch, code) in cases {
        let path = rest.at("/topics/t/records:batch");
        let (status, body) = rest.json("POST", &path, &batch.to_string());
        assert_eq!((status, &body["error_code"]), (code, &json!(code)), "{batch}");
    }
    let (_, offsets) = rest.get(&rest.at("/topics/t/partitions/0/offset"));
    assert_eq!(offsets["latest_offset"], 0);
}

/// Records on stable storage would be acknowledged before they are there, or one sync after the
/// other would be waited for.
#[test]
fn durable_batches_are_acknowledged() {
    let rest = Rest::start_with(&["log.flush.interval.messages=1"]);
    rest.create("t", 1);
    let entries: Vec<Value> = (0..100).map(|id| json!({ "id": id.to_string() })).collect();
    let batch = json!({ "entries": entries });
    let path = rest.at("/topics/t/records:batch");
    let (_, report) = rest.json("POST", &path, &batch.to_string());
    assert_eq!(report["successes"].as_array().map(Vec::len), Some(100), "{report}");
}

/// A watcher of a partition that goes away would wait for ever, or not be told why.
#[test]
fn a_watcher_is_told_when_there_is_nothing_to_watch() {
    let rest = Rest::start();
    rest.create("t", 1);
    let mut stream = rest.connect();
    let path = rest.at("/topics/t/partitions/0/records:stream");
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    assert_eq!(rest.call("DELETE", &rest.at("/topics/t"), "").status, 204);
    let mut events = String::new();
    stream.read_to_string(&mut events).unwrap();
    assert!(events.contains("event: error\ndata: {\"error_code\":40403"), "{events}");
}

/// A page of large records would be as large as all of them.
#[test]
fn pages_are_bounded() {
    let rest = Rest::start();
    rest.create("t", 1);
    let large = json!({ "value": { "type": "STRING", "data": "x".repeat(400_000) } }).to_string();
    let answer: Answer = rest.call("POST", &rest.at("/topics/t/records"), &large.repeat(6));
    assert_eq!(codes(&answer.lines()), [200; 6]);
    let mut path = rest.at("/topics/t/partitions/0/records");
    let mut seen = Vec::new();
    while seen.len() < 6 {
        let page = rest.call("GET", &path, "");
        assert!(page.body.len() < 2 << 20, "{}", page.body.len());
        let page = page.json();
        let data = page["data"].as_array().expect("records");
        assert!(!data.is_empty(), "a page without progress");
        seen.extend(data.iter().map(|record| record["offset"].as_i64().expect("an offset")));
        let next = page["metadata"]["next"].as_str().expect("a next page");
        path = next.strip_prefix(&format!("http://{}", rest.address)).unwrap().to_owned();
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
}
