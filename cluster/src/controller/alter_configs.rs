//! Changing the configurations of topics, brokers and groups (KIP-133, KIP-339; facts D8–D12,
//! D25, R12).
//!
//! What is wrong with a broker's configuration is INVALID_REQUEST, with a topic's or a group's
//! INVALID_CONFIG, as in Kafka. The changed configuration is checked as a whole.

use std::collections::{BTreeMap, BTreeSet};

use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::metadata_record::{ClearElrRecord, ConfigRecord, MetadataRecord};

use super::features::ELIGIBLE_LEADERS;
use super::machine::{Controller, Decision, Refused};
use crate::configs::{self, Declaration, Kind, Scope};
use crate::metadata::image::ConfigResource;

/// The longest value.
const MAX_VALUE_BYTES: usize = 32_767;
/// Replicas that must be in sync; eligible leaders depend on it (KIP-966).
const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";
/// What a listener reads anew while it runs: changed only for a listener, by its prefix. Other keys
/// of listeners may be changed with and without one.
const ONLY_PER_LISTENER: [&str; 10] = [
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];

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

/// A resource and all the overrides that it shall have.
pub type Replacement = (ConfigResource, Vec<(Text, Option<Text>)>);

impl Controller {
    /// Changes single configurations; a resource with a bad change keeps everything.
    #[must_use]
    pub fn incremental_alter_configs(
        &self,
        alterations: &[Alteration],
        validate_only: bool,
    ) -> Decision<Vec<Result<(), Refused>>> {
        let mut records = Vec::new();
        let mut counts: BTreeMap<&ConfigResource, usize> = BTreeMap::new();
        for alteration in alterations {
            *counts.entry(&alteration.resource).or_default() += 1;
        }
        let answer = alterations
            .iter()
            .map(|alteration| {
                if counts.get(&alteration.resource).is_some_and(|count| *count > 1) {
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
        alterations: &[Replacement],
        validate_only: bool,
    ) -> Decision<Vec<Result<(), Refused>>> {
        let full: Vec<Alteration> = alterations
            .iter()
            .map(|(resource, values)| {
                let mut changes: Vec<_> = values
                    .iter()
                    .map(|(name, value)| (name.clone(), Some(Operation::Set), value.clone()))
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
        let mut overrides = BTreeMap::new();
        for (name, value) in configs {
            let declaration = declared(ConfigResource::TOPIC, name)?;
            let Some(value) = value else {
                let message = format!("the topic configuration {name} needs a value");
                return Err(Refused::new(ErrorCode::INVALID_CONFIG, message));
            };
            check_value(declaration, value).map_err(invalid_config)?;
            overrides.insert(name.clone(), value.clone());
        }
        self.check_topic(&overrides)
    }

    /// What must hold between the configurations of one topic.
    fn check_topic(&self, overrides: &BTreeMap<Text, Text>) -> Result<(), Refused> {
        let text = |name: &str| match overrides.get(name) {
            Some(value) => Some(value.to_string()),
            None => self.resolver().inherited(configs::topic(name)?),
        };
        let number = |name: &str| text(name).and_then(|value| value.trim().parse::<i64>().ok());
        let is_true = |name: &str| text(name).is_some_and(|value| value.trim() == "true");
        let (min, max) = (number("min.compaction.lag.ms"), number("max.compaction.lag.ms"));
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            return Err(invalid_config(format!(
                "min.compaction.lag.ms is {min}, more than max.compaction.lag.ms, which is {max}"
            )));
        }
        let has_tiers = self.resolver().broker_text("remote.log.storage.system.enable");
        if is_true("remote.storage.enable") && has_tiers.as_deref() != Some("true") {
            let message = "remote.storage.enable needs remote.log.storage.system.enable=true on \
                           the brokers";
            return Err(invalid_config(message.to_owned()));
        }
        Ok(())
    }

    /// What must hold between a group's configuration and the bounds that brokers set.
    fn check_group(&self, name: &str, value: &str) -> Result<(), Refused> {
        let Some((kind, rest)) = name.split_once('.') else { return Ok(()) };
        let bound = |side: &str| {
            let key = format!("group.{kind}.{side}.{rest}");
            configs::broker(&key).map(|_| (self.resolver().broker_number(&key), key))
        };
        let Ok(number) = value.trim().parse::<i64>() else { return Ok(()) };
        match (bound("min"), bound("max")) {
            (Some((min, key)), _) if number < min => {
                Err(invalid_config(format!("{name} must be at least {min}, which is {key}")))
            }
            (_, Some((max, key))) if number > max => {
                Err(invalid_config(format!("{name} must be at most {max}, which is {key}")))
            }
            _ => Ok(()),
        }
    }

    fn alter(&self, alteration: &Alteration) -> Result<Vec<MetadataRecord>, Refused> {
        let resource = &alteration.resource;
        self.check_resource(resource)?;
        let current = self.image.config(resource).map(|entries| (**entries).clone());
        let current = current.unwrap_or_default();
        let mut after = current.clone();
        let mut names = BTreeSet::new();
        for (name, operation, value) in &alteration.changes {
            if !names.insert(name.as_str()) {
                let message = format!("the request names {name} more than once");
                return Err(Refused::new(ErrorCode::INVALID_REQUEST, message));
            }
            let Some(operation) = operation else {
                let message = format!("there is no such operation for {name}");
                return Err(Refused::new(ErrorCode::INVALID_REQUEST, message));
            };
            match self.next_value(resource, name, *operation, value.as_ref())? {
                Some(next) => after.insert(name.detach(), next.detach()),
                None => after.remove(name),
            };
        }
        if resource.kind == ConfigResource::TOPIC {
            self.check_topic(&after)?;
        }
        self.records_between(resource, &current, &after)
    }

    /// The records that make the one configuration out of the other.
    fn records_between(
        &self,
        resource: &ConfigResource,
        before: &BTreeMap<Text, Text>,
        after: &BTreeMap<Text, Text>,
    ) -> Result<Vec<MetadataRecord>, Refused> {
        let names: BTreeSet<&Text> = before.keys().chain(after.keys()).collect();
        let changed: Vec<&Text> =
            names.into_iter().filter(|name| before.get(*name) != after.get(*name)).collect();
        let mut records: Vec<MetadataRecord> = changed
            .iter()
            .map(|name| {
                MetadataRecord::Config(ConfigRecord {
                    resource_type: resource.kind,
                    resource_name: resource.name.detach(),
                    name: (*name).clone(),
                    value: after.get(*name).cloned(),
                })
            })
            .collect();
        let min_changed = changed.iter().any(|name| **name == MIN_INSYNC_REPLICAS);
        if min_changed && self.image.feature(ELIGIBLE_LEADERS) > 0 {
            self.check_min_insync_replicas(resource, after)?;
            // Whoever was eligible was so under another minimum.
            let topic_name = match resource.kind {
                ConfigResource::TOPIC => resource.name.detach(),
                _ => Text::default(),
            };
            records.push(ClearElrRecord { topic_name }.into());
        }
        Ok(records)
    }

    /// With eligible leaders the minimum is one for all brokers, and stays set (fact R12).
    fn check_min_insync_replicas(
        &self,
        resource: &ConfigResource,
        after: &BTreeMap<Text, Text>,
    ) -> Result<(), Refused> {
        if resource.kind != ConfigResource::BROKER {
            return Ok(());
        }
        if !resource.name.is_empty() {
            let message = format!(
                "{MIN_INSYNC_REPLICAS} cannot be set for one broker while {ELIGIBLE_LEADERS} is on"
            );
            return Err(invalid_config(message));
        }
        if !after.contains_key(MIN_INSYNC_REPLICAS) {
            let message =
                format!("{MIN_INSYNC_REPLICAS} cannot be removed while {ELIGIBLE_LEADERS} is on");
            return Err(invalid_config(message));
        }
        Ok(())
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
            ConfigResource::GROUP if resource.name.is_empty() => Err(Refused::new(
                ErrorCode::INVALID_REQUEST,
                "groups have no default configuration; name a group",
            )),
            ConfigResource::TOPIC | ConfigResource::BROKER | ConfigResource::GROUP => Ok(()),
            kind => Err(Refused::new(
                ErrorCode::INVALID_REQUEST,
                format!("resources of type {kind} cannot be configured here"),
            )),
        }
    }

    /// The override after an operation, checked by itself.
    fn next_value(
        &self,
        resource: &ConfigResource,
        name: &Text,
        operation: Operation,
        value: Option<&Text>,
    ) -> Result<Option<Text>, Refused> {
        let declaration = declared(resource.kind, name)?;
        if resource.kind == ConfigResource::BROKER {
            check_dynamic(declaration, name, resource)?;
        }
        if operation == Operation::Delete {
            return Ok(None);
        }
        let Some(value) = value else {
            let message = format!("{name} needs a value");
            return Err(Refused::new(ErrorCode::INVALID_REQUEST, message));
        };
        let is_list_operation = matches!(operation, Operation::Append | Operation::Subtract);
        if is_list_operation && declaration.kind != Kind::List {
            return Err(invalid_config(format!("{name} is not a list, so it can only be set")));
        }
        let next = match operation {
            Operation::Append => {
                let mut list = self.list_in_force(resource, name, declaration);
                for word in split(value) {
                    if !list.contains(&word) {
                        list.push(word);
                    }
                }
                list.join(",").into()
            }
            Operation::Subtract => {
                let gone = split(value);
                let mut list = self.list_in_force(resource, name, declaration);
                list.retain(|word| !gone.contains(word));
                list.join(",").into()
            }
            Operation::Set | Operation::Delete => value.clone(),
        };
        check_value(declaration, &next).map_err(|message| match resource.kind {
            ConfigResource::BROKER => Refused::new(ErrorCode::INVALID_REQUEST, message),
            _ => invalid_config(message),
        })?;
        if resource.kind == ConfigResource::GROUP {
            self.check_group(name, &next)?;
        }
        Ok(Some(next))
    }

    /// The list that an operation adds to: the override, else what is in force without it.
    fn list_in_force(
        &self,
        resource: &ConfigResource,
        name: &str,
        declaration: &Declaration,
    ) -> Vec<String> {
        let own = self.image.config_entry(resource.kind, &resource.name, name);
        let inherited = || match resource.kind {
            ConfigResource::BROKER => self.resolver().broker_text(name),
            _ => self.resolver().inherited(declaration),
        };
        own.map(str::to_owned).or_else(inherited).map(|value| split(&value)).unwrap_or_default()
    }
}

fn split(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn invalid_config(message: String) -> Refused {
    Refused::new(ErrorCode::INVALID_CONFIG, message)
}

fn declared(kind: i8, name: &str) -> Result<&'static Declaration, Refused> {
    let (what, found) = match kind {
        ConfigResource::TOPIC => ("topic", configs::topic(name)),
        ConfigResource::GROUP => ("group", configs::group(name)),
        _ => ("broker", configs::broker(name)),
    };
    found.ok_or_else(|| invalid_config(format!("Unknown {what} config name: {name}")))
}

fn check_value(declaration: &Declaration, value: &str) -> Result<(), String> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(format!("the value of {} has more than 32767 bytes", declaration.name));
    }
    declaration.check_value(value)
}

/// A broker's configuration may change while it runs, for all brokers or only for one.
fn check_dynamic(
    declaration: &Declaration,
    name: &str,
    resource: &ConfigResource,
) -> Result<(), Refused> {
    let refused = |why: &str| {
        let message = format!("Cannot update these configs dynamically: {name} {why}");
        Err(Refused::new(ErrorCode::INVALID_REQUEST, message))
    };
    match declaration.scope {
        Scope::ReadOnly | Scope::Internal => refused("is read only at start"),
        Scope::PerBroker if resource.name.is_empty() => refused("belongs to one broker"),
        Scope::PerBroker if ONLY_PER_LISTENER.contains(&name) => {
            refused("needs the prefix listener.name.<listener>.")
        }
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
