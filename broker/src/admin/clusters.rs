//! The cluster: one, this node's own.

use axum::Json;
use milena_protocol::ids::NodeId;
use serde::Serialize;
use utoipa::ToSchema;

use super::call::Call;
use super::error::Failure;
use super::path::{At, ClusterPath};
use super::resource::{List, Relationship, ResourceMetadata};

/// A cluster.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cluster {
    kind: &'static str,
    metadata: ResourceMetadata,
    cluster_id: String,
    /// The broker that takes administrative requests; left out when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    controller: Option<Relationship>,
    acls: Relationship,
    brokers: Relationship,
    broker_configs: Relationship,
    consumer_groups: Relationship,
    health: Relationship,
    quorum: Relationship,
    topics: Relationship,
    partition_reassignments: Relationship,
}

impl Cluster {
    async fn of(call: &Call) -> Result<Self, Failure> {
        let controller = call.cluster().await?.controller_id;
        Ok(Self {
            kind: "KafkaCluster",
            metadata: call.resource("", ""),
            cluster_id: call.broker.cluster_id.to_string(),
            controller: (controller != NodeId::NONE)
                .then(|| call.link(&format!("/brokers/{controller}"))),
            acls: call.link("/acls"),
            brokers: call.link("/brokers"),
            broker_configs: call.link("/broker-configs"),
            consumer_groups: call.link("/consumer-groups"),
            health: call.link("/health"),
            quorum: call.link("/quorum"),
            topics: call.link("/topics"),
            partition_reassignments: call.link("/topics/-/partitions/-/reassignment"),
        })
    }
}

/// The clusters that this node knows: its own.
#[utoipa::path(get, path = "/v3/clusters", operation_id = "listClusters", tag = "Clusters",
    responses((status = 200, description = "The cluster.", body = List<Cluster>), Failure))]
pub async fn list(call: Call) -> Result<Json<List<Cluster>>, Failure> {
    let data = vec![Cluster::of(&call).await?];
    Ok(Json(List::new("KafkaClusterList", call.clusters_url(), data)))
}

/// A cluster.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}", operation_id = "getCluster",
    tag = "Clusters", params(ClusterPath),
    responses((status = 200, description = "The cluster.", body = Cluster), Failure))]
pub async fn one(at: At<ClusterPath>) -> Result<Json<Cluster>, Failure> {
    Ok(Json(Cluster::of(&at).await?))
}
