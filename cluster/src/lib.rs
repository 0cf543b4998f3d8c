//! What the cluster decides: the metadata quorum, the controller, the metadata image, and the
//! rules of replication. No IO, no clock, no entropy, no hash order, no async.
//!
//! The road of a change: a method of [`controller::Controller`] decides records and an answer →
//! [`metadata::batch::values_at`] encodes them → [`quorum::Quorum`] gives them offsets and says
//! what to append ([`metadata::batch::bytes`]) → [`controller::Controller::replay`] → the driver
//! writes and syncs `__cluster_metadata-0` → the quorum commits → [`metadata::delta::Delta`] makes
//! the next [`metadata::image::MetadataImage`] and says what changed.
//!
//! The road back: [`metadata::snapshot::read`], then [`metadata::batch::records`] of each batch of
//! the log after it, replayed into the image.
//!
//! What is in force, and where it comes from, says [`configs::Resolver`]; DescribeConfigs is
//! answered by `describe_*` in [`configs`].

#![forbid(unsafe_code)]

pub mod configs;
pub mod controller;
pub mod coordinator;
pub mod group;
pub mod machine;
pub mod metadata;
pub mod quorum;
pub mod replica;
pub mod time;
pub mod transaction;
pub mod wire;
