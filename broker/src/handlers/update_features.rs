//! UpdateFeatures (57), versions 0–2: raises or lowers feature levels (KIP-584).

use std::sync::Arc;

use milena_cluster::controller::Refused;
use milena_cluster::controller::features::{FeatureUpdate, KRAFT_VERSION, check_kraft_version};
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
    let results = match change(&broker, updates, request.validate_only).await {
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

type Results = Vec<(String, Result<(), Refused>)>;

/// Changes levels: that of the quorum in its own records, all others in the metadata. Where one is
/// refused nothing is changed.
async fn change(
    broker: &Broker,
    updates: Vec<FeatureUpdate>,
    validate_only: bool,
) -> Result<Results, ErrorCode> {
    let (of_quorum, others): (Vec<_>, Vec<_>) =
        updates.into_iter().partition(|update| update.name == KRAFT_VERSION);
    let current = broker.controller.kraft_version();
    let checked = of_quorum.first().map(|update| check_kraft_version(update, current));
    let is_refused = matches!(checked, Some(Err(_)));
    let dry = validate_only || is_refused;
    let mut results = broker
        .controller
        .call(move |controller, _| controller.update_features(&others, dry))
        .await?;
    let is_good = results.iter().all(|(_, result)| result.is_ok());
    let Some(checked) = checked else { return Ok(results) };
    let outcome = match (checked, of_quorum.first()) {
        (Ok(true), Some(update)) if is_good && !dry => {
            let upgraded = broker.controller.upgrade_kraft_version(update.level).await;
            upgraded.map_err(|code| {
                let message = "not every voter has been heard of in this epoch: try again";
                Refused::new(code, message)
            })
        }
        (checked, _) => checked.map(|_| ()),
    };
    results.push((KRAFT_VERSION.to_owned(), outcome));
    Ok(results)
}
