//! Records about brokers and controllers.

use crate::codec::Text;
use crate::ids::{BrokerEpoch, NodeId, Uuid};
use crate::message;

message! {
    /// A broker is registered; the offset of this record is its broker epoch.
    pub struct RegisterBrokerRecord: 0..=4, flexible 0 {
        /// The broker.
        broker_id: NodeId [0..],
        /// Whether it comes from ZooKeeper; never here.
        is_migrating_zk_broker: bool [2..],
        /// Differs between two starts of the process.
        incarnation_id: Uuid [0..],
        /// The broker's epoch.
        broker_epoch: BrokerEpoch [0..],
        /// Where it listens.
        end_points: Vec<RegisterBrokerEndpoint> [0..],
        /// The features.
        features: Vec<RegisterBrokerFeature> [0..],
        /// The rack.
        rack: Option<Text> [0.., nullable 0..],
        /// Whether it is fenced.
        fenced: bool [0.., default true],
        /// Whether it is handing over its partitions to stop.
        in_controlled_shutdown: bool [1..],
        /// The directories.
        log_dirs: Vec<Uuid> [3.., tag 0],
        /// Directories that shall get no new partitions.
        cordoned_log_dirs: Option<Vec<Uuid>> [4.., nullable 4.., tag 1],
    }

    /// A place to connect to.
    pub struct RegisterBrokerEndpoint {
        /// The name.
        name: Text [0..],
        /// The host.
        host: Text [0..],
        /// The port.
        port: u16 [0..],
        /// 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
        security_protocol: i16 [0..],
    }

    /// A feature and the levels that it could run at.
    pub struct RegisterBrokerFeature {
        /// The name.
        name: Text [0..],
        /// The lowest level that it can run at.
        min_supported_version: i16 [0..],
        /// The highest level that it can run at.
        max_supported_version: i16 [0..],
    }

    /// A broker is no longer registered.
    pub struct UnregisterBrokerRecord: 0..=0, flexible 0 {
        /// The broker.
        broker_id: NodeId [0..],
        /// The broker's epoch.
        broker_epoch: BrokerEpoch [0..],
    }

    /// A broker is fenced: it leads nothing and is in no ISR (superseded by
    /// BrokerRegistrationChangeRecord).
    pub struct FenceBrokerRecord: 0..=0, flexible 0 {
        /// The id.
        id: i32 [0..],
        /// The epoch.
        epoch: BrokerEpoch [0..],
    }

    /// A broker is no longer fenced (superseded by BrokerRegistrationChangeRecord).
    pub struct UnfenceBrokerRecord: 0..=0, flexible 0 {
        /// The id.
        id: i32 [0..],
        /// The epoch.
        epoch: BrokerEpoch [0..],
    }

    /// Parts of a broker's registration change; what is not given stays.
    pub struct BrokerRegistrationChangeRecord: 0..=3, flexible 0 {
        /// The broker.
        broker_id: NodeId [0..],
        /// The broker's epoch.
        broker_epoch: BrokerEpoch [0..],
        /// −1 unfences, 0 unchanged, 1 fences.
        fenced: i8 [0.., tag 0],
        /// 0 unchanged, 1 the broker hands over its partitions to stop.
        in_controlled_shutdown: i8 [1.., tag 1],
        /// The directories.
        log_dirs: Vec<Uuid> [2.., tag 2],
        /// Directories that shall get no new partitions.
        cordoned_log_dirs: Option<Vec<Uuid>> [3.., nullable 3.., tag 3],
    }

    /// A controller is registered (KIP-919).
    pub struct RegisterControllerRecord: 0..=0, flexible 0 {
        /// The controller, −1 none.
        controller_id: NodeId [0..],
        /// Differs between two starts of the process.
        incarnation_id: Uuid [0..],
        /// Whether a migration from ZooKeeper may go on; never here.
        zk_migration_ready: bool [0..],
        /// Where it listens.
        end_points: Vec<RegisterControllerEndpoint> [0..],
        /// The features.
        features: Vec<RegisterControllerFeature> [0..],
    }

    /// A place to connect to.
    pub struct RegisterControllerEndpoint {
        /// The name.
        name: Text [0..],
        /// The host.
        host: Text [0..],
        /// The port.
        port: u16 [0..],
        /// 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
        security_protocol: i16 [0..],
    }

    /// A feature and the levels that it could run at.
    pub struct RegisterControllerFeature {
        /// The name.
        name: Text [0..],
        /// The lowest level that it can run at.
        min_supported_version: i16 [0..],
        /// The highest level that it can run at.
        max_supported_version: i16 [0..],
    }
}
