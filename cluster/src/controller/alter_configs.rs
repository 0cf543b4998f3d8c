//! Changing the configurations of topics and brokers (KIP-133, KIP-339; semantics D8–D12, D25).

use std::collections::{BTreeMap, BTreeSet};

use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::metadata_record::MetadataRecord;
use milena_protocol::metadata_record::ConfigRecord;

use super::{Controller, Decision, Refused};
use crate::configs::{self, Declaration, Kind};
use crate::metadata::image::ConfigResource;

/// The longest value.
const MAX_VALUE_BYTES: usize = 32_767;

/// What to do to one configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Set it.
    Set,
    /// Remove the override.
    Delete,
    /// Add to a list.
    Append,
    /// Remove from a list.
    Subtract,
}

impl Operation {
    /// The operation of a number.
    #[must_use]
    pub fn from_number(number: i8) -> Option<Self> {
        let index = usize::try_from(number).ok()?;
        [Self::Set, Self::Delete, Self::Append, Self::Subtract].get(index).copied()
    }
}

/// Changes to one resource.
#[derive(Clone, Debug)]
pub struct Alteration {
    /// The resource.
    pub resource: ConfigResource,
    /// Name, operation and value of each change; an unknown operation is none.
    pub changes: Vec<(Text, Option<Operation>, Option<Text>)>,
}

impl Controller {
    /// Changes single configurations; a resource with a bad change keeps everything.
    #[must_use]
    pub fn incremental_alter_configs(
        &self,
        alterations: &[Alteration],
        validate_only: bool,
    ) -> Decision<Vec<Result<(), Refused>>> {
        let mut records = Vec::new();
        let mut seen = BTreeSet::new();
        let answer = alterations
            .iter()
            .map(|alteration| {
                if !seen.insert(alteration.resource.clone()) {
                    let message = "the request names this resource more than once";
                    return Err(Refused::new(ErrorCode::INVALID_REQUEST, message));
                }
                records.extend(self.alter(alteration)?);
                Ok(())
            })
            .collect();
        Decision { records: if validate_only { Vec::new() } else { records }, answer }
    }

    /// Replaces all overrides of resources: what is not named goes back to its default.
    #[must_use]
    pub fn replace_configs(
        &self,
        alterations: &[(ConfigResource, Vec<(Text, Option<Text>)>)],
        validate_only: bool,
    ) -> Decision<Vec<Result<(), Refused>>> {
        let full: Vec<Alteration> = alterations
            .iter()
            .map(|(resource, values)| {
                let mut changes: Vec<_> = values
                    .iter()
                    .map(|(name, value)| {
                        let operation =
                            if value.is_some() { Operation::Set } else { Operation::Delete };
                        (name.clone(), Some(operation), value.clone())
                    })
                    .collect();
                let absent = self
                    .image
                    .config(resource)
                    .into_iter()
                    .flat_map(|map| map.keys())
                    .filter(|name| !values.iter().any(|(named, _)| named == *name))
                    .map(|name| (name.clone(), Some(Operation::Delete), None));
                changes.extend(absent);
                Alteration { resource: resource.clone(), changes }
            })
            .collect();
        self.incremental_alter_configs(&full, validate_only)
    }

    /// Checks the configuration of a topic to be created.
    pub(super) fn check_topic_configs(
        &self,
        configs: &[(Text, Option<Text>)],
    ) -> Result<(), Refused> {
        for (name, value) in configs {
            let declaration = declared(ConfigResource::TOPIC, name)?;
            match value {
                Some(value) => check_value(declaration, value)?,
                None => {
                    return Err(Refused::new(
                        ErrorCode::INVALID_CONFIG,
                        format!("Null value not supported for topic configs: {name}"),
                    ));
                }
            }
        }
        Ok(())
    }

    fn alter(&self, alteration: &Alteration) -> Result<Vec<MetadataRecord>, Refused> {
        let resource = &alteration.resource;
        self.check_resource(resource)?;
        let mut names = BTreeSet::new();
        let mut records = Vec::new();
        for (name, operation, value) in &alteration.changes {
            if !names.insert(name.as_str()) {
                let message = format!("the request names {name} more than once");
                return Err(Refused::new(ErrorCode::INVALID_REQUEST, message));
            }
            let Some(operation) = operation else {
                let message = format!("there is no such operation for {name}");
                return Err(Refused::new(ErrorCode::INVALID_REQUEST, message));
            };
            let declaration = declared(resource.kind, name)?;
            let current = self.image.config(resource).and_then(|map| map.get(name.as_str()));
            let next = self.next_value(resource, declaration, *operation, value.as_ref())?;
            if let Some(next) = &next {
                check_value(declaration, next)?;
            }
            if resource.kind == ConfigResource::BROKER {
                check_dynamic(declaration, resource)?;
            }
            if next.as_ref() != current {
                records.push(MetadataRecord::Config(ConfigRecord {
                    resource_type: resource.kind,
                    resource_name: resource.name.clone(),
                    name: name.clone(),
                    value: next,
                }));
            }
        }
        Ok(records)
    }

