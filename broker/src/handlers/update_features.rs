//! UpdateFeatures (57), versions 0–2: raises or lowers feature levels (KIP-584).

use std::sync::Arc;

use milena_cluster::controller::features::FeatureUpdate;
use milena_protocol::api::update_features::{
    UpdateFeaturesRequest, UpdateFeaturesResponse, UpdateFeaturesResult,
};
use milena_protocol::error_code::ErrorCode;

use super::forward;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Changes feature levels: all of them, or none.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: UpdateFeaturesRequest,
) -> UpdateFeaturesResponse {
    forward::at_the_controller(broker, context, request, decide).await
}

async fn decide(
    broker: Arc<Broker>,
    context: Context,
    request: UpdateFeaturesRequest,
) -> UpdateFeaturesResponse {
    let principal = &context.peer.principal;
    let fault = |error_code, message: Option<String>| UpdateFeaturesResponse {
        error_code,
        error_message: message.map(Into::into),
        ..Default::default()
    };
    if !broker.authorizer.allows(principal, Operation::Alter, Resource::Cluster) {
        return fault(ErrorCode::CLUSTER_AUTHORIZATION_FAILED, None);
    }
    let version = context.version;
    let updates: Vec<FeatureUpdate> = request
        .feature_updates
        .iter()
        .map(|update| FeatureUpdate {
            name: update.feature.to_string(),
            level: update.max_version_level,
            // Version 0 knows only whether a downgrade is allowed.
            upgrade_type: match (version, update.allow_downgrade) {
                (0, true) => 2,
                (0, false) => 1,
                _ => update.upgrade_type,
            },
        })
        .collect();
    let validate_only = request.validate_only;
    let decided = broker
        .controller
        .call(move |controller, _| controller.update_features(&updates, validate_only))
        .await;
    let results = match decided {
        Ok(results) => results,
        Err(code) => return fault(code, None),
    };
    // From version 2 on the first refusal stands for the whole request.
    let first = results.iter().find_map(|(_, result)| result.as_ref().err());
    if let (2.., Some(refused)) = (version, first) {
        return fault(refused.code, Some(refused.message.clone()));
    }
    UpdateFeaturesResponse {
        results: results
            .into_iter()
            .map(|(feature, result)| {
                let refused = result.err();
                UpdateFeaturesResult {
                    feature: feature.into(),
                    error_code: refused.as_ref().map_or(ErrorCode::NONE, |r| r.code),
                    error_message: refused.map(|r| r.message.into()),
                }
            })
            .collect(),
        ..Default::default()
    }
}
