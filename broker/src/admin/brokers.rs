//! Brokers.

use axum::Json;
use milena_protocol::api::describe_cluster::DescribeClusterBroker;
use serde::Serialize;
use utoipa::ToSchema;

use super::call::Call;
use super::error::Failure;
use super::path::{At, BrokerPath, ClusterPath};
use super::resource::{List, Relationship, ResourceMetadata};

/// A broker.
#[derive(Debug, Serialize, ToSchema)]
pub struct Broker {
    kind: &'static str,
    metadata: ResourceMetadata,
    cluster_id: String,
    broker_id: i32,
    /// Where Kafka clients reach it.
    host: String,
    /// The port there.
    port: i32,
    /// Where it stands, if that is configured.
    rack: Option<String>,
    configs: Relationship,
    partition_replicas: Relationship,
}

impl Broker {
    fn of(call: &Call, broker: DescribeClusterBroker) -> Self {
        let id = broker.broker_id;
        let path = format!("/brokers/{id}");
        Self {
            kind: "KafkaBroker",
            metadata: call.resource(&path, &format!("/broker={id}")),
            cluster_id: call.broker.cluster_id.to_string(),
            broker_id: id.0,
            host: broker.host.to_string(),
            port: broker.port,
            rack: broker.rack.map(|rack| rack.to_string()),
            configs: call.link(&format!("{path}/configs")),
            partition_replicas: call.link(&format!("{path}/partition-replicas")),
        }
    }
}

/// The failure of a request about a broker that is not there.
#[must_use]
pub fn missing(id: i32) -> Failure {
    Failure::missing(format!("there is no live broker {id}"))
}

/// The live brokers.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/brokers", operation_id = "listBrokers",
    tag = "Brokers", params(ClusterPath),
    responses((status = 200, description = "The brokers.", body = List<Broker>), Failure))]
pub async fn list(at: At<ClusterPath>) -> Result<Json<List<Broker>>, Failure> {
    let brokers = at.cluster().await?.brokers;
    let data = brokers.into_iter().map(|broker| Broker::of(&at, broker)).collect();
    Ok(Json(at.list("KafkaBrokerList", "/brokers", data)))
}

/// A live broker.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/brokers/{broker_id}",
    operation_id = "getBroker", tag = "Brokers", params(BrokerPath),
    responses((status = 200, description = "The broker.", body = Broker), Failure))]
pub async fn one(at: At<BrokerPath>) -> Result<Json<Broker>, Failure> {
    let id = at.path.broker_id;
    let mut brokers = at.cluster().await?.brokers.into_iter();
    let broker = brokers.find(|broker| broker.broker_id.0 == id).ok_or_else(|| missing(id))?;
    Ok(Json(Broker::of(&at, broker)))
}
