//! AlterClientQuotas (49), versions 0–1: sets and removes quotas (KIP-546).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// The changes.
    pub struct AlterClientQuotasRequest: 0..=1, flexible 1 {
        /// The entries.
        entries: Vec<AlterClientQuotasEntry> [0..],
        /// Whether to check only and change nothing.
        validate_only: bool [0..],
    }

    /// An entity and its quotas.
    pub struct AlterClientQuotasEntry {
        /// The parts that name the entity, such as a user and a client id.
        entity: Vec<AlterClientQuotasEntity> [0..],
        /// The changes.
        ops: Vec<AlterClientQuotasOp> [0..],
    }

    /// One part of the name of an entity.
    pub struct AlterClientQuotasEntity {
        /// The type, such as `user`, `client-id` or `ip`.
        entity_type: Text [0..],
        /// The name; null means the default of this type.
        entity_name: Option<Text> [0.., nullable 0..],
    }

    /// A change of one quota.
    pub struct AlterClientQuotasOp {
        /// The key.
        key: Text [0..],
        /// The value.
        value: f64 [0..],
        /// Whether to remove it; else it is set.
        remove: bool [0..],
    }

    /// What became of each entity.
    pub struct AlterClientQuotasResponse: 0..=1, flexible 1 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// The entries.
        entries: Vec<AlterClientQuotasEntryResponse> [0..],
    }

    /// An entity in the answer.
    pub struct AlterClientQuotasEntryResponse {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The parts that name the entity, such as a user and a client id.
        entity: Vec<AlterClientQuotasEntityResponse> [0..],
    }

    /// One part of the name of an entity.
    pub struct AlterClientQuotasEntityResponse {
        /// The type, such as `user`, `client-id` or `ip`.
        entity_type: Text [0..],
        /// The name; null means the default of this type.
        entity_name: Option<Text> [0.., nullable 0..],
    }
}

request!(AlterClientQuotas, AlterClientQuotasRequest => AlterClientQuotasResponse);
