//! How a configuration is declared, and whether a value may stand in it.

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// 32 bits.
    Int,
    /// 16 bits.
    Short,
    /// 64 bits.
    Long,
    /// A floating-point number.
    Double,
    /// Words with commas between.
    List,
    /// The name of a class; there are none here.
    Class,
    /// A secret, never shown.
    Password,
}

impl Kind {
    /// The number in DescribeConfigs.
    #[must_use]
    pub const fn number(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }

    /// The name, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
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

/// Which values are legal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Check {
    /// All of the type.
    Any,
    /// Numbers not below.
    AtLeast(f64),
    /// Numbers within, both ends included.
    Between(f64, f64),
    /// Numbers within, or −1.
    BetweenOrMinusOne(f64, f64),
    /// Not empty.
    NonEmpty,
    /// One of these words; in a list, each element, and none twice.
    OneOf(&'static [&'static str]),
    /// One of these words in any case.
    OneOfAnyCase(&'static [&'static str]),
    /// `*`, or pairs `partition:broker` with commas between.
    ThrottledReplicas,
    /// `latest`, `earliest` or `by_duration:` and an ISO 8601 duration.
    ResetStrategy,
}

/// When a configuration can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Only at start.
    ReadOnly,
    /// While it runs, for one broker.
    PerBroker,
    /// While it runs, for one broker or all.
    Cluster,
    /// Not meant for anybody; hidden unless set.
    Internal,
}

/// One configuration.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its default; none where it has none.
    pub default: Option<&'static str>,
    /// Its legal values.
    pub check: Check,
    /// When it can be changed.
    pub scope: Scope,
    /// The broker configuration that a topic falls back to.
    pub broker_synonym: Option<&'static str>,
    /// What it means.
    pub doc: &'static str,
}

impl Declaration {
    /// Whether its value is a secret.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// Whether it can be changed while a broker runs.
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        matches!(self.scope, Scope::PerBroker | Scope::Cluster)
    }

    /// The legal values, for people.
    #[must_use]
    pub fn legal_values(&self) -> String {
        let noun = match self.kind {
            Kind::Boolean => return "true or false".to_owned(),
            Kind::Int => "an int".to_owned(),
            kind => format!("a {}", kind.name()),
        };
        match self.check {
            Check::Any => noun,
            Check::AtLeast(min) => format!("{noun} of at least {min}"),
            Check::Between(min, max) => format!("{noun} from {min} to {max}"),
            Check::BetweenOrMinusOne(min, max) => format!("{noun} from {min} to {max}, or -1"),
            Check::NonEmpty => format!("{noun} that is not empty"),
            Check::OneOf(words) if self.kind == Kind::List => {
                format!("a list without repetition out of {}", words.join(", "))
            }
            Check::OneOf(words) | Check::OneOfAnyCase(words) => {
                format!("one of {}", words.join(", "))
            }
            Check::ThrottledReplicas => "* or a list of partition:broker".to_owned(),
            Check::ResetStrategy => "latest, earliest or by_duration:PnDTnHnMn.nS".to_owned(),
        }
    }

    /// Checks a value.
    ///
    /// # Errors
    /// A sentence that names the key, the value and the legal values; a secret is not repeated.
    pub fn check_value(&self, value: &str) -> Result<(), String> {
        if self.is_legal(value.trim()) {
            return Ok(());
        }
        let shown = if self.is_sensitive() { "(hidden)" } else { value };
        Err(format!(
            "Invalid value {shown} for configuration {}: must be {}",
            self.name,
            self.legal_values()
        ))
    }

    fn is_legal(&self, value: &str) -> bool {
        match self.kind {
            Kind::Boolean => {
                value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
            }
            Kind::Int => value.parse::<i32>().is_ok_and(|n| self.is_in_range(f64::from(n))),
            Kind::Short => value.parse::<i16>().is_ok_and(|n| self.is_in_range(f64::from(n))),
            Kind::Long => value.parse::<i64>().is_ok_and(|n| self.is_in_range(n as f64)),
            Kind::Double => value.parse::<f64>().is_ok_and(|n| self.is_in_range(n)),
            Kind::List => self.is_list(value),
            Kind::String => self.is_word(value),
            Kind::Class | Kind::Password => true,
        }
    }

    fn is_in_range(&self, number: f64) -> bool {
        match self.check {
            Check::AtLeast(min) => number >= min,
            Check::Between(min, max) => (min..=max).contains(&number),
            Check::BetweenOrMinusOne(min, max) => number == -1.0 || (min..=max).contains(&number),
            _ => true,
        }
    }

    fn is_list(&self, value: &str) -> bool {
        let words: Vec<&str> = value.split(',').map(str::trim).collect();
        match self.check {
            _ if value.is_empty() => self.check != Check::NonEmpty,
            Check::ThrottledReplicas => {
                value == "*" || words.iter().all(|word| is_throttled_replica(word))
            }
            Check::OneOf(_) => {
                let repeats = |(at, word)| words.iter().take(at).any(|other| other == word);
                words.iter().all(|word| self.is_word(word))
                    && !words.iter().enumerate().any(repeats)
            }
            _ => words.iter().all(|word| self.is_word(word)),
        }
    }

    fn is_word(&self, word: &str) -> bool {
        match self.check {
            Check::OneOf(words) => words.contains(&word),
            Check::OneOfAnyCase(words) => {
                words.iter().any(|legal| legal.eq_ignore_ascii_case(word))
            }
            Check::NonEmpty => !word.is_empty(),
            Check::ResetStrategy => is_reset_strategy(word),
            _ => true,
        }
    }
}

