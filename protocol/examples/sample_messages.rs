//! Prints one sampled message per message and version, for Kafka to read and write again.
//!
//! Lines of "file message version hex"; see `tests/golden.rs`.

#[path = "../tests/sample/mod.rs"]
mod sample;

use milena_protocol::message::Shape;
use milena_protocol::metadata_record::MetadataRecord;
use milena_protocol::{api, consumer_protocol, control_record, coordinator_record};
use sample::Random;

/// A sample is the longest of these many that fits.
const DRAWS: u64 = 40;
/// What fits.
const MAX_BYTES: usize = 160;

fn main() {
    for api in api::ALL {
        let name = format!("{:02}-{:?}", api.key.number(), api.key);
        print(&name, &api.request);
        print(&name, &api.response);
    }
    MetadataRecord::ALL.iter().for_each(|record| print("metadata-records", &record.1));
    control_record::ALL.iter().for_each(|shape| print("control-records", shape));
    consumer_protocol::ALL.iter().for_each(|shape| print("consumer-protocol", shape));
    coordinator_record::ALL.iter().for_each(|shape| print("coordinator-records", shape));
    print("58-Envelope", &Shape::of::<api::envelope::DefaultPrincipalData>());
}

fn print(file: &str, shape: &Shape) {
    for version in shape.versions.min..=shape.versions.max {
        let draws = (0..DRAWS).map(|seed| sample::message(shape, version, &mut Random(seed)));
        let (fits, large): (Vec<_>, Vec<_>) = draws.partition(|bytes| bytes.len() <= MAX_BYTES);
        let longest = fits.into_iter().max_by_key(Vec::len);
        let bytes = longest.or_else(|| large.into_iter().min_by_key(Vec::len)).unwrap_or_default();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        println!("{file} {} {version} {hex}", shape.name());
    }
}
