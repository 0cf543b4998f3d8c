//! ControllerRegistration (70), version 0: a controller makes itself known (KIP-919).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{NodeId, Uuid};
use crate::message;

message! {
    /// The controller and what it can do.
    pub struct ControllerRegistrationRequest: 0..=0, flexible 0 {
        /// The controller, −1 none.
        controller_id: NodeId [0..],
        /// Differs between two starts of the process.
        incarnation_id: Uuid [0..],
        /// Whether a migration from ZooKeeper may go on; never here.
        zk_migration_ready: bool [0..],
        /// Where it listens.
        listeners: Vec<ControllerRegistrationListener> [0..],
        /// The features.
        features: Vec<ControllerRegistrationFeature> [0..],
    }

    /// A place to connect to.
    pub struct ControllerRegistrationListener {
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
    pub struct ControllerRegistrationFeature {
        /// The name.
        name: Text [0..],
        /// The lowest level that it can run at.
        min_supported_version: i16 [0..],
        /// The highest level that it can run at.
        max_supported_version: i16 [0..],
    }

    /// Whether it is registered.
    pub struct ControllerRegistrationResponse: 0..=0, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
    }
}

request!(ControllerRegistration, ControllerRegistrationRequest => ControllerRegistrationResponse);
