//! `milena config explain [KEY]`: what holds, who said so, and what it means.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::output::write_json;
use crate::config::{
    Acting, Config, ConfigError, Declared, Scope, Sources, acting, all, at_run_time, find,
    legal_values, nearest,
};

/// The arguments of `milena config explain`.
#[derive(Args, Clone, Debug)]
pub struct ConfigExplain {
    /// The key to explain; all of them without one.
    pub key: Option<String>,
    /// The properties file to read, as `milena serve` would.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Sets a key, as `milena serve` would.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
}

/// Why nothing is explained.
#[derive(Debug)]
pub enum ExplainError {
    /// The configuration is wrong.
    Config(ConfigError),
    /// There is no such key.
    UnknownKey {
        /// What was asked.
        key: String,
        /// What is written nearly so.
        nearest: Option<&'static str>,
    },
    /// The answer cannot be written.
    Output(io::Error),
}

impl fmt::Display for ExplainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => fmt::Display::fmt(error, f),
            Self::UnknownKey { key, nearest: Some(nearest) } => {
                write!(f, "there is no key {key}; did you mean {nearest}?")
            }
            Self::UnknownKey { key, nearest: None } => {
                write!(f, "there is no key {key}; `milena config explain` lists them all")
            }
            Self::Output(error) => write!(f, "cannot write: {error}"),
        }
    }
}

impl std::error::Error for ExplainError {}

impl From<io::Error> for ExplainError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Explains what this process would run with.
///
/// # Errors
/// When the configuration is wrong, or the key does not exist.
pub fn run(arguments: ConfigExplain, out: &mut impl Write) -> Result<(), ExplainError> {
    let ConfigExplain { key, config, set, json } = arguments;
    let sources = Sources::of_process(config, set);
    let config = Config::load(&sources).map_err(ExplainError::Config)?;
    explain(&config, key.as_deref(), json, out)
}

/// Explains one key of a configuration, or all of them.
///
/// # Errors
/// When the key does not exist.
pub fn explain(
    config: &Config,
    key: Option<&str>,
    json: bool,
    out: &mut impl Write,
) -> Result<(), ExplainError> {
    let Some(key) = key else {
        return all_keys(config, json, out);
    };
    let Some(declared) = find(key) else {
        return Err(ExplainError::UnknownKey { key: key.to_owned(), nearest: nearest(key) });
    };
    let explanation = Explanation::of(config, key, declared);
    let written = if json { write_json(&explanation, out) } else { explanation.write(out) };
    written.map_err(Into::into)
}

/// Every declared key, and of internal keys and those for one listener what somebody set.
fn all_keys(config: &Config, json: bool, out: &mut impl Write) -> Result<(), ExplainError> {
    let is_told = |declared: &&Declared| {
        declared.scope != Scope::Internal || config.setting(declared.name).is_some()
    };
    let declared = all().iter().filter(is_told).map(|declared| (declared.name, declared));
    let of_listeners = config
        .settings()
        .keys()
        .filter(|key| key.starts_with("listener.name."))
        .filter_map(|key| Some((key.as_str(), find(key)?)));
    let explanations: Vec<_> = declared
        .chain(of_listeners)
        .map(|(key, declared)| Explanation::of(config, key, declared))
        .collect();
    if json {
        return Ok(write_json(&explanations, out)?);
    }
    let width = explanations.iter().map(|explanation| explanation.key.len()).max().unwrap_or(0);
    for explanation in &explanations {
        let Explanation { key, source, meaning, .. } = explanation;
        let value = explanation.value.as_deref().unwrap_or("–");
        let note = if explanation.acts { "" } else { " (no effect)" };
        writeln!(out, "{key:<width$}  {value}  [{source}]  {meaning}{note}")?;
    }
    Ok(())
}

/// All there is to say about one key.
#[derive(Serialize)]
struct Explanation<'a> {
    key: &'a str,
    /// Secrets as `[hidden]`; nothing where the key is unset.
    value: Option<String>,
    source: String,
    #[serde(rename = "type")]
    kind: &'static str,
    default: Option<&'static str>,
    legal_values: String,
    meaning: &'static str,
    changeable_at_run_time: bool,
    scope: &'static str,
    acts: bool,
    why_not: Option<&'static str>,
    sensitive: bool,
}

impl<'a> Explanation<'a> {
    fn of(config: &Config, key: &'a str, declared: &'static Declared) -> Self {
        let (value, source) = config.effective(key);
        let why_not = match acting(declared.name) {
            Acting::Yes => None,
            Acting::No(reason) => Some(reason),
        };
        Self {
            key,
            value,
            source: source.to_string(),
            kind: declared.kind.name(),
            default: declared.default,
            legal_values: legal_values(declared),
            meaning: declared.doc,
            changeable_at_run_time: declared.is_dynamic(),
            scope: at_run_time(declared),
            acts: why_not.is_none(),
            why_not,
            sensitive: declared.is_sensitive(),
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{} = {}", self.key, self.value.as_deref().unwrap_or("(unset)"))?;
        writeln!(out, "  meaning   {}", self.meaning)?;
        writeln!(out, "  source    {}", self.source)?;
        writeln!(out, "  default   {}", self.default.unwrap_or("(unset)"))?;
        writeln!(out, "  type      {}", self.kind)?;
        writeln!(out, "  legal     {}", self.legal_values)?;
        writeln!(out, "  run time  {}", self.scope)?;
        match self.why_not {
            None => writeln!(out, "  effect    yes"),
            Some(reason) => writeln!(out, "  effect    none: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests;
