//! Every key there is: name, type, default, legal values, scope, meaning.
//!
//! Kafka's keys are declared once, in `milena_cluster`, because the controller answers for them
//! too; this file adds Milena's own keys and the few defaults that differ.

use std::sync::LazyLock;

use milena_cluster::configs;
pub use milena_cluster::configs::{Check, Declaration as Declared, Kind, Scope};

/// Whether a value is right for a key.
#[must_use]
pub fn accepts(declared: &Declared, value: &str) -> bool {
    declared.check_value(value).is_ok()
}

/// The values that are right for a key, as a reader is told them.
#[must_use]
pub fn legal_values(declared: &Declared) -> String {
    let noun = match declared.kind {
        Kind::Boolean => return "true or false".to_owned(),
        Kind::Int | Kind::Short | Kind::Long => "an integer",
        Kind::Double => "a number",
        Kind::List => "a list with commas",
        Kind::Class => "the name of a class",
        Kind::String | Kind::Password => "any text",
    };
    match declared.check {
        Check::Any => noun.to_owned(),
        Check::AtLeast(low) => format!("{noun} of at least {low}"),
        Check::Between(low, high) => format!("{noun} from {low} to {high}"),
        Check::BetweenOrMinusOne(low, high) => format!("{noun} from {low} to {high}, or -1"),
        Check::OneOf(words) if declared.kind == Kind::List => {
            format!("a list of {}", words.join(", "))
        }
        Check::OneOf(words) | Check::OneOfAnyCase(words) => {
            format!("one of {}", words.join(", "))
        }
        Check::NonEmpty => format!("{noun}, not empty"),
        Check::ThrottledReplicas => "* or a list of partition:broker".to_owned(),
        Check::ResetStrategy => "latest, earliest or by_duration:PnDTnHnMn.nS".to_owned(),
    }
}

/// Whether and where a key can be changed at run time, as a reader is told it.
#[must_use]
pub fn at_run_time(declared: &Declared) -> &'static str {
    match declared.scope {
        Scope::ReadOnly => "no, at start only",
        Scope::PerBroker => "yes, per broker",
        Scope::Cluster => "yes, per broker or for the whole cluster",
        Scope::Internal => "no, internal",
    }
}

/// The elements of a list value.
pub fn elements(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|element| !element.is_empty())
}

/// Milena's own keys.
const OWN: &[Declared] = &[
    Declared {
        name: "cluster.id",
        kind: Kind::String,
        default: None,
        check: Check::Any,
        scope: Scope::ReadOnly,
        broker_synonym: None,
        doc: "The cluster's id where an empty data directory is to get a given one; without it \
              one is generated at the first start and kept.",
    },
    Declared {
        name: "http.allow.unauthenticated",
        kind: Kind::Boolean,
        default: Some("false"),
        check: Check::Any,
        scope: Scope::ReadOnly,
        broker_synonym: None,
        doc: "Lets http.listeners be reachable from other machines although nobody has to \
              authenticate.",
    },
    Declared {
        name: "http.listeners",
        kind: Kind::List,
        default: Some("http://127.0.0.1:9644"),
        check: Check::Any,
        scope: Scope::ReadOnly,
        broker_synonym: None,
        doc: "Where HTTP is served: administration, metrics, health; empty switches it off.",
    },
    Declared {
        name: "milena.record.validation",
        kind: Kind::String,
        default: Some("records"),
        check: Check::OneOf(&["records", "batch"]),
        scope: Scope::ReadOnly,
        broker_synonym: None,
        doc: "How far a client's batch is checked before it is stored: every record in it, or \
              its header and checksum only.",
    },
];

/// Where Milena's default is another than Kafka's.
const OTHER_DEFAULTS: &[(&str, Option<&str>)] = &[
    ("controller.listener.names", None),
    ("listeners", Some("PLAINTEXT://127.0.0.1:9092")),
    ("log.dir", None),
    ("node.id", None),
    ("process.roles", Some("broker,controller")),
];

static ALL: LazyLock<Vec<Declared>> = LazyLock::new(|| {
    let mut all: Vec<_> = configs::BROKER.to_vec();
    all.extend_from_slice(configs::DYNAMIC_ONLY);
    for declared in &mut all {
        if let Some((_, default)) = OTHER_DEFAULTS.iter().find(|(name, _)| *name == declared.name) {
            declared.default = *default;
        }
    }
    all.extend_from_slice(OWN);
    all.sort_by_key(|declared| declared.name);
    all
});

/// All keys by name.
#[must_use]
pub fn all() -> &'static [Declared] {
    &ALL
}

/// The declaration of a key.
///
/// `listener.name.<listener>.<key>` and `listener.name.<listener>.<mechanism>.<key>` are the key
/// for one listener, and declared as it is.
#[must_use]
pub fn find(name: &str) -> Option<&'static Declared> {
    if let Some(rest) = name.strip_prefix("listener.name.") {
        let (_, key) = rest.split_once('.')?;
        return exactly(key).or_else(|| exactly(key.split_once('.')?.1));
    }
    exactly(name)
}

fn exactly(name: &str) -> Option<&'static Declared> {
    let all = all();
    all.binary_search_by_key(&name, |declared| declared.name).ok().and_then(|at| all.get(at))
}
