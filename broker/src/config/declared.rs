//! Every key there is: name, type, default, legal values, scope, meaning.
//!
//! Kafka's keys are declared once, in `milena_cluster`, because the controller answers for them
//! too; this file adds Milena's own keys and the few defaults that differ.

use std::sync::LazyLock;

use super::interim;

/// What kind of value a key takes, as DescribeConfigs tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// A 32-bit number.
    Int,
    /// A 16-bit number.
    Short,
    /// A 64-bit number.
    Long,
    /// A floating-point number.
    Double,
    /// Texts with commas between them.
    List,
    /// The name of a Java class.
    Class,
    /// Text that is never shown.
    Password,
}

impl Kind {
    /// The kind's name in explanations.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Int => "int",
            Self::Short => "short",
            Self::Long => "long",
            Self::Double => "double",
            Self::List => "list",
            Self::Class => "class",
            Self::Password => "password",
        }
    }
}

/// Whether and where a key can be changed at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// At start only.
    ReadOnly,
    /// At run time on one broker.
    PerBroker,
    /// At run time on one broker or on all.
    ClusterWide,
}

impl Scope {
    /// The scope's name in explanations.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "no, at start only",
            Self::PerBroker => "yes, per broker",
            Self::ClusterWide => "yes, per broker or for the whole cluster",
        }
    }
}

/// Which values are right, beyond the kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Legal {
    /// All of the kind.
    Any,
    /// Numbers from the first to the second, both included.
    Between(f64, f64),
    /// One of these texts; of a list, each element.
    OneOf(&'static [&'static str]),
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Declared {
    /// Its name.
    pub name: &'static str,
    /// The kind of its value.
    pub kind: Kind,
    /// What holds when nobody sets it; nothing means unset.
    pub default: Option<&'static str>,
    /// The values that are right.
    pub legal: Legal,
    /// Whether it can be changed at run time.
    pub scope: Scope,
    /// What it does.
    pub doc: &'static str,
}

impl Declared {
    /// Whether its value is a secret.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.kind == Kind::Password
    }

    /// The legal values as a reader is told them.
    #[must_use]
    pub fn legal_values(&self) -> String {
        let number = match self.kind {
            Kind::Boolean => return "true or false".to_owned(),
            Kind::Int => (f64::from(i32::MIN), f64::from(i32::MAX), "an integer"),
            Kind::Short => (f64::from(i16::MIN), f64::from(i16::MAX), "an integer"),
            Kind::Long => (i64::MIN as f64, i64::MAX as f64, "an integer"),
            Kind::Double => (f64::MIN, f64::MAX, "a number"),
            Kind::String | Kind::List | Kind::Class | Kind::Password => return self.legal_text(),
        };
        let (min, max, noun) = number;
        match self.legal {
            Legal::Between(low, high) if high >= max => format!("{noun} of at least {low}"),
            Legal::Between(low, high) => format!("{noun} from {low} to {high}"),
            _ if self.kind == Kind::Int || self.kind == Kind::Short => {
                format!("{noun} from {min} to {max}")
            }
            _ => noun.to_owned(),
        }
    }

    fn legal_text(&self) -> String {
        match (self.legal, self.kind) {
            (Legal::OneOf(texts), Kind::List) => format!("a list of {}", texts.join(", ")),
            (Legal::OneOf(texts), _) => format!("one of {}", texts.join(", ")),
            (_, Kind::List) => "a list with commas".to_owned(),
            (_, Kind::Class) => "the name of a class".to_owned(),
            _ => "any text".to_owned(),
        }
    }

    /// Whether a value is right.
    #[must_use]
    pub fn accepts(&self, value: &str) -> bool {
        let value = value.trim();
        match self.kind {
            Kind::Boolean => matches!(value.to_ascii_lowercase().as_str(), "true" | "false"),
            Kind::Int => value.parse::<i32>().is_ok_and(|number| self.contains(number.into())),
            Kind::Short => value.parse::<i16>().is_ok_and(|number| self.contains(number.into())),
            Kind::Long => value.parse::<i64>().is_ok_and(|number| self.contains(number as f64)),
            Kind::Double => value.parse::<f64>().is_ok_and(|number| self.contains(number)),
            Kind::List => elements(value).all(|element| self.is_listed(element)),
            Kind::String => self.is_listed(value),
            Kind::Class | Kind::Password => true,
        }
    }

    fn contains(&self, number: f64) -> bool {
        match self.legal {
            Legal::Between(low, high) => (low..=high).contains(&number),
            Legal::Any | Legal::OneOf(_) => !number.is_nan(),
        }
    }

    fn is_listed(&self, text: &str) -> bool {
        match self.legal {
            Legal::OneOf(texts) => texts.contains(&text),
            Legal::Any | Legal::Between(..) => true,
        }
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
        legal: Legal::Any,
        scope: Scope::ReadOnly,
        doc: "the cluster's id where an empty data directory is to get a given one; without it \
              one is generated at the first start and kept",
    },
    Declared {
        name: "http.allow.unauthenticated",
        kind: Kind::Boolean,
        default: Some("false"),
        legal: Legal::Any,
        scope: Scope::ReadOnly,
        doc: "lets http.listeners be reachable from other machines although nobody has to \
              authenticate",
    },
    Declared {
        name: "http.listeners",
        kind: Kind::List,
        default: Some("http://127.0.0.1:9644"),
        legal: Legal::Any,
        scope: Scope::ReadOnly,
        doc: "where HTTP is served: administration, metrics, health; empty switches it off",
    },
    Declared {
        name: "milena.record.validation",
        kind: Kind::String,
        default: Some("records"),
        legal: Legal::OneOf(&["records", "batch"]),
        scope: Scope::ReadOnly,
        doc: "how far a client's batch is checked before it is stored: every record in it, or \
              its header and checksum only",
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
    let mut all: Vec<_> = interim::KAFKA.to_vec();
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