    fn check_resource(&self, resource: &ConfigResource) -> Result<(), Refused> {
        match resource.kind {
            ConfigResource::TOPIC if self.image.topic(&resource.name).is_none() => {
                Err(Refused::new(
                    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                    format!("there is no topic {}", resource.name),
                ))
            }
            ConfigResource::BROKER if !resource.name.is_empty() => {
                let id = resource.name.parse().ok().map(milena_protocol::ids::NodeId);
                if id.is_some_and(|id| self.image.broker(id).is_some()) {
                    return Ok(());
                }
                Err(Refused::new(
                    ErrorCode::INVALID_REQUEST,
                    format!("there is no broker {}", resource.name),
                ))
            }
            ConfigResource::TOPIC | ConfigResource::BROKER => Ok(()),
            kind => Err(Refused::new(
                ErrorCode::INVALID_REQUEST,
                format!("resources of type {kind} cannot be configured here"),
            )),
        }
    }

    /// The override after an operation.
    fn next_value(
        &self,
        resource: &ConfigResource,
        declaration: &Declaration,
        operation: Operation,
        value: Option<&Text>,
    ) -> Result<Option<Text>, Refused> {
        let invalid = |message: String| Err(Refused::new(ErrorCode::INVALID_CONFIG, message));
        match operation {
            Operation::Delete => return Ok(None),
            Operation::Append | Operation::Subtract if declaration.kind != Kind::List => {
                return invalid(format!("{} is no list to append to", declaration.name));
            }
            _ => {}
        }
        let Some(value) = value else {
            return invalid(format!("{} needs a value", declaration.name));
        };
        if operation == Operation::Set {
            return Ok(Some(value.clone()));
        }
        let current = self.list_in_force(resource, declaration);
        let words: Vec<String> = split(value);
        let mut list = current;
        match operation {
            Operation::Append => {
                for word in words {
                    if !list.contains(&word) {
                        list.push(word);
                    }
                }
            }
            _ => list.retain(|word| !words.contains(word)),
        }
        Ok(Some(list.join(",").into()))
    }

    fn list_in_force(&self, resource: &ConfigResource, declaration: &Declaration) -> Vec<String> {
        let own = self.image.config(resource).and_then(|map| map.get(declaration.name));
        match own {
            Some(value) => split(value),
            None if resource.kind == ConfigResource::TOPIC => self
                .resolver()
                .topic_value(&resource.name, declaration)
                .map(|value| split(&value))
                .unwrap_or_default(),
            None => declaration.default.map(split).unwrap_or_default(),
        }
    }
}

fn split(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn declared(kind: i8, name: &str) -> Result<&'static Declaration, Refused> {
    let found =
        if kind == ConfigResource::TOPIC { configs::topic(name) } else { configs::broker(name) };
    found.ok_or_else(|| {
        let what = if kind == ConfigResource::TOPIC { "topic" } else { "broker" };
        Refused::new(ErrorCode::INVALID_CONFIG, format!("Unknown {what} config name: {name}"))
    })
}

fn check_value(declaration: &Declaration, value: &str) -> Result<(), Refused> {
    if value.len() > MAX_VALUE_BYTES {
        let message = format!("the value of {} has more than 32767 bytes", declaration.name);
        return Err(Refused::new(ErrorCode::INVALID_CONFIG, message));
    }
    declaration
        .check_value(value)
        .map_err(|message| Refused::new(ErrorCode::INVALID_CONFIG, message))
}

/// A broker's configuration may change while it runs, for all brokers or only for one.
fn check_dynamic(declaration: &Declaration, resource: &ConfigResource) -> Result<(), Refused> {
    use crate::configs::Scope;
    let refused = |why: &str| {
        let message =
            format!("Cannot update these configs dynamically: {} {why}", declaration.name);
        Err(Refused::new(ErrorCode::INVALID_REQUEST, message))
    };
    match declaration.scope {
        Scope::ReadOnly | Scope::Internal => refused("is read only at start"),
        Scope::PerBroker if resource.name.is_empty() => refused("belongs to one broker"),
        Scope::PerBroker | Scope::Cluster => Ok(()),
    }
}

/// The overrides of every resource, by kind, for those who list them.
#[must_use]
pub fn resources_of_kind(
    image: &crate::metadata::image::MetadataImage,
    kind: i8,
) -> BTreeMap<Text, i8> {
    image
        .config_resources()
        .filter(|resource| resource.kind == kind)
        .map(|resource| (resource.name.clone(), resource.kind))
        .collect()
}
