//! WriteTxnMarkers to the leaders of partitions.

use std::collections::BTreeMap;

use milena_protocol::api::write_txn_markers::{
    WriteTxnMarkersMarker, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
    WriteTxnMarkersTopicResult,
};
use milena_protocol::ids::ProducerId;

use super::joined::Joined;

/// Markers of transactions.
#[derive(Debug)]
pub enum Markers {}

impl Joined for Markers {
    type Item = WriteTxnMarkersMarker;
    type Key = ProducerId;
    type Answer = Vec<WriteTxnMarkersTopicResult>;
    type Request = WriteTxnMarkersRequest;

    fn key(item: &Self::Item) -> ProducerId {
        item.producer_id
    }

    fn join(markers: Vec<Self::Item>) -> Self::Request {
        WriteTxnMarkersRequest { markers }
    }

    fn part(response: WriteTxnMarkersResponse) -> BTreeMap<ProducerId, Self::Answer> {
        response.markers.into_iter().map(|marker| (marker.producer_id, marker.topics)).collect()
    }
}