/// A partition and a broker: two numbers with a colon between. Kafka lets commas stand behind each
/// other.
fn is_throttled_replica(word: &str) -> bool {
    let is_number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<i32>().is_ok();
    word.is_empty()
        || word.split_once(':').is_some_and(|(index, id)| is_number(index) && is_number(id))
}

fn is_reset_strategy(word: &str) -> bool {
    let is_duration = |duration: &str| {
        let legal = |byte: u8| byte.is_ascii_digit() || b"PDTHMS.".contains(&byte);
        duration.strip_prefix('P').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(legal))
    };
    word == "latest"
        || word == "earliest"
        || word.strip_prefix("by_duration:").is_some_and(is_duration)
}

#[cfg(test)]
mod tests {
    use crate::configs::{broker, topic};

    /// A value that no broker understands would be stored, or a legal one refused.
    #[test]
    fn values_are_checked() {
        let topic_takes = |name, value| topic(name).unwrap().check_value(value).is_ok();
        assert!(topic_takes("cleanup.policy", "compact,delete"));
        assert!(topic_takes("cleanup.policy", ""));
        assert!(!topic_takes("cleanup.policy", "delete,delete"));
        assert!(!topic_takes("cleanup.policy", "shred"));
        assert!(topic_takes("compression.type", "zstd"));
        assert!(!topic_takes("compression.type", "ZSTD"));
        assert!(!topic_takes("compression.type", "brotli"));
        assert!(topic_takes("compression.gzip.level", "-1"));
        assert!(!topic_takes("compression.gzip.level", "0"));
        assert!(topic_takes("retention.ms", "-1") && !topic_takes("retention.ms", "-2"));
        assert!(!topic_takes("segment.bytes", "1048575"));
        assert!(topic_takes("follower.replication.throttled.replicas", "0:1,1:2"));
        for wrong in
            ["0-1", "0:1,*", "**", "0:-1", "+0:1", "0", "0:", ":1", "0:1:2", "0:3000000000"]
        {
            assert!(!topic_takes("leader.replication.throttled.replicas", wrong), "{wrong}");
        }
        for right in ["*", "", "0:1,,", " 0:1 , 2:3 "] {
            assert!(topic_takes("leader.replication.throttled.replicas", right), "{right}");
        }
        assert!(!topic_takes("min.cleanable.dirty.ratio", "1.5"));
        let message = broker("num.partitions").unwrap().check_value("x").unwrap_err();
        assert!(message.contains("num.partitions") && message.contains("at least 1"), "{message}");
        let secret = broker("ssl.key.password").unwrap();
        assert!(secret.is_sensitive() && secret.check_value("hush").is_ok());
    }
}
