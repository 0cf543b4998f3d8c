//! Bytes that Kafka 4.3.1 itself wrote, for every message and version.
//!
//! To make them again, with Kafka's jars on the class path, from the workspace's root:
//!
//! ```text
//! cargo run -p milena-protocol --example sample_messages |
//!     java -cp "$JARS" protocol/tests/golden/Generate.java protocol/tests/golden
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use milena_protocol::message::Shape;
use milena_protocol::metadata_record::MetadataRecord;
use milena_protocol::{api, consumer_protocol, control_record, coordinator_record};

fn shapes() -> BTreeMap<&'static str, Shape> {
    let apis = api::ALL.iter().flat_map(|api| [api.request, api.response]);
    apis.chain(MetadataRecord::ALL.iter().map(|record| record.1))
        .chain(control_record::ALL.iter().copied())
        .chain(consumer_protocol::ALL.iter().copied())
        .chain(coordinator_record::ALL.iter().copied())
        .chain([Shape::of::<api::envelope::DefaultPrincipalData>()])
        .map(|shape| (shape.name(), shape))
        .collect()
}

fn unhex(hex: &str) -> Bytes {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

/// Kafka's clients would not understand us, or its own logs would not be read.
#[test]
fn what_kafka_wrote_is_read_and_written_the_same() {
    let shapes = shapes();
    let mut samples: BTreeMap<&str, i16> = BTreeMap::new();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [name, version, kind, hex] = words[..] else { panic!("{path:?}: {line}") };
            let (version, bytes) = (version.parse().unwrap(), unhex(hex));
            let shape = &shapes[name];
            let written = shape.recode(bytes.clone(), version);
            assert_eq!(written, Ok(Ok(bytes)), "{name} version {version} {kind}");
            if kind == "sample" {
                *samples.entry(shape.name()).or_default() += 1;
            }
        }
    }
    for (name, shape) in shapes {
        let versions = shape.versions.max - shape.versions.min + 1;
        assert_eq!(samples.get(name), Some(&versions), "{name}");
    }
}
