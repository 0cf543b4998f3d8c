//! DescribeCluster (60), versions 0–2: the cluster's id and its brokers or controllers.

use std::sync::Arc;

use milena_cluster::quorum::Voter;
use milena_protocol::api::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::NodeId;

use crate::broker::Broker;
use crate::request::{Context, Peer, Scope};

/// The endpoint type of brokers.
const BROKERS: i8 = 1;
/// The endpoint type of controllers (KIP-919).
const CONTROLLERS: i8 = 2;

/// Answers the cluster as this listener's clients reach it.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    if let Err((error_code, message)) = check(request.endpoint_type, context.peer.scope) {
        return DescribeClusterResponse {
            error_code,
            error_message: Some(message.into()),
            endpoint_type: request.endpoint_type,
            ..Default::default()
        };
    }
    let (controller_id, brokers) = if request.endpoint_type == CONTROLLERS {
        controllers(&broker, &context.peer)
    } else {
        brokers(&broker, &context.peer, request.include_fenced_brokers)
    };
    DescribeClusterResponse {
        endpoint_type: request.endpoint_type,
        cluster_id: broker.cluster_id.clone(),
        controller_id,
        brokers,
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            broker.authorizer.cluster_operations(&context.peer.principal)
        } else {
            i32::MIN
        },
        ..Default::default()
    }
}

/// Whether a listener tells of such nodes.
fn check(endpoint_type: i8, scope: Scope) -> Result<(), (ErrorCode, &'static str)> {
    let mismatched = |message| Err((ErrorCode::MISMATCHED_ENDPOINT_TYPE, message));
    match (endpoint_type, scope) {
        (BROKERS, Scope::Brokers | Scope::All) => Ok(()),
        (CONTROLLERS, Scope::Controllers | Scope::All) => Ok(()),
        (BROKERS, Scope::Controllers) => {
            mismatched("this is a controller listener; ask a broker listener for brokers")
        }
        (CONTROLLERS, Scope::Brokers) => {
            mismatched("this is a broker listener; ask a controller listener for controllers")
        }
        _ => Err((ErrorCode::UNSUPPORTED_ENDPOINT_TYPE, "there is no such endpoint type")),
    }
}

type Described = (NodeId, Vec<DescribeClusterBroker>);

fn brokers(broker: &Broker, peer: &Peer, with_fenced: bool) -> Described {
    let image = broker.metadata.image_owned();
    let brokers: Vec<DescribeClusterBroker> = image
        .brokers()
        .filter(|node| !node.fenced || with_fenced)
        .filter_map(|node| {
            let endpoint = broker.endpoints.of_broker(node, peer)?;
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
    (controller.map_or(NodeId::NONE, |node| node.broker_id), brokers)
}

/// The voters, each where it is registered under this listener's name, or else where the quorum
/// reaches it; the active one is the controller.
fn controllers(broker: &Broker, peer: &Peer) -> Described {
    let view = broker.controller.quorum();
    let image = broker.metadata.image_owned();
    let place = |voter: &Voter| {
        let registered = image.controllers().find(|known| known.controller_id == voter.key.id);
        let endpoints = registered.map_or(&[][..], |known| &known.end_points);
        let named = endpoints.iter().find(|endpoint| *endpoint.name == *peer.listener);
        match named {
            Some(endpoint) => Some((endpoint.host.clone(), endpoint.port)),
            None => voter.endpoints.first().map(|at| (at.host.as_str().into(), at.port)),
        }
    };
    let controllers = view.members.iter().filter_map(|voter| {
        let (host, port) = place(voter)?;
        Some(DescribeClusterBroker {
            broker_id: voter.key.id,
            host,
            port: i32::from(port),
            ..Default::default()
        })
    });
    (view.leader, controllers.collect())
}
