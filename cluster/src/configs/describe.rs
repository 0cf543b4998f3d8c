//! Configurations as DescribeConfigs shows them: value, source, synonyms.

use milena_protocol::codec::Text;

use super::{BROKER, Declaration, GROUP, Resolver, Scope, TOPIC, broker, unit_family};
use crate::metadata::image::ConfigResource;

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Source {
    /// The topic's own override.
    Topic = 1,
    /// The override of one broker.
    DynamicBroker = 2,
    /// The override of all brokers.
    DynamicDefaultBroker = 3,
    /// The broker's file, environment or command line.
    StaticBroker = 4,
    /// Nobody set it.
    Default = 5,
    /// The group's own override.
    Group = 8,
}

/// A place that sets a value, or would if those before it did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The name there.
    pub name: String,
    /// The value there; none where it is a secret.
    pub value: Option<String>,
    /// What kind of place.
    pub source: Source,
}

/// One configuration with everything there is to say about it.
#[derive(Clone, Debug)]
pub struct Described {
    /// Its declaration; none for a name that only the file knows.
    pub declaration: Option<&'static Declaration>,
    /// Its name.
    pub name: String,
    /// The value in force; none where it has none or is a secret.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: Source,
    /// Whether it can only be set at start.
    pub is_read_only: bool,
    /// Whether its value is kept secret.
    pub is_sensitive: bool,
    /// Every place that sets it, the one in force first.
    pub synonyms: Vec<Synonym>,
}

fn described(
    declaration: &'static Declaration,
    synonyms: Vec<Synonym>,
    is_read_only: bool,
) -> Described {
    let is_sensitive = declaration.is_sensitive();
    let hide = |value: Option<String>| if is_sensitive { None } else { value };
    let first = synonyms.first();
    Described {
        declaration: Some(declaration),
        name: declaration.name.to_owned(),
        value: hide(first.and_then(|synonym| synonym.value.clone())),
        source: first.map_or(Source::Default, |synonym| synonym.source),
        is_read_only,
        is_sensitive,
        synonyms: synonyms
            .into_iter()
            .map(|synonym| Synonym { value: hide(synonym.value), ..synonym })
            .collect(),
    }
}

fn broker_synonyms(resolver: &Resolver<'_>, name: &str) -> Vec<Synonym> {
    let family = std::iter::once(name).chain(unit_family(name).iter().map(|(name, _)| *name));
    let mut synonyms = Vec::new();
    let mut defaults = Vec::new();
    for name in family {
        synonyms.extend(resolver.override_of(name).into_iter().map(|(value, source)| Synonym {
            name: name.to_owned(),
            value: Some(value),
            source,
        }));
        defaults.extend(broker(name).and_then(|d| d.default).map(|value| Synonym {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            source: Source::Default,
        }));
    }
    synonyms.extend(defaults);
    synonyms
}

/// A topic's configurations; `wanted` none means all.
#[must_use]
pub fn describe_topic(
    resolver: &Resolver<'_>,
    topic: &str,
    wanted: Option<&[Text]>,
) -> Vec<Described> {
    let resource = ConfigResource::topic(Text::from(topic));
    let overrides = resolver.image.config(&resource);
    TOPIC
        .iter()
        .filter(|declaration| is_wanted(declaration.name, wanted))
        .filter_map(|declaration| {
            let own = overrides.and_then(|map| map.get(declaration.name));
            if declaration.scope == Scope::Internal && own.is_none() {
                return None;
            }
            let mut synonyms: Vec<Synonym> = own
                .map(|value| Synonym {
                    name: declaration.name.to_owned(),
                    value: Some(value.to_string()),
                    source: Source::Topic,
                })
                .into_iter()
                .collect();
            synonyms.extend(
                declaration
                    .broker_synonym
                    .map(|name| broker_synonyms(resolver, name))
                    .unwrap_or_default(),
            );
            let has_default = synonyms.iter().any(|synonym| synonym.source == Source::Default);
            if let (false, Some(value)) = (has_default, declaration.default) {
                synonyms.push(Synonym {
                    name: declaration.name.to_owned(),
                    value: Some(value.to_owned()),
                    source: Source::Default,
                });
            }
            let mut described = described(declaration, synonyms, false);
            // A value inherited in another unit is shown in the topic's own.
            if described.source != Source::Topic {
                described.value = resolver.topic_value(topic, declaration);
            }
            Some(described)
        })
        .collect()
}

/// A broker's configurations; `wanted` none means all. With `only_defaults`, what is set for all
/// brokers and nothing else.
#[must_use]
pub fn describe_broker(
    resolver: &Resolver<'_>,
    only_defaults: bool,
    wanted: Option<&[Text]>,
) -> Vec<Described> {
    if only_defaults {
        let all = ConfigResource::broker(Text::default());
        let overrides = resolver.image.config(&all);
        return BROKER
            .iter()
            .filter(|declaration| is_wanted(declaration.name, wanted))
            .filter_map(|declaration| {
                let value = overrides?.get(declaration.name)?;
                let synonym = Synonym {
                    name: declaration.name.to_owned(),
                    value: Some(value.to_string()),
                    source: Source::DynamicDefaultBroker,
                };
                Some(described(declaration, vec![synonym], false))
            })
            .collect();
    }
    let known = BROKER
        .iter()
        .filter(|declaration| is_wanted(declaration.name, wanted))
        .filter(|declaration| {
            declaration.scope != Scope::Internal
                || !resolver.override_of(declaration.name).is_empty()
        })
        .map(|declaration| {
            let synonyms = broker_synonyms(resolver, declaration.name);
            let mut described = described(declaration, synonyms, !declaration.is_dynamic());
            // Its own default only, where nobody set it or its family.
            if described.source == Source::Default {
                described.value = declaration.default.map(str::to_owned);
            }
            described
        });
    let custom = resolver
        .static_values
        .iter()
        .filter(|(name, _)| broker(name).is_none() && is_wanted(name, wanted))
        .map(|(name, _)| Described {
            declaration: None,
            name: name.clone(),
            // A name that nobody declared may hold a secret.
            value: None,
            source: Source::StaticBroker,
            is_read_only: true,
            is_sensitive: true,
            synonyms: Vec::new(),
        });
    known.chain(custom).collect()
}

/// A group's configurations, for any name of a group.
#[must_use]
pub fn describe_group(wanted: Option<&[Text]>) -> Vec<Described> {
    GROUP
        .iter()
        .filter(|declaration| is_wanted(declaration.name, wanted))
        .map(|declaration| {
            let synonym = declaration.default.map(|value| Synonym {
                name: declaration.name.to_owned(),
                value: Some(value.to_owned()),
                source: Source::Default,
            });
            described(declaration, synonym.into_iter().collect(), false)
        })
        .collect()
}

fn is_wanted(name: &str, wanted: Option<&[Text]>) -> bool {
    wanted.is_none_or(|wanted| wanted.iter().any(|asked| asked == name))
}
