//! Groups that are moved and forgotten over HTTP.

mod group_client;
mod process;
mod rest_client;

use group_client::{NO_DELAY, commit_as_nobody, join_classic, join_consumers};
use process::broker::{batch, now_ms, produce};
use rest_client::Rest;
use serde_json::{Value, json};

const HOUR_MS: i64 = 3_600_000;
const ALTER: &str = "/consumer-groups/g/offsets:alter";

/// Where a group is in the partitions of `t`, in their order.
fn committed(rest: &Rest) -> Vec<Value> {
    let (_, lags) = rest.get(&rest.at("/consumer-groups/g/lags"));
    let mut lags = lags["data"].as_array().cloned().unwrap_or_default();
    lags.sort_by_key(|lag| lag["partition_id"].as_i64());
    lags.iter().map(|lag| lag["current_offset"].clone()).collect()
}

fn alter(rest: &Rest, body: &Value) -> (u16, Value) {
    rest.json("POST", &rest.at(ALTER), &body.to_string())
}

/// A group would go on somewhere else than its operator said.
#[test]
fn a_group_goes_on_where_it_is_told() {
    let rest = Rest::start();
    rest.create("t", 2);
    let mut connection = rest.process.connect();
    let now = now_ms();
    for hours in [5, 4, 3, 2, 1] {
        produce(&mut connection, "t", batch(&[now - hours * HOUR_MS]), -1);
    }
    let long_ago = "1970-01-01T00:00:00Z";
    for (to, partition_0, partition_1) in [
        (json!({ "type": "LATEST" }), 5, 0),
        (json!({ "type": "SHIFT", "offsets": -2 }), 3, 0),
        (json!({ "type": "SHIFT", "offsets": 1 }), 4, 0),
        (json!({ "type": "SHIFT", "offsets": 100 }), 5, 0),
        (json!({ "type": "EARLIEST" }), 0, 0),
        (json!({ "type": "OFFSET", "offset": 2 }), 2, 0),
        (json!({ "type": "OFFSET", "offset": 99 }), 5, 0),
        (json!({ "type": "TIMESTAMP", "timestamp": long_ago }), 0, 0),
        (json!({ "type": "TIMESTAMP", "timestamp": "2999-01-01T00:00:00Z" }), 5, 0),
        (json!({ "type": "DURATION", "duration_ms": HOUR_MS * 5 / 2 }), 3, 0),
        (json!({ "type": "DURATION", "duration_ms": 0 }), 5, 0),
    ] {
        let body = json!({ "topic_name": "t", "to": to });
        let (status, altered) = alter(&rest, &body);
        assert_eq!((status, &altered["kind"]), (200, &json!("KafkaConsumerGroupOffsetList")));
        let told: Vec<_> = altered["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| one["current_offset"].clone())
            .collect();
        assert_eq!(told, [json!(partition_0), json!(partition_1)], "{to}");
        assert_eq!(committed(&rest), told, "{to}");
    }
    let body = json!({
        "topic_name": "t", "partition_id": 0, "to": { "type": "EARLIEST" }, "validate_only": true,
    });
    let (status, imagined) = alter(&rest, &body);
    let offsets =
        ["previous_offset", "current_offset"].map(|name| imagined["data"][0][name].clone());
    assert_eq!((status, offsets), (200, [json!(5), json!(0)]));
    assert_eq!(committed(&rest), [json!(5), json!(0)], "nothing was to be changed");
}

/// A script would move a group by what is no place, or not learn what was wrong.
#[test]
fn places_that_make_no_sense_are_refused() {
    let rest = Rest::start();
    rest.create("t", 1);
    let earliest = json!({ "type": "EARLIEST" });
    let cases = [
        (json!({}), 400, 400),
        (json!({ "topic_name": "t" }), 400, 400),
        (json!({ "topic_name": "t", "to": "EARLIEST" }), 400, 400),
        (json!({ "topic_name": "t", "to": { "type": "MIDDLE" } }), 400, 400),
        (json!({ "topic_name": "t", "to": { "type": "OFFSET" } }), 400, 400),
        (json!({ "topic_name": "t", "to": { "type": "OFFSET", "offset": -1 } }), 400, 400),
        (json!({ "topic_name": "t", "to": { "type": "LATEST", "offset": 1 } }), 400, 400),
        (json!({ "topic_name": "t", "to": { "type": "DURATION", "duration_ms": -1 } }), 400, 400),
        (
            json!({ "topic_name": "t", "to": { "type": "TIMESTAMP", "timestamp": "soon" } }),
            400,
            400,
        ),
        (json!({ "topic_name": "t", "to": { "type": "SHIFT", "offsets": 1 } }), 400, 40002),
        (json!({ "topic_name": "t", "partition_id": 1, "to": earliest }), 404, 40402),
        (json!({ "topic_name": "none", "to": earliest }), 404, 40403),
    ];
    for (body, status, error_code) in cases {
        let (found, failure) = alter(&rest, &body);
        assert_eq!((found, &failure["error_code"]), (status, &json!(error_code)), "{body}");
    }
    assert_eq!(rest.get(&rest.at("/consumer-groups/g")).0, 404, "no group came of it");
    let dry = json!({ "topic_name": "t", "to": earliest, "validate_only": true });
    assert_eq!(alter(&rest, &dry).0, 200);
    let (_, topics) = rest.get(&rest.at("/topics"));
    assert_eq!(topics["data"].as_array().map(Vec::len), Some(1), "nor a topic to keep it in");
}

/// A group that is read by somebody would be moved or forgotten under his hands.
#[test]
fn a_group_with_members_stays_as_it_is() {
    let rest = Rest::start_with(&[NO_DELAY]);
    rest.create("t", 1);
    let mut connection = rest.process.connect();
    join_classic(&mut connection, "classic", "instance", ("t", 1));
    join_consumers(&mut connection, "consumer", "member", "t");
    for group in ["classic", "consumer"] {
        let at = |path: &str| rest.at(&format!("/consumer-groups/{group}{path}"));
        for validate_only in [true, false] {
            let to = json!({ "type": "EARLIEST" });
            let body = json!({ "topic_name": "t", "to": to, "validate_only": validate_only });
            let (status, failure) = rest.json("POST", &at("/offsets:alter"), &body.to_string());
            assert_eq!((status, &failure["error_code"]), (400, &json!(40002)), "{group}");
            let message = failure["message"].as_str().expect("a message");
            assert!(message.contains("has members"), "{message}");
        }
        let (status, failure) = rest.json("DELETE", &at(""), "");
        assert_eq!((status, &failure["error_code"]), (400, &json!(40002)), "{group}");
        assert_eq!(rest.get(&at("")).0, 200);
    }
}

/// What was forgotten would still count, or more would be forgotten than was said.
#[test]
fn offsets_and_groups_are_forgotten() {
    let rest = Rest::start();
    rest.create("t", 3);
    rest.create("u", 1);
    let mut connection = rest.process.connect();
    for place in [("t", 0, 0), ("t", 1, 0), ("t", 2, 0), ("u", 0, 0)] {
        commit_as_nobody(&mut connection, "g", place);
    }
    let left = || {
        let (_, lags) = rest.get(&rest.at("/consumer-groups/g/lags"));
        lags["data"].as_array().map_or(0, Vec::len)
    };
    let delete = |path: &str| rest.call("DELETE", &rest.at(path), "").status;
    assert_eq!(delete("/consumer-groups/g/offsets/t/partitions/1"), 204);
    assert_eq!(left(), 3);
    assert_eq!(delete("/consumer-groups/g/offsets/t/partitions/1"), 404);
    assert_eq!(delete("/consumer-groups/g/offsets/t"), 204);
    assert_eq!(left(), 1);
    assert_eq!(delete("/consumer-groups/g/offsets/t"), 404);
    assert_eq!(delete("/consumer-groups/g"), 204);
    assert_eq!(rest.get(&rest.at("/consumer-groups/g")).0, 404);
    assert_eq!(delete("/consumer-groups/g"), 404);
    assert_eq!(delete("/consumer-groups/g/offsets/u"), 404);
}
