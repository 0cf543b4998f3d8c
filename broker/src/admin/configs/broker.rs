//! Configurations of single brokers.

use axum::Json;
use axum::http::StatusCode;

use super::alter::{Alteration, Alterations, NewValue};
use super::describe::Config;
use super::owner::Owner;
use crate::admin::body::Body;
use crate::admin::brokers;
use crate::admin::call::Call;
use crate::admin::error::Failure;
use crate::admin::path::{At, BrokerConfigPath, BrokerPath, ClusterPath};
use crate::admin::resource::List;

/// A broker that is there.
async fn broker(call: &Call, id: i32) -> Result<Owner, Failure> {
    let there = call.cluster().await?.brokers.iter().any(|broker| broker.broker_id.0 == id);
    if there { Ok(Owner::Broker(id)) } else { Err(brokers::missing(id)) }
}

/// The configurations of a broker.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/brokers/{broker_id}/configs",
    operation_id = "listBrokerConfigs", tag = "Configs", params(BrokerPath),
    responses((status = 200, description = "Values in force.", body = List<Config>), Failure))]
pub async fn list(at: At<BrokerPath>) -> Result<Json<List<Config>>, Failure> {
    let owner = broker(&at, at.path.broker_id).await?;
    Ok(Json(at.config_list(&owner).await?))
}

/// Changes configurations of a broker, all or none.
#[utoipa::path(post, path = "/v3/clusters/{cluster_id}/brokers/{broker_id}/configs:alter",
    operation_id = "alterBrokerConfigs", tag = "Configs", params(BrokerPath),
    request_body = Alterations,
    responses((status = 204, description = "They are changed."), Failure))]
pub async fn alter(
    at: At<BrokerPath>,
    Body(changes): Body<Alterations>,
) -> Result<StatusCode, Failure> {
    let owner = broker(&at, at.path.broker_id).await?;
    at.alter(&owner, changes).await
}

/// A configuration of a broker.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/brokers/{broker_id}/configs/{name}",
    operation_id = "getBrokerConfig", tag = "Configs", params(BrokerConfigPath),
    responses((status = 200, description = "The value in force.", body = Config), Failure))]
pub async fn one(at: At<BrokerConfigPath>) -> Result<Json<Config>, Failure> {
    let owner = broker(&at, at.path.broker_id).await?;
    Ok(Json(at.config(&owner, &at.path.name).await?))
}

/// Sets a configuration of a broker.
#[utoipa::path(put, path = "/v3/clusters/{cluster_id}/brokers/{broker_id}/configs/{name}",
    operation_id = "updateBrokerConfig", tag = "Configs",
    params(BrokerConfigPath), request_body = NewValue,
    responses((status = 204, description = "It is set."), Failure))]
pub async fn set(
    at: At<BrokerConfigPath>,
    Body(new): Body<NewValue>,
) -> Result<StatusCode, Failure> {
    let owner = broker(&at, at.path.broker_id).await?;
    at.alter_one(&owner, Alteration::set(&at.path.name, new)).await
}

/// Takes a configuration of a broker back to its default.
#[utoipa::path(delete, path = "/v3/clusters/{cluster_id}/brokers/{broker_id}/configs/{name}",
    operation_id = "resetBrokerConfig", tag = "Configs", params(BrokerConfigPath),
    responses((status = 204, description = "The default counts again."), Failure))]
pub async fn reset(at: At<BrokerConfigPath>) -> Result<StatusCode, Failure> {
    let owner = broker(&at, at.path.broker_id).await?;
    at.alter_one(&owner, Alteration::delete(&at.path.name)).await
}

/// The configurations of every live broker.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/brokers/-/configs",
    operation_id = "listAllBrokersConfigs", tag = "Configs", params(ClusterPath),
    responses((status = 200, description = "Values in force.", body = List<Config>), Failure))]
pub async fn list_all(at: At<ClusterPath>) -> Result<Json<List<Config>>, Failure> {
    let mut data = Vec::new();
    for broker in at.cluster().await?.brokers {
        data.extend(at.configs(&Owner::Broker(broker.broker_id.0)).await?);
    }
    Ok(Json(at.list("KafkaBrokerConfigList", "/brokers/-/configs", data)))
}
