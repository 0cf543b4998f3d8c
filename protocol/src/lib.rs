//! What Milena says and hears: identifiers, error codes, Kafka's wire messages and record batches.
//!
//! No IO, no clock, no tokio. Everything here decodes bytes that a stranger may have written, so
//! decoding borrows from the frame, is bounded by the bytes received and never panics.

#![forbid(unsafe_code)]

pub mod api;
pub mod codec;
pub mod consumer_protocol;
pub mod control_record;
pub mod coordinator_record;
pub mod error_code;
pub mod ids;
pub mod message;
pub mod metadata_record;
pub mod record;
mod schema;
