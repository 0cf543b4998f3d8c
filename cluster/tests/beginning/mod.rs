//! Clusters that began before leaders were eligible in new ones (KIP-966).

use milena_cluster::configs::Values;
use milena_cluster::controller::features::{ELIGIBLE_LEADERS, bootstrap};
use milena_protocol::metadata_record::MetadataRecord;

/// The records that such a cluster began with: levels alone.
pub fn without_eligible() -> Vec<MetadataRecord> {
    let mut records = bootstrap(&Values::new());
    records.retain(|record| match record {
        MetadataRecord::FeatureLevel(level) => level.name != ELIGIBLE_LEADERS,
        _ => false,
    });
    records
}
