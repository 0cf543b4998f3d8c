//! The values that somebody set, each with who set it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::secret::{HIDDEN, Secret};

/// Where a value comes from, in rising order of precedence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// A line of a properties file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// `--set` on the command line.
    CommandLine,
}

impl Source {
    /// A short name for the kind of source.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File { .. } => "file",
            Self::Environment { .. } => "environment",
            Self::CommandLine => "command line",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
            Self::CommandLine => f.write_str("--set"),
        }
    }
}

/// A value that may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// It may be shown.
    Plain(String),
    /// It may not: a password, or a key that Milena does not know.
    Hidden(Secret<String>),
}

impl Value {
    /// The value as it may be shown.
    #[must_use]
    pub fn shown(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Hidden(_) => HIDDEN,
        }
    }

    /// The value itself. Whoever calls this answers for where it goes.
    #[must_use]
    pub fn reveal(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Hidden(secret) => secret.reveal(),
        }
    }
}

/// One value and who set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The value.
    pub value: Value,
    /// Who set it.
    pub source: Source,
}

/// What somebody set, by key. Keys that nobody set are not in it.
pub type Settings = BTreeMap<String, Setting>;
