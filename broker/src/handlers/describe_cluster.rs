//! DescribeCluster (60), versions 0–2: the cluster's id and its brokers.

use std::sync::Arc;

use milena_protocol::api::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::NodeId;

use crate::broker::Broker;
use crate::request::Context;

/// The endpoint type of brokers; 2 asks a controller listener.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// Answers the cluster as this listener's clients reach it.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    let refused = match request.endpoint_type {
        BROKERS => None,
        CONTROLLERS => Some((
            ErrorCode::MISMATCHED_ENDPOINT_TYPE,
            "this is a broker listener; ask a controller listener for controllers",
        )),
        _ => Some((ErrorCode::UNSUPPORTED_ENDPOINT_TYPE, "there is no such endpoint type")),
    };
    if let Some((error_code, message)) = refused {
        return DescribeClusterResponse {
            error_code,
            error_message: Some(message.into()),
            ..Default::default()
        };
    }
    let image = broker.metadata.image_owned();
    let brokers: Vec<DescribeClusterBroker> = image
        .brokers()
        .filter(|node| !node.fenced || request.include_fenced_brokers)
        .filter_map(|node| {
            let endpoint = broker.endpoints.of_broker(node, &context.peer)?;
            Some(DescribeClusterBroker {
                broker_id: endpoint.node_id,
                host: endpoint.host,
                port: endpoint.port,
                rack: endpoint.rack,
                is_fenced: node.fenced,
            })
        })
        .collect();
    let controller = brokers.iter().find(|node| !node.is_fenced);
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: broker.cluster_id.clone(),
        controller_id: controller.map_or(NodeId::NONE, |node| node.broker_id),
        brokers,
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            broker.authorizer.cluster_operations(&context.peer.principal)
        } else {
            i32::MIN
        },
        ..Default::default()
    }
}
