//! Our encoding against that of the crate `kafka-protocol`, over random messages of every API and
//! version that both know.
//!
//! Random bytes of a message are read by both and written again. Both must write the same, and
//! each must read what the other wrote.

mod sample;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{self as theirs, ApiKey, RequestKind, ResponseKind};
use kafka_protocol::protocol::{Decodable, Encodable, Message};
use milena_protocol::message::Shape;
use milena_protocol::{api, consumer_protocol, control_record};
use sample::Random;

/// Random messages per message and version.
const ROUNDS: u64 = 200;

/// Compares one version of a message; `recode` reads and writes with the other crate. Adds the
/// first difference to the faults.
fn compare(
    shape: &Shape,
    version: i16,
    recode: impl Fn(Bytes) -> Result<Bytes, String>,
    faults: &mut Vec<String>,
) {
    let ours = |bytes: Bytes| -> Result<Bytes, String> {
        let written = shape.recode(bytes, version).map_err(|error| error.to_string())?;
        written.map_err(|error| error.to_string())
    };
    for seed in 0..ROUNDS {
        let mut random = Random(seed << 16 | version as u64);
        let bytes = Bytes::from(sample::message(shape, version, &mut random));
        let one = ours(bytes.clone());
        let other = recode(bytes);
        let crossed = one.clone().and_then(&recode);
        let back = other.clone().and_then(ours);
        if one.is_err() || one != other || one != crossed || one != back {
            let name = shape.name();
            faults.push(format!(
                "{name} version {version} seed {seed}:\n  ours   {one:02x?}\n  \
                 theirs {other:02x?}\n  \
                 theirs from ours {crossed:02x?}\n  ours from theirs {back:02x?}"
            ));
            return;
        }
    }
}

fn finish(bytes: &Bytes, out: BytesMut) -> Result<Bytes, String> {
    match bytes.len() {
        0 => Ok(out.freeze()),
        left => Err(format!("the other crate leaves {left} bytes")),
    }
}

fn expect_none(faults: &[String]) {
    assert!(faults.is_empty(), "{} differences:\n{}", faults.len(), faults.join("\n"));
}

/// The versions that both know.
fn common(shape: &Shape, min: i16, max: i16) -> std::ops::RangeInclusive<i16> {
    shape.versions.min.max(min)..=shape.versions.max.min(max)
}

fn compare_type<M: Message + Decodable + Encodable>(shape: &Shape, faults: &mut Vec<String>) {
    for version in common(shape, M::VERSIONS.min, M::VERSIONS.max) {
        let recode = |mut bytes: Bytes| {
            let message = M::decode(&mut bytes, version).map_err(|error| error.to_string())?;
            let mut out = BytesMut::new();
            message.encode(&mut out, version).map_err(|error| error.to_string())?;
            finish(&bytes, out)
        };
        compare(shape, version, recode, faults);
    }
}

/// Versions that the other crate names but cannot read.
fn is_lacking(key: ApiKey, version: i16) -> bool {
    matches!((key, version), (ApiKey::OffsetCommit | ApiKey::OffsetFetch, 10))
}

/// A client or a broker of another make would not understand us, or we not them.
#[test]
fn every_api_is_written_as_others_write_it() {
    let mut compared = 0;
    let mut faults = Vec::new();
    for api in api::ALL {
        let Ok(key) = ApiKey::try_from(api.key.number()) else { continue };
        let versions = key.valid_versions();
        for version in common(&api.request, versions.min, versions.max) {
            if is_lacking(key, version) {
                continue;
            }
            let recode = |mut bytes: Bytes| {
                let request = RequestKind::decode(key, &mut bytes, version)
                    .map_err(|error| error.to_string())?;
                let mut out = BytesMut::new();
                request.encode(&mut out, version).map_err(|error| error.to_string())?;
                finish(&bytes, out)
            };
            compare(&api.request, version, recode, &mut faults);
            let recode = |mut bytes: Bytes| {
                let response = ResponseKind::decode(key, &mut bytes, version)
                    .map_err(|error| error.to_string())?;
                let mut out = BytesMut::new();
                response.encode(&mut out, version).map_err(|error| error.to_string())?;
                finish(&bytes, out)
            };
            compare(&api.response, version, recode, &mut faults);
            compared += 1;
        }
    }
    expect_none(&faults);
    assert!(compared > 280, "only {compared} versions were compared");
}

/// Snapshots, quorum logs and classic groups would not be read by Kafka, nor Kafka's by us.
#[test]
fn other_messages_are_written_as_others_write_them() {
    let mut faults = Vec::new();
    for shape in control_record::ALL.iter().chain(consumer_protocol::ALL) {
        match shape.name() {
            // The other crate cannot write voters: their nested structs have no version 0.
            "LeaderChangeMessage" | "VotersRecord" => {}
            "SnapshotHeaderRecord" => {
                compare_type::<theirs::SnapshotHeaderRecord>(shape, &mut faults)
            }
            "SnapshotFooterRecord" => {
                compare_type::<theirs::SnapshotFooterRecord>(shape, &mut faults)
            }
            "KRaftVersionRecord" => compare_type::<theirs::KRaftVersionRecord>(shape, &mut faults),
            "EndTxnMarker" => compare_type::<theirs::EndTxnMarker>(shape, &mut faults),
            "ConsumerProtocolSubscription" => {
                compare_type::<theirs::ConsumerProtocolSubscription>(shape, &mut faults);
            }
            "ConsumerProtocolAssignment" => {
                compare_type::<theirs::ConsumerProtocolAssignment>(shape, &mut faults);
            }
            other => panic!("{other} is not compared"),
        }
    }
    let principal = Shape::of::<api::envelope::DefaultPrincipalData>();
    compare_type::<theirs::DefaultPrincipalData>(&principal, &mut faults);
    expect_none(&faults);
}
