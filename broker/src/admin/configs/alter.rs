//! Changes of configurations.

use axum::http::StatusCode;
use milena_protocol::api::incremental_alter_configs::{
    IncrementalAlterConfigsConfig, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResource,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::describe::missing;
use super::owner::Owner;
use crate::admin::call::Call;
use crate::admin::error::Failure;
use crate::handlers::incremental_alter_configs;

/// Changes, all or none of them made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Alterations {
    data: Vec<Alteration>,
    /// Only say whether they could be made.
    #[serde(default)]
    validate_only: bool,
}

/// One change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Alteration {
    /// The configuration.
    #[schema(example = "retention.ms")]
    name: String,
    /// Its new value.
    #[schema(example = "86400000")]
    value: Option<String>,
    /// What to do; without it `SET`.
    operation: Option<Verb>,
}

/// What to do to a configuration, with its number in the protocol.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verb {
    /// Give it a value.
    #[default]
    Set = 0,
    /// Take its value away, so that the default counts.
    Delete = 1,
    /// Add to a list.
    Append = 2,
    /// Take from a list.
    Subtract = 3,
}

/// A new value.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewValue {
    #[schema(example = "86400000")]
    value: Option<String>,
}

impl Alteration {
    /// Gives a configuration a value.
    pub(super) fn set(name: &str, new: NewValue) -> Self {
        Self { name: name.to_owned(), value: new.value, operation: Some(Verb::Set) }
    }

    /// Takes its value away.
    pub(super) fn delete(name: &str) -> Self {
        Self { name: name.to_owned(), value: None, operation: Some(Verb::Delete) }
    }

    fn into_request(self) -> IncrementalAlterConfigsConfig {
        IncrementalAlterConfigsConfig {
            name: self.name.into(),
            config_operation: self.operation.unwrap_or_default() as i8,
            value: self.value.map(Into::into),
        }
    }
}

impl Call {
    /// Makes one change.
    pub(super) async fn alter_one(
        &self,
        owner: &Owner,
        change: Alteration,
    ) -> Result<StatusCode, Failure> {
        self.alter(owner, Alterations { data: vec![change], validate_only: false }).await
    }

    /// Makes changes.
    ///
    /// A configuration that the owner does not have is missing, not wrong, as in Confluent's.
    /// All brokers have none until somebody sets it.
    pub(super) async fn alter(
        &self,
        owner: &Owner,
        changes: Alterations,
    ) -> Result<StatusCode, Failure> {
        if *owner != Owner::AllBrokers {
            let known = self.describe(owner, None).await?;
            let is_known = |name: &str| known.iter().any(|config| config.name.as_str() == name);
            let unknown = changes.data.iter().find(|change| !is_known(&change.name));
            if let Some(change) = unknown {
                return Err(missing(owner, &change.name));
            }
        }
        let request = IncrementalAlterConfigsRequest {
            resources: vec![IncrementalAlterConfigsResource {
                resource_type: owner.resource_type(),
                resource_name: owner.resource_name().into(),
                configs: changes.data.into_iter().map(Alteration::into_request).collect(),
            }],
            validate_only: changes.validate_only,
        };
        let context = self.context::<IncrementalAlterConfigsRequest>();
        let broker = self.broker.clone();
        let response = incremental_alter_configs::handle(broker, context, request).await;
        for result in &response.responses {
            Failure::unless_none(result.error_code, result.error_message.as_ref())?;
        }
        Ok(StatusCode::NO_CONTENT)
    }
}
