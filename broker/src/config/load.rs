//! Gathering what was set: file, environment, `--set`, in rising order.

use std::path::Path;

use super::declared::{self, Declared};
use super::error::{ConfigError, Problem, Warning};
use super::reading::Reading;
use super::secret::Secret;
use super::settings::{Setting, Settings, Source, Value};
use super::sources::Sources;
use super::typed::Config;
use super::{acting, environment, properties};

/// Prefixes and names of keys that Kafka 4 removed.
const REMOVED: &[&str] = &[
    "auto.include.jmx.reporter",
    "broker.id.generation.enable",
    "control.plane.listener.name",
    "delegation.token.master.key",
    "group.coordinator.new.enable",
    "inter.broker.protocol.version",
    "leader.imbalance.per.broker.percentage",
    "log.message.downconversion.enable",
    "log.message.format.version",
    "log.message.timestamp.difference.max.ms",
    "offsets.commit.required.acks",
    "password.encoder.",
    "reserved.broker.max.id",
    "zookeeper.",
];

impl Config {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with key, value, source and legal values.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut gathered = Gathered::default();
        gathered.gather(sources);
        let Gathered { settings, problems, warnings } = gathered;
        let mut reading = Reading::new(&settings, problems);
        let mut config = Self::read(&mut reading, sources);
        if !reading.problems.is_empty() {
            return Err(ConfigError { problems: reading.problems });
        }
        config.keep(settings, warnings);
        Ok(config)
    }
}

#[derive(Default)]
struct Gathered {
    settings: Settings,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

impl Gathered {
    fn gather(&mut self, sources: &Sources) {
        if let Some(path) = &sources.file {
            self.file(path);
        }
        let variables: Vec<_> = sources
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), value.reveal().clone()))
            .collect();
        for (key, value, variable) in environment::settings_of(&variables) {
            self.set(key, value, Source::Environment { variable });
        }
        for (index, assignment) in sources.set.iter().enumerate() {
            match assignment.reveal().split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => {
                    self.set(key.trim().to_owned(), value.to_owned(), Source::CommandLine);
                }
                _ => self.problems.push(Problem::NotAssignment { nth: index + 1 }),
            }
        }
        self.check();
    }

    fn file(&mut self, path: &Path) {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let reason = error.to_string();
                self.problems.push(Problem::Unreadable { path: path.to_owned(), reason });
                return;
            }
        };
        match properties::parse(&bytes) {
            Ok(read) => {
                for property in read {
                    let source = Source::File { path: path.to_owned(), line: property.line };
                    self.set(property.key, property.value, source);
                }
            }
            Err(error) => self.problems.push(Problem::Malformed { path: path.to_owned(), error }),
        }
    }

    fn set(&mut self, key: String, value: String, source: Source) {
        // What Milena does not know may well be a secret of something else.
        let value = if declared::find(&key).is_some_and(|declared| !declared.is_sensitive()) {
            Value::Plain(value)
        } else {
            Value::Hidden(Secret::new(value))
        };
        self.settings.insert(key, Setting { value, source });
    }

    /// Checks every value that counts, once all sources had their say.
    fn check(&mut self) {
        for (key, setting) in &self.settings {
            match declared::find(key) {
                None => self.warnings.push(unknown(key, &setting.source)),
                Some(declared) if declared::accepts(declared, setting.value.reveal()) => {
                    if let acting::Acting::No(reason) = acting::acting(declared.name) {
                        let source = setting.source.clone();
                        self.warnings.push(Warning::NoEffect { key: key.clone(), source, reason });
                    }
                }
                Some(declared) => self.problems.push(invalid(key, declared, setting)),
            }
        }
    }
}

fn invalid(key: &str, declared: &Declared, setting: &Setting) -> Problem {
    Problem::Invalid {
        key: key.to_owned(),
        shown: setting.value.shown().to_owned(),
        source: setting.source.clone(),
        legal: declared::legal_values(declared),
    }
}

fn unknown(key: &str, source: &Source) -> Warning {
    let (key, source) = (key.to_owned(), source.clone());
    let is_removed = REMOVED
        .iter()
        .any(|removed| key == *removed || (removed.ends_with('.') && key.starts_with(removed)));
    if is_removed {
        return Warning::Removed { key, source };
    }
    let nearest = nearest(&key);
    Warning::Unknown { key, source, nearest }
}

/// The declared key that is written most like this one, if one is written much like it.
#[must_use]
pub fn nearest(key: &str) -> Option<&'static str> {
    let bound = 2 + key.len() / 10;
    declared::all()
        .iter()
        .filter(|declared| declared.name.len().abs_diff(key.len()) <= bound)
        .map(|declared| (distance(key, declared.name), declared.name))
        .min()
        .filter(|(distance, _)| *distance <= bound)
        .map(|(_, name)| name)
}

/// How many letters must be put in, taken out or changed to make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let changed = diagonal + usize::from(from != *to);
            diagonal = *cell;
            left = changed.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A typing error would be left without a hint, or get an absurd one.
    #[test]
    fn the_nearest_key_is_suggested() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "ab"), 2);
        assert_eq!(distance("ab", ""), 2);
        assert_eq!(nearest("listener"), Some("listeners"));
        assert_eq!(nearest("num.partition"), Some("num.partitions"));
        assert_eq!(nearest("completely.different.thing"), None);
    }
}
