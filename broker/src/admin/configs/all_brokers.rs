//! Configurations of all brokers: what each takes over where it has nothing of its own.

use axum::Json;
use axum::http::StatusCode;

use super::alter::{Alteration, Alterations, NewValue};
use super::describe::Config;
use super::owner::Owner;
use crate::admin::body::Body;
use crate::admin::error::Failure;
use crate::admin::path::{At, ClusterConfigPath, ClusterPath};
use crate::admin::resource::List;

/// The configurations of all brokers.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/broker-configs",
    operation_id = "listClusterConfigs", tag = "Configs", params(ClusterPath),
    responses((status = 200, description = "Values in force.", body = List<Config>), Failure))]
pub async fn list(at: At<ClusterPath>) -> Result<Json<List<Config>>, Failure> {
    Ok(Json(at.config_list(&Owner::AllBrokers).await?))
}

/// Changes configurations of all brokers, all or none.
#[utoipa::path(post, path = "/v3/clusters/{cluster_id}/broker-configs:alter",
    operation_id = "alterClusterConfigs", tag = "Configs", params(ClusterPath),
    request_body = Alterations,
    responses((status = 204, description = "They are changed."), Failure))]
pub async fn alter(
    at: At<ClusterPath>,
    Body(changes): Body<Alterations>,
) -> Result<StatusCode, Failure> {
    at.alter(&Owner::AllBrokers, changes).await
}

/// A configuration of all brokers.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/broker-configs/{name}",
    operation_id = "getClusterConfig", tag = "Configs", params(ClusterConfigPath),
    responses((status = 200, description = "The value in force.", body = Config), Failure))]
pub async fn one(at: At<ClusterConfigPath>) -> Result<Json<Config>, Failure> {
    Ok(Json(at.config(&Owner::AllBrokers, &at.path.name).await?))
}

/// Sets a configuration of all brokers.
#[utoipa::path(put, path = "/v3/clusters/{cluster_id}/broker-configs/{name}",
    operation_id = "updateClusterConfig", tag = "Configs",
    params(ClusterConfigPath), request_body = NewValue,
    responses((status = 204, description = "It is set."), Failure))]
pub async fn set(
    at: At<ClusterConfigPath>,
    Body(new): Body<NewValue>,
) -> Result<StatusCode, Failure> {
    at.alter_one(&Owner::AllBrokers, Alteration::set(&at.path.name, new)).await
}

/// Takes a configuration of all brokers back to its default.
#[utoipa::path(delete, path = "/v3/clusters/{cluster_id}/broker-configs/{name}",
    operation_id = "resetClusterConfig", tag = "Configs", params(ClusterConfigPath),
    responses((status = 204, description = "The default counts again."), Failure))]
pub async fn reset(at: At<ClusterConfigPath>) -> Result<StatusCode, Failure> {
    at.alter_one(&Owner::AllBrokers, Alteration::delete(&at.path.name)).await
}
