//! DescribeClientQuotas (48), versions 0–1: the quotas that match a filter (KIP-546).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// The filter.
    pub struct DescribeClientQuotasRequest: 0..=1, flexible 1 {
        /// All must match.
        components: Vec<DescribeClientQuotasComponent> [0..],
        /// Whether entities with further parts are left out.
        strict: bool [0..],
    }

    /// What one part of the name must be.
    pub struct DescribeClientQuotasComponent {
        /// The type, such as `user`, `client-id` or `ip`.
        entity_type: Text [0..],
        /// 0 this name, 1 the default, 2 any name.
        match_type: i8 [0..],
        /// The name to match, where the type wants one.
        match_value: Option<Text> [0.., nullable 0..],
    }

    /// The quotas.
    pub struct DescribeClientQuotasResponse: 0..=1, flexible 1 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The entries.
        entries: Option<Vec<DescribeClientQuotasEntry>> [0.., nullable 0..],
    }

    /// An entity and its quotas.
    pub struct DescribeClientQuotasEntry {
        /// The parts that name the entity, such as a user and a client id.
        entity: Vec<DescribeClientQuotasEntity> [0..],
        /// The values.
        values: Vec<DescribeClientQuotasValue> [0..],
    }

    /// One part of the name of an entity.
    pub struct DescribeClientQuotasEntity {
        /// The type, such as `user`, `client-id` or `ip`.
        entity_type: Text [0..],
        /// The name; null means the default of this type.
        entity_name: Option<Text> [0.., nullable 0..],
    }

    /// A quota.
    pub struct DescribeClientQuotasValue {
        /// The key.
        key: Text [0..],
        /// The value.
        value: f64 [0..],
    }
}

request!(DescribeClientQuotas, DescribeClientQuotasRequest => DescribeClientQuotasResponse);
