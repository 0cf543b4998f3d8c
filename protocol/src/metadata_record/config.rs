//! Records about configurations, quotas, features and producer ids.

use crate::codec::Text;
use crate::ids::{BrokerEpoch, NodeId, ProducerId};
use crate::message;

message! {
    /// One configuration entry of a resource is set, or removed.
    pub struct ConfigRecord: 0..=0, flexible 0 {
        /// The resource's type.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: Text [0..],
        /// The name.
        name: Text [0..],
        /// The value; null removes the entry.
        value: Option<Text> [0.., nullable 0..],
    }

    /// One quota of an entity is set, or removed.
    pub struct ClientQuotaRecord: 0..=0, flexible 0 {
        /// The parts that name the entity, such as a user and a client id.
        entity: Vec<ClientQuotaEntity> [0..],
        /// The key.
        key: Text [0..],
        /// The value.
        value: f64 [0..],
        /// Whether to remove it; else it is set.
        remove: bool [0..],
    }

    /// One part of the name of an entity.
    pub struct ClientQuotaEntity {
        /// The type, such as `user`, `client-id` or `ip`.
        entity_type: Text [0..],
        /// The name; null means the default of this type.
        entity_name: Option<Text> [0.., nullable 0..],
    }

    /// A feature runs at this level from here on.
    pub struct FeatureLevelRecord: 0..=0, flexible 0 {
        /// The name.
        name: Text [0..],
        /// The level in use; 0 turns the feature off.
        feature_level: i16 [0..],
    }

    /// Producer ids up to a limit are handed out.
    pub struct ProducerIdsRecord: 0..=0, flexible 0 {
        /// The broker.
        broker_id: NodeId [0..],
        /// The broker's epoch.
        broker_epoch: BrokerEpoch [0.., default BrokerEpoch(-1)],
        /// The first id that is still free.
        next_producer_id: ProducerId [0..],
    }

    /// How far a migration from ZooKeeper is; here only ever read.
    pub struct ZkMigrationStateRecord: 0..=0, flexible 0 {
        /// The step of the migration.
        zk_migration_state: i8 [0..],
    }

    /// Nothing; it only moves the end of the log.
    pub struct NoOpRecord: 0..=0, flexible 0 {}
}
