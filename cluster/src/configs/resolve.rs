//! Finding a declaration by its name, and the value that is in force.

use std::collections::BTreeMap;

use milena_protocol::ids::NodeId;

use super::declaration::Declaration;
use super::source::Source;
use super::table::{BROKER, DYNAMIC_ONLY, GROUP, TOPIC};
use crate::metadata::image::{ConfigResource, MetadataImage};

/// Text values by name, as a file or an image holds them.
pub type Values = BTreeMap<String, String>;

/// A broker's configuration by name; that for one listener,
/// `listener.name.<listener>.[<mechanism>.]<key>`, is declared as the key is.
#[must_use]
pub fn broker(name: &str) -> Option<&'static Declaration> {
    if let Some(rest) = name.strip_prefix("listener.name.") {
        let (_, key) = rest.split_once('.')?;
        return sorted(BROKER, key).or_else(|| sorted(BROKER, key.split_once('.')?.1));
    }
    sorted(BROKER, name).or_else(|| sorted(DYNAMIC_ONLY, name))
}

/// A topic's configuration by name.
#[must_use]
pub fn topic(name: &str) -> Option<&'static Declaration> {
    sorted(TOPIC, name)
}

/// A group's configuration by name.
#[must_use]
pub fn group(name: &str) -> Option<&'static Declaration> {
    sorted(GROUP, name)
}

fn sorted(table: &'static [Declaration], name: &str) -> Option<&'static Declaration> {
    let at = table.binary_search_by_key(&name, |declaration| declaration.name).ok()?;
    table.get(at)
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
        let own = self.image.config_entry(ConfigResource::TOPIC, topic, declaration.name);
        own.map(str::to_owned).or_else(|| self.inherited(declaration))
    }

    /// What a topic's or a group's configuration is where it has no override.
    #[must_use]
    pub fn inherited(&self, declaration: &Declaration) -> Option<String> {
        let inherited = declaration.broker_synonym.and_then(|name| self.broker_override(name));
        inherited.or_else(|| declaration.default.map(str::to_owned))
    }

    /// What a broker's configuration is set to anywhere; none where only the default is left.
    /// What is set in another unit counts, converted, where the key itself is not set.
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

    /// What one kind of place sets exactly this name to.
    #[must_use]
    pub fn value_at(&self, name: &str, source: Source) -> Option<&str> {
        let dynamic =
            |resource: &str| self.image.config_entry(ConfigResource::BROKER, resource, name);
        match source {
            Source::DynamicBroker => dynamic(&self.node.to_string()),
            Source::DynamicDefaultBroker => dynamic(""),
            Source::StaticBroker => self.static_values.get(name).map(String::as_str),
            Source::Topic | Source::Group | Source::Default => None,
        }
    }

    /// Every place that sets exactly this name, in falling precedence.
    #[must_use]
    pub fn override_of(&self, name: &str) -> Vec<(String, Source)> {
        [Source::DynamicBroker, Source::DynamicDefaultBroker, Source::StaticBroker]
            .into_iter()
            .filter_map(|source| Some((self.value_at(name, source)?.to_owned(), source)))
            .collect()
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

    /// A broker's text in force.
    #[must_use]
    pub fn broker_text(&self, name: &str) -> Option<String> {
        let default = || broker(name).and_then(|d| d.default).map(str::to_owned);
        self.broker_override(name).or_else(default)
    }

    /// A broker's number in force.
    #[must_use]
    pub fn broker_number(&self, name: &str) -> i64 {
        self.broker_text(name).and_then(|value| value.trim().parse().ok()).unwrap_or(i64::MAX)
    }
}
/// How many replicas of so many have to be in sync where `min.insync.replicas` says so: one at
/// least, and never more than there are, for nobody could ever write to that partition.
#[must_use]
pub fn min_in_sync(min_insync_replicas: usize, replicas: usize) -> usize {
    min_insync_replicas.clamp(1, replicas.max(1))
}
