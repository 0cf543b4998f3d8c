//! Configurations: what there is, what is legal, and which value is in force.
//!
//! A broker's value comes from its own dynamic override, else from that of all brokers, else from
//! its file, else it is the default. A topic's value is its override, else that of its broker
//! synonym. Where time is concerned milliseconds win over minutes over hours.

mod broker_table;
mod declaration;
mod describe;
mod group_table;
mod topic_table;

use std::collections::BTreeMap;

pub use broker_table::BROKER;
pub use declaration::{Check, Declaration, Kind, Scope};
pub use describe::{Described, Source, Synonym, describe_broker, describe_group, describe_topic};
pub use group_table::GROUP;
pub use topic_table::TOPIC;

use milena_protocol::codec::Text;
use milena_protocol::ids::NodeId;

use crate::metadata::image::{ConfigResource, MetadataImage};

/// Text values by name, as a file or an image holds them.
pub type Values = BTreeMap<String, String>;

/// A broker's configuration by name.
#[must_use]
pub fn broker(name: &str) -> Option<&'static Declaration> {
    BROKER.iter().find(|declaration| declaration.name == name)
}

/// A topic's configuration by name.
#[must_use]
pub fn topic(name: &str) -> Option<&'static Declaration> {
    TOPIC.iter().find(|declaration| declaration.name == name)
}

/// Other names, in falling precedence, that say the same in a broker's configuration with another
/// unit, and by how much their value is multiplied.
#[must_use]
pub fn unit_family(name: &str) -> &'static [(&'static str, i64)] {
    match name {
        "log.retention.ms" => {
            &[("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000)]
        }
        "log.roll.ms" => &[("log.roll.hours", 3_600_000)],
        "log.roll.jitter.ms" => &[("log.roll.jitter.hours", 3_600_000)],
        "log.flush.interval.ms" => &[("log.flush.scheduler.interval.ms", 1)],
        _ => &[],
    }
}

/// Looks up values in force.
#[derive(Clone, Copy, Debug)]
pub struct Resolver<'a> {
    /// The broker that asks.
    pub node: NodeId,
    /// Its file, environment and command line.
    pub static_values: &'a Values,
    /// The image with the dynamic overrides.
    pub image: &'a MetadataImage,
}

impl Resolver<'_> {
    /// What a topic's configuration is in force as; the default has no value for some.
    #[must_use]
    pub fn topic_value(&self, topic: &str, declaration: &Declaration) -> Option<String> {
        let resource = ConfigResource::topic(Text::from(topic));
        if let Some(value) = self.image.config(&resource).and_then(|map| map.get(declaration.name))
        {
            return Some(value.to_string());
        }
        let inherited = declaration.broker_synonym.and_then(|name| self.broker_override(name));
        inherited.or_else(|| declaration.default.map(str::to_owned))
    }

    /// What a broker's configuration is set to anywhere; none where only the default is left.
    #[must_use]
    pub fn broker_override(&self, name: &str) -> Option<String> {
        let family = std::iter::once((name, 1)).chain(unit_family(name).iter().copied());
        for (name, factor) in family {
            if let Some((value, _)) = self.override_of(name).into_iter().next() {
                let scaled = match (factor, value.trim().parse::<i64>()) {
                    (1, _) | (_, Err(_)) => value,
                    (_, Ok(number)) if number < 0 => value,
                    (factor, Ok(number)) => number.saturating_mul(factor).to_string(),
                };
                return Some(scaled);
            }
        }
        None
    }

    /// Every place that sets exactly this name, in falling precedence.
    #[must_use]
    pub fn override_of(&self, name: &str) -> Vec<(String, Source)> {
        let dynamic = |resource: &str| {
            let resource = ConfigResource::broker(Text::from(resource));
            self.image.config(&resource).and_then(|map| map.get(name)).map(|v| v.to_string())
        };
        let mut found = Vec::new();
        found.extend(dynamic(&self.node.to_string()).map(|v| (v, Source::DynamicBroker)));
        found.extend(dynamic("").map(|v| (v, Source::DynamicDefaultBroker)));
        found.extend(self.static_values.get(name).map(|v| (v.clone(), Source::StaticBroker)));
        found
    }

    /// A topic's number in force.
    #[must_use]
    pub fn topic_number(&self, topic: &str, name: &str) -> i64 {
        self::topic(name)
            .and_then(|declaration| self.topic_value(topic, declaration))
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or(i64::MAX)
    }

    /// A topic's text in force.
    #[must_use]
    pub fn topic_text(&self, topic: &str, name: &str) -> String {
        self::topic(name)
            .and_then(|declaration| self.topic_value(topic, declaration))
            .unwrap_or_default()
    }

    /// A broker's number in force.
    #[must_use]
    pub fn broker_number(&self, name: &str) -> i64 {
        let default = || broker(name).and_then(|d| d.default).map(str::to_owned);
        self.broker_override(name)
            .or_else(default)
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or(i64::MAX)
    }
}
