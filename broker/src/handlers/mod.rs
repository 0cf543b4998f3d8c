//! One file per API: what its request asks, what it answers, and which rules of Kafka it keeps.

pub mod api_versions;
pub mod auto_create;
pub mod error;
pub mod fetch;
pub mod init_producer_id;
pub mod list_offsets;
pub mod metadata;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod resolve;
pub mod served;

mod dispatch;

pub use dispatch::{Begun, begin, open};
