//! What the cluster decides: the metadata quorum, the controller, the metadata image, and the rules
//! of replication. No IO, no clock, no entropy, no hash order, no async.
//!
//! The road of a change: [`controller::Controller`] decides records → [`quorum::Quorum`] gives them
//! offsets and says what to append → the driver writes and syncs `__cluster_metadata-0` → the quorum
//! commits → [`metadata::delta::Delta`] makes the next [`metadata::image::MetadataImage`].

#![forbid(unsafe_code)]

pub mod configs;
pub mod controller;
pub mod machine;
pub mod metadata;
pub mod quorum;
pub mod replica;
