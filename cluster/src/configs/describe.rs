//! Configurations as DescribeConfigs shows them: value, source, synonyms.
//!
//! Synonyms are listed as Kafka lists them: for each kind of place in falling precedence, the key
//! and then its relatives in other units; and only from the key's own first appearance on. So a
//! retention that was set in hours is in force, while `log.retention.ms` has no synonym and the
//! source "default".

use milena_protocol::codec::Text;

use super::declaration::{Declaration, Scope};
use super::resolve::{Resolver, broker, unit_family};
use super::source::Source;
use super::table::{BROKER, DYNAMIC_ONLY, GROUP, TOPIC};
use crate::metadata::image::ConfigResource;

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
    value: Option<String>,
    mut synonyms: Vec<Synonym>,
    is_read_only: bool,
) -> Described {
    let is_sensitive = declaration.is_sensitive();
    if is_sensitive {
        synonyms.iter_mut().for_each(|synonym| synonym.value = None);
    }
    Described {
        declaration: Some(declaration),
        name: declaration.name.to_owned(),
        value: value.filter(|_| !is_sensitive),
        source: synonyms.first().map_or(Source::Default, |synonym| synonym.source),
        is_read_only,
        is_sensitive,
        synonyms,
    }
}

fn own_synonym(name: &str, value: &Text, source: Source) -> Synonym {
    Synonym { name: name.to_owned(), value: Some(value.to_string()), source }
}

/// Every place that says something about a broker's key, the one in force first.
fn broker_synonyms(resolver: &Resolver<'_>, name: &str) -> Vec<Synonym> {
    let family = || std::iter::once(name).chain(unit_family(name).iter().map(|(name, _)| *name));
    let mut synonyms = Vec::new();
    for source in [Source::DynamicBroker, Source::DynamicDefaultBroker, Source::StaticBroker] {
        synonyms.extend(family().filter_map(|name| {
            let value = resolver.value_at(name, source)?.to_owned();
            Some(Synonym { name: name.to_owned(), value: Some(value), source })
        }));
    }
    // What is only dynamic is no key of a broker's file, where defaults are from.
    let is_dynamic_only = DYNAMIC_ONLY.iter().any(|declaration| declaration.name == name);
    synonyms.extend(family().filter(|_| !is_dynamic_only).filter_map(|name| {
        let value = broker(name)?.default?.to_owned();
        Some(Synonym { name: name.to_owned(), value: Some(value), source: Source::Default })
    }));
    synonyms.into_iter().skip_while(|synonym| synonym.name != name).collect()
}

/// A topic's configurations; `wanted` none means all.
#[must_use]
pub fn describe_topic(
    resolver: &Resolver<'_>,
    topic: &str,
    wanted: Option<&[Text]>,
) -> Vec<Described> {
    let overrides = resolver.image.config(&ConfigResource::topic(Text::from(topic)));
    let own = |name: &str| overrides.and_then(|overrides| overrides.get(name));
    describe_topic_with(resolver, own, wanted)
}

