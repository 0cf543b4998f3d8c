//! Topics as requests name them: by name in old versions, by id in new ones.

use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::Uuid;

use crate::broker::Broker;

/// A topic that exists.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: Text,
    /// Its id.
    pub id: Uuid,
    /// Whether it is one of Kafka's own.
    pub is_internal: bool,
}

/// Finds a topic by id or by name.
///
/// # Errors
/// UNKNOWN_TOPIC_ID or UNKNOWN_TOPIC_OR_PARTITION.
pub fn topic(broker: &Broker, by_id: bool, name: &Text, id: Uuid) -> Result<Topic, ErrorCode> {
    let image = broker.metadata.image();
    let (found, missing) = if by_id {
        (image.topic_by_id(id), ErrorCode::UNKNOWN_TOPIC_ID)
    } else {
        (image.topic(name), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    };
    found
        .map(|topic| Topic {
            name: topic.name().clone(),
            id: topic.id(),
            is_internal: topic.is_internal(),
        })
        .ok_or(missing)
}
