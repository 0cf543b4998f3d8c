//! What a command says: tables for people, JSON for machines, and why it failed with what to do
//! next.

use std::fmt;
use std::io::{self, Write};

use milena_client::ClientError;
use milena_protocol::error_code::ErrorCode;
use serde::Serialize;

/// Why a command failed, in words for a person.
#[derive(Debug)]
pub enum CliError {
    /// No broker, or one that said no.
    Client(ClientError),
    /// Standard output or input, or a file.
    Io(io::Error),
    /// An argument that makes no sense.
    Usage(String),
    /// Some of what was asked for failed; what is already said.
    Partly,
    /// Something left things in a state that has to be known.
    Leaving(Box<Self>, String),
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl CliError {
    /// Whether somebody stopped reading what is written, which is nothing to complain about.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// This, and what is left behind because of it.
    #[must_use]
    pub fn and(self, left: String) -> Self {
        Self::Leaving(Box::new(self), left)
    }

    /// Whether there is nothing left to say.
    #[must_use]
    pub fn is_said(&self) -> bool {
        matches!(self, Self::Partly)
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => {
                fmt::Display::fmt(error, f)?;
                match next_step(error) {
                    Some(step) => write!(f, "\n        {step}"),
                    None => Ok(()),
                }
            }
            Self::Io(error) => fmt::Display::fmt(error, f),
            Self::Usage(text) => f.write_str(text),
            Self::Partly => f.write_str("not everything worked"),
            Self::Leaving(error, left) => write!(f, "{error}\n        {left}"),
        }
    }
}

impl std::error::Error for CliError {}

/// What to do about an error.
fn next_step(error: &ClientError) -> Option<&'static str> {
    match error {
        ClientError::Unreachable { .. } => {
            Some("`milena` starts one here; --bootstrap HOST:PORT names another")
        }
        _ => next_step_of(error.code()?),
    }
}

/// What to do about a code.
pub fn next_step_of(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
            Some("`milena topic list` shows what there is, `milena topic create` makes a topic")
        }
        ErrorCode::TOPIC_ALREADY_EXISTS => {
            Some("--if-not-exists makes that no error; `milena topic describe` shows it")
        }
        ErrorCode::INVALID_CONFIG => {
            Some("`milena config explain KEY` says what a key means and which values are legal")
        }
        ErrorCode::TRANSACTIONAL_ID_NOT_FOUND => Some("`milena txn list` shows what there is"),
        ErrorCode::GROUP_ID_NOT_FOUND => Some("`milena group list` shows what there is"),
        ErrorCode::NON_EMPTY_GROUP => {
            Some("stop the group's consumers first; `milena group describe` shows them")
        }
        ErrorCode::OFFSET_OUT_OF_RANGE => {
            Some("`milena topic describe` shows where each partition begins and ends")
        }
        _ => None,
    }
}

/// Writes a value as JSON, for machines.
pub fn write_json(value: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

/// A size as people read it.
pub fn shown_bytes(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let Ok(bytes) = u64::try_from(bytes) else {
        return "–".to_owned();
    };
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let unit_name = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 { format!("{bytes} B") } else { format!("{size:.1} {unit_name}") }
}

/// A whole number with its thousands apart.
pub fn shown_count(count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let mut out = String::from(if count < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes and counts would be read wrongly by an operator.
    #[test]
    fn sizes_and_counts_are_for_people() {
        assert_eq!(shown_bytes(0), "0 B");
        assert_eq!(shown_bytes(1023), "1023 B");
        assert_eq!(shown_bytes(1536), "1.5 KiB");
        assert_eq!(shown_bytes(3 << 30), "3.0 GiB");
        assert_eq!(shown_bytes(-1), "–", "nobody knows");
        assert_eq!(shown_count(999), "999");
        assert_eq!(shown_count(-1_234_567), "-1,234,567");
    }
}
