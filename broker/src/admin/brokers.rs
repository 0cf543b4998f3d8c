//! Brokers: where they are, whether they serve, and how a dead one is forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use milena_cluster::metadata::image::{BrokerImage, EndpointImage, MetadataImage};
use milena_protocol::api::describe_cluster::DescribeClusterBroker;
use milena_protocol::api::unregister_broker::UnregisterBrokerRequest;
use milena_protocol::ids::NodeId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::call::Call;
use super::error::Failure;
use super::path::{At, BrokerPath, ClusterPath};
use super::resource::{List, Relationship, ResourceMetadata};
use crate::handlers::decided;

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
    /// Where it listens, as it registered.
    endpoints: Vec<BrokerEndpoint>,
    /// Its registration; a later one is greater.
    broker_epoch: i64,
    /// Whether it may lead nothing and be in sync with nothing: it is dead, or new.
    is_fenced: bool,
    /// Whether it is handing over what it leads, to stop.
    is_in_controlled_shutdown: bool,
    /// Whether it is the active controller.
    is_controller: bool,
    /// Partitions that it leads.
    leaders_count: usize,
    /// Partitions of which it has a replica.
    replicas_count: usize,
    configs: Relationship,
    partition_replicas: Relationship,
}

/// A place where a broker listens.
#[derive(Debug, Serialize, ToSchema)]
pub struct BrokerEndpoint {
    /// The listener's name.
    name: String,
    host: String,
    port: u16,
}

impl BrokerEndpoint {
    fn of(endpoint: &EndpointImage) -> Self {
        Self {
            name: endpoint.name.to_string(),
            host: endpoint.host.to_string(),
            port: endpoint.port,
        }
    }
}

/// What the metadata says of brokers beyond what clients are told.
struct Look {
    image: Arc<MetadataImage>,
    controller: NodeId,
    loads: BTreeMap<NodeId, Load>,
}

/// How much a broker has.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    leaders: usize,
    replicas: usize,
}

impl Look {
    fn at(call: &Call) -> Self {
        let image = call.broker.metadata.image_owned();
        let mut loads: BTreeMap<NodeId, Load> = BTreeMap::new();
        for (_, partition) in image.topics().flat_map(|topic| topic.partitions()) {
            loads.entry(partition.leader).or_default().leaders += 1;
            for replica in &partition.replicas {
                loads.entry(*replica).or_default().replicas += 1;
            }
        }
        Self { image, controller: call.broker.controller.quorum().leader, loads }
    }
}

impl Broker {
    fn of(call: &Call, look: &Look, broker: DescribeClusterBroker) -> Self {
        let id = broker.broker_id;
        let path = format!("/brokers/{id}");
        let registered = look.image.broker(id);
        let endpoints = registered.map_or(&[][..], |it| &it.endpoints);
        let load = look.loads.get(&id).copied().unwrap_or_default();
        Self {
            kind: "KafkaBroker",
            metadata: call.resource(&path, &format!("/broker={id}")),
            cluster_id: call.broker.cluster_id.to_string(),
            broker_id: id.0,
            host: broker.host.to_string(),
            port: broker.port,
            rack: broker.rack.map(|rack| rack.to_string()),
            endpoints: endpoints.iter().map(BrokerEndpoint::of).collect(),
            broker_epoch: registered.map_or(-1, |it| it.epoch.0),
            is_fenced: broker.is_fenced,
            is_in_controlled_shutdown: registered.is_some_and(|it| it.in_controlled_shutdown),
            is_controller: id == look.controller,
            leaders_count: load.leaders,
            replicas_count: load.replicas,
            configs: call.link(&format!("{path}/configs")),
            partition_replicas: call.link(&format!("{path}/partition-replicas")),
        }
    }
}

/// The failure of a request about a broker that is not there.
#[must_use]
pub fn missing(id: i32) -> Failure {
    Failure::missing(format!("there is no broker {id}, or it does not live"))
}

/// Which brokers are asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// Whether to tell of those too that are fenced.
    #[serde(default)]
    include_fenced_brokers: bool,
}

/// The live brokers, or all.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/brokers", operation_id = "listBrokers",
    tag = "Brokers", params(ClusterPath, Asked),
    responses((status = 200, description = "The brokers.", body = List<Broker>), Failure))]
pub async fn list(
    at: At<ClusterPath>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<List<Broker>>, Failure> {
    let Query(asked) = query.map_err(Failure::bad_query)?;
    let brokers = at.registered().await?.into_iter();
    let brokers = brokers.filter(|broker| asked.include_fenced_brokers || !broker.is_fenced);
    let look = Look::at(&at);
    let data = brokers.map(|broker| Broker::of(&at, &look, broker)).collect();
    Ok(Json(at.list("KafkaBrokerList", "/brokers", data)))
}

/// A broker, live or fenced.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/brokers/{broker_id}",
    operation_id = "getBroker", tag = "Brokers", params(BrokerPath),
    responses((status = 200, description = "The broker.", body = Broker), Failure))]
pub async fn one(at: At<BrokerPath>) -> Result<Json<Broker>, Failure> {
    let id = at.path.broker_id;
    let mut brokers = at.registered().await?.into_iter();
    let broker = brokers.find(|broker| broker.broker_id.0 == id).ok_or_else(|| missing(id))?;
    Ok(Json(Broker::of(&at, &Look::at(&at), broker)))
}

/// Forgets a broker that is fenced for good.
///
/// Its replicas stay assigned to it; `milena cluster remove` moves them first.
#[utoipa::path(delete, path = "/v3/clusters/{cluster_id}/brokers/{broker_id}",
    operation_id = "unregisterBroker", tag = "Brokers", params(BrokerPath),
    responses((status = 204, description = "It is forgotten."), Failure))]
pub async fn unregister(at: At<BrokerPath>) -> Result<StatusCode, Failure> {
    let id = at.path.broker_id;
    let image = at.broker.metadata.image_owned();
    let registered = image.broker(NodeId(id)).ok_or_else(|| missing(id))?;
    check_fenced(registered)?;
    let request = UnregisterBrokerRequest { broker_id: NodeId(id) };
    let context = at.context::<UnregisterBrokerRequest>();
    let response = decided::of_client(at.broker.clone(), context, request).await;
    Failure::unless_none(response.error_code, response.error_message.as_ref())?;
    Ok(StatusCode::NO_CONTENT)
}

/// A live broker that is forgotten comes back by itself, or serves on and nobody knows.
fn check_fenced(broker: &BrokerImage) -> Result<(), Failure> {
    if broker.fenced {
        return Ok(());
    }
    let message = format!("broker {} lives: move its replicas and stop it first", broker.id);
    Err(Failure::bad_request(message))
}
