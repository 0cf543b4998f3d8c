//! What is wrong with a configuration, said so that it can be put right.

use std::fmt;
use std::path::PathBuf;

use super::properties::PropertyError;
use super::settings::Source;

/// One thing that keeps a node from starting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The properties file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The properties file is malformed.
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where.
        error: PropertyError,
    },
    /// A `--set` that does not have the form `key=value`. It is not quoted: it may be a secret.
    NotAssignment {
        /// Which of the `--set` arguments, from 1.
        nth: usize,
    },
    /// A value that its key does not take.
    Invalid {
        /// The key.
        key: String,
        /// The value as it may be shown.
        shown: String,
        /// Who set it.
        source: Source,
        /// The values that would be right, or the rule that is broken.
        legal: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, reason } => {
                write!(f, "cannot read the configuration file {}: {reason}", path.display())
            }
            Self::Malformed { path, error } => {
                write!(f, "malformed configuration file {}, {error}", path.display())
            }
            Self::NotAssignment { nth } => {
                write!(f, "--set number {nth} does not have the form key=value")
            }
            Self::Invalid { key, shown, source, legal } => {
                write!(f, "{key}={shown} (from {source}) is not valid; legal: {legal}")
            }
        }
    }
}

/// Everything that is wrong, so that it can be put right at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one problem.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fmt::Display::fmt(problem, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Something odd that a node can live with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A key that does not exist.
    Unknown {
        /// The key.
        key: String,
        /// Who set it.
        source: Source,
        /// A key that does exist and is written nearly so.
        nearest: Option<&'static str>,
    },
    /// A key that Kafka 4 removed.
    Removed {
        /// The key.
        key: String,
        /// Who set it.
        source: Source,
    },
    /// A key that exists and was set, but that Milena does not act on.
    NoEffect {
        /// The key.
        key: String,
        /// Who set it.
        source: Source,
        /// Why.
        reason: &'static str,
    },
}

impl Warning {
    /// Logs the warning: what is likely a mistake as one, the rest for information.
    pub fn log(&self) {
        match self {
            Self::Unknown { key, source, nearest: Some(nearest) } => {
                tracing::warn!(key, %source, nearest, "unknown configuration key is ignored");
            }
            Self::Unknown { key, source, nearest: None } => {
                tracing::warn!(key, %source, "unknown configuration key is ignored");
            }
            Self::Removed { key, source } => {
                tracing::warn!(key, %source, "configuration key was removed in Kafka 4, ignored");
            }
            Self::NoEffect { key, source, reason } => {
                tracing::info!(key, %source, reason, "configuration key has no effect");
            }
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { key, source, nearest } => {
                write!(f, "unknown configuration key {key} (from {source}) is ignored")?;
                match nearest {
                    Some(nearest) => write!(f, "; did you mean {nearest}?"),
                    None => Ok(()),
                }
            }
            Self::Removed { key, source } => {
                write!(f, "{key} (from {source}) was removed in Kafka 4 and is ignored")
            }
            Self::NoEffect { key, source, reason } => {
                write!(f, "{key} (from {source}) has no effect: {reason}")
            }
        }
    }
}
