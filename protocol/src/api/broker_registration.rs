//! BrokerRegistration (62), versions 0–4: a broker makes itself known to the controller (KIP-631).
//!
//! Version 2 brought log directories, 3 the previous broker epoch, 4 features with a minimum of 0.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{BrokerEpoch, NodeId, Uuid};
use crate::message;

message! {
    /// The broker and what it can do.
    pub struct BrokerRegistrationRequest: 0..=4, flexible 0 {
        /// The broker.
        broker_id: NodeId [0..],
        /// The cluster's id.
        cluster_id: Text [0..],
        /// Differs between two starts of the process.
        incarnation_id: Uuid [0..],
        /// Where it listens.
        listeners: Vec<BrokerRegistrationListener> [0..],
        /// The features.
        features: Vec<BrokerRegistrationFeature> [0..],
        /// The rack.
        rack: Option<Text> [0.., nullable 0..],
        /// Whether it comes from ZooKeeper; never here.
        is_migrating_zk_broker: bool [1..],
        /// The directories.
        log_dirs: Vec<Uuid> [2..],
        /// The broker epoch before the last clean stop; −1 none.
        previous_broker_epoch: BrokerEpoch [3.., default BrokerEpoch(-1)],
    }

    /// A place to connect to.
    pub struct BrokerRegistrationListener {
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
    pub struct BrokerRegistrationFeature {
        /// The name.
        name: Text [0..],
        /// The lowest level that it can run at.
        min_supported_version: i16 [0..],
        /// The highest level that it can run at.
        max_supported_version: i16 [0..],
    }

    /// The broker's epoch.
    pub struct BrokerRegistrationResponse: 0..=4, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The broker's epoch.
        broker_epoch: BrokerEpoch [0.., default BrokerEpoch(-1)],
    }
}

request!(BrokerRegistration, BrokerRegistrationRequest => BrokerRegistrationResponse);
