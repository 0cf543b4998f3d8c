//! What group, transaction and share coordinators write into their own topics.
//!
//! A record's key is an `int16` record type followed by the key's fields; its value is an `int16`
//! version followed by the value's fields. A null value is a tombstone.

pub mod consumer_group;
pub mod offset;
pub mod share_group;
pub mod share_state;
pub mod streams_group;
pub mod transaction;
