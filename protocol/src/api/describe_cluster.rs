//! DescribeCluster (60), versions 0–2: the cluster's id and its brokers or controllers.
//!
//! Version 1 can ask for controllers (KIP-919), 2 for fenced brokers.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::NodeId;
use crate::message;

message! {
    /// Asks about the cluster.
    pub struct DescribeClusterRequest: 0..=2, flexible 0 {
        /// Whether to say what the caller may do to the cluster.
        include_cluster_authorized_operations: bool [0..],
        /// 1 brokers, 2 controllers.
        endpoint_type: i8 [1.., default 1],
        /// Whether to answer fenced brokers too.
        include_fenced_brokers: bool [2..],
    }

    /// The cluster.
    pub struct DescribeClusterResponse: 0..=2, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// 1 brokers, 2 controllers.
        endpoint_type: i8 [1.., default 1],
        /// The cluster's id.
        cluster_id: Text [0..],
        /// The controller, −1 none.
        controller_id: NodeId [0.., default NodeId::NONE],
        /// The brokers.
        brokers: Vec<DescribeClusterBroker> [0..],
        /// What the caller may do to the cluster, as bits.
        cluster_authorized_operations: i32 [0.., default i32::MIN],
    }

    /// A broker.
    pub struct DescribeClusterBroker {
        /// The broker.
        broker_id: NodeId [0..],
        /// The host.
        host: Text [0..],
        /// The port.
        port: i32 [0..],
        /// The rack.
        rack: Option<Text> [0.., nullable 0..],
        /// Whether the broker is fenced.
        is_fenced: bool [2..],
    }
}

request!(DescribeCluster, DescribeClusterRequest => DescribeClusterResponse);