/// A topic's configurations where its overrides are not in the image: those of a topic that is
/// about to be created.
pub fn describe_topic_with<'a>(
    resolver: &Resolver<'_>,
    own: impl Fn(&str) -> Option<&'a Text>,
    wanted: Option<&[Text]>,
) -> Vec<Described> {
    let shown = |declaration: &&Declaration| {
        is_wanted(declaration.name, wanted)
            && (declaration.scope != Scope::Internal || own(declaration.name).is_some())
    };
    TOPIC
        .iter()
        .filter(shown)
        .map(|declaration| {
            let name = declaration.name;
            let set = own(name);
            let mut synonyms: Vec<_> =
                set.map(|value| own_synonym(name, value, Source::Topic)).into_iter().collect();
            if let Some(synonym) = declaration.broker_synonym {
                synonyms.extend(broker_synonyms(resolver, synonym));
            }
            let value = match set {
                Some(value) => Some(value.to_string()),
                None => resolver.inherited(declaration),
            };
            described(declaration, value, synonyms, false)
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
    let known = BROKER.iter().chain(DYNAMIC_ONLY).filter(|d| is_wanted(d.name, wanted));
    if only_defaults {
        return known
            .filter_map(|declaration| {
                let source = Source::DynamicDefaultBroker;
                let value = resolver.value_at(declaration.name, source)?.to_owned();
                let synonym = Synonym {
                    name: declaration.name.to_owned(),
                    value: Some(value.clone()),
                    source,
                };
                let is_read_only = !declaration.is_dynamic();
                Some(described(declaration, Some(value), vec![synonym], is_read_only))
            })
            .collect();
    }
    let is_hidden = |declaration: &Declaration| {
        let always_shown = declaration.scope != Scope::Internal
            && !DYNAMIC_ONLY.iter().any(|hidden| hidden.name == declaration.name);
        !always_shown && resolver.override_of(declaration.name).is_empty()
    };
    let known = known.filter(|declaration| !is_hidden(declaration)).map(|declaration| {
        let synonyms = broker_synonyms(resolver, declaration.name);
        let value = match resolver.override_of(declaration.name).into_iter().next() {
            Some((value, _)) => Some(value),
            None => declaration.default.map(str::to_owned),
        };
        described(declaration, value, synonyms, !declaration.is_dynamic())
    });
    let custom = resolver
        .static_values
        .keys()
        .filter(|name| broker(name).is_none_or(|declaration| declaration.name != **name))
        .filter(|name| is_wanted(name, wanted))
        .map(|name| Described {
            declaration: broker(name),
            name: name.clone(),
            // A name that nobody declared may hold a secret, and one for a listener often does.
            value: None,
            source: Source::StaticBroker,
            is_read_only: broker(name).is_none_or(|declaration| !declaration.is_dynamic()),
            is_sensitive: true,
            synonyms: vec![Synonym {
                name: name.clone(),
                value: None,
                source: Source::StaticBroker,
            }],
        });
    known.chain(custom).collect()
}

/// A group's configurations where nobody overrides them.
#[must_use]
pub fn describe_group(wanted: Option<&[Text]>) -> Vec<Described> {
    let wanted = GROUP.iter().filter(|declaration| is_wanted(declaration.name, wanted));
    wanted
        .map(|declaration| {
            let value = declaration.default.map(str::to_owned);
            described(declaration, value, Vec::new(), false)
        })
        .collect()
}

/// A group's configurations in force, for any name of a group; what it does not override comes
/// from the brokers' configuration of groups.
#[must_use]
pub fn describe_group_of(
    resolver: &Resolver<'_>,
    group: &str,
    wanted: Option<&[Text]>,
) -> Vec<Described> {
    let resource = ConfigResource { kind: ConfigResource::GROUP, name: Text::from(group) };
    let overrides = resolver.image.config(&resource);
    let wanted = GROUP.iter().filter(|declaration| is_wanted(declaration.name, wanted));
    wanted
        .map(|declaration| {
            let own = overrides.and_then(|overrides| overrides.get(declaration.name));
            let synonym = own.map(|value| own_synonym(declaration.name, value, Source::Group));
            let value = match own {
                Some(value) => Some(value.to_string()),
                None => resolver.inherited(declaration),
            };
            described(declaration, value, synonym.into_iter().collect(), false)
        })
        .collect()
}

fn is_wanted(name: &str, wanted: Option<&[Text]>) -> bool {
    wanted.is_none_or(|wanted| wanted.iter().any(|asked| asked == name))
}

#[cfg(test)]
mod tests {
    use milena_protocol::ids::{LeaderEpoch, NodeId, Offset};
    use milena_protocol::metadata_record::{ConfigRecord, MetadataRecord};

    use super::*;
    use crate::configs::Values;
    use crate::metadata::image::MetadataImage;

    fn image(overrides: &[(i8, &str, &str, &str)]) -> MetadataImage {
        let mut image = MetadataImage::default();
        for (resource_type, resource_name, name, value) in overrides {
            let record = MetadataRecord::from(ConfigRecord {
                resource_type: *resource_type,
                resource_name: (*resource_name).into(),
                name: (*name).into(),
                value: Some((*value).into()),
            });
            image.replay(Offset(0), LeaderEpoch(1), &record).unwrap();
        }
        image
    }

    fn sources(described: &Described) -> Vec<(&str, i8)> {
        described.synonyms.iter().map(|s| (s.name.as_str(), s.source as i8)).collect()
    }

    /// Fact D11: tools would show a value with another origin than the one that is in force.
    #[test]
    fn a_topics_value_comes_from_the_nearest_place() {
        let image = image(&[
            (2, "t", "max.message.bytes", "1"),
            (4, "7", "message.max.bytes", "2"),
            (4, "", "message.max.bytes", "3"),
        ]);
        let static_values = Values::from([("message.max.bytes".into(), "4".into())]);
        let resolver = Resolver { node: NodeId(7), static_values: &static_values, image: &image };
        let wanted = ["max.message.bytes".into()];
        let own = describe_topic(&resolver, "t", Some(&wanted)).remove(0);
        let broker_key = "message.max.bytes";
        assert_eq!(own.value.as_deref(), Some("1"));
        assert_eq!(
            sources(&own),
            [
                ("max.message.bytes", 1),
                (broker_key, 2),
                (broker_key, 3),
                (broker_key, 4),
                (broker_key, 5)
            ]
        );
        let other = describe_topic(&resolver, "u", Some(&wanted)).remove(0);
        assert_eq!((other.value.as_deref(), other.source), (Some("2"), Source::DynamicBroker));
        assert!(!other.is_read_only, "fact D12");
    }

    /// Hours would be shown, or kept, as milliseconds.
    #[test]
    fn units_of_a_family_are_converted() {
        let image = MetadataImage::default();
        let static_values = Values::from([("log.retention.hours".into(), "2".into())]);
        let resolver = Resolver { node: NodeId(7), static_values: &static_values, image: &image };
        let wanted = ["retention.ms".into(), "log.retention.ms".into()];
        let topic = describe_topic(&resolver, "t", Some(&wanted)).remove(0);
        assert_eq!(topic.value.as_deref(), Some("7200000"));
        assert_eq!((sources(&topic), topic.source), (vec![], Source::Default));
        let broker = describe_broker(&resolver, false, Some(&wanted)).remove(0);
        assert_eq!((broker.value, broker.synonyms.len()), (None, 0), "fact D26");
    }

    /// Brokers that nobody throttles would show rates, which Apache Kafka's do not.
    #[test]
    fn what_is_only_dynamic_is_shown_where_it_is_set() {
        let rate = "leader.replication.throttled.rate";
        let static_values = Values::new();
        let shown = |image: &MetadataImage, only_defaults| {
            let resolver = Resolver { node: NodeId(7), static_values: &static_values, image };
            let all = describe_broker(&resolver, only_defaults, None);
            let named = all.into_iter().filter(|entry| entry.name.contains("throttled"));
            let facts = |entry: Described| {
                (entry.value, entry.source, entry.is_read_only, entry.synonyms.len())
            };
            named.map(facts).collect::<Vec<_>>()
        };
        assert!(shown(&MetadataImage::default(), false).is_empty());
        let one = image(&[(4, "7", rate, "5"), (4, "8", rate, "6")]);
        let expected = [(Some("5".to_owned()), Source::DynamicBroker, false, 1)];
        assert_eq!(shown(&one, false), expected);
        assert!(shown(&one, true).is_empty());
        let all = image(&[(4, "", rate, "4")]);
        let expected = [(Some("4".to_owned()), Source::DynamicDefaultBroker, false, 1)];
        assert_eq!(shown(&all, false), expected);
        assert_eq!(shown(&all, true), expected);
    }

    /// A password would leave the broker.
    #[test]
    fn secrets_and_unknown_keys_are_hidden() {
        let image = MetadataImage::default();
        let static_values = Values::from([
            ("ssl.key.password".into(), "hush".into()),
            ("my.plugin.key".into(), "hush".into()),
        ]);
        let resolver = Resolver { node: NodeId(7), static_values: &static_values, image: &image };
        let all = describe_broker(&resolver, false, None);
        assert_eq!(all.len(), 341);
        assert!(!format!("{all:?}").contains("hush"));
        assert!(all.iter().filter(|entry| entry.is_sensitive).count() > 2);
        assert_eq!(describe_topic(&resolver, "t", None).len(), 33);
        assert_eq!(describe_group_of(&resolver, "g", None).len(), 17);
        assert!(describe_broker(&resolver, true, None).is_empty());
    }
}
