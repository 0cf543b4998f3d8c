//! Log lines: an event and its fields, on standard error, as text or as JSON.
//!
//! error: someone must act · warn: degraded, healing · info: life cycle · debug: per request.

use std::fmt;
use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Why logging cannot begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoggingError {
    /// The filter is none.
    Filter {
        /// What was asked.
        asked: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody in this process logs already.
    Already,
}

impl fmt::Display for LoggingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter { asked, reason } => write!(
                f,
                "log level {asked:?} is not valid ({reason}); legal: error, warn, info, debug, \
                 trace, or a filter such as info,milena_broker::handlers=debug"
            ),
            Self::Already => f.write_str("logging was set up before"),
        }
    }
}

impl std::error::Error for LoggingError {}

/// Begins logging to standard error.
///
/// `level` is a level or a filter; without one `RUST_LOG` decides, and without that `info`.
///
/// # Errors
/// When the filter is malformed, or logging has begun already.
pub fn init(format: LogFormat, level: Option<&str>) -> Result<(), LoggingError> {
    let from_environment = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = level.or(from_environment.as_deref()).unwrap_or("info");
    let colours = io::stderr().is_terminal();
    let subscriber = subscriber(format, filter, colours, BoxMakeWriter::new(io::stderr))?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LoggingError::Already)
}

/// A subscriber that writes lines to `writer`.
///
/// # Errors
/// When the filter is malformed.
pub fn subscriber(
    format: LogFormat,
    filter: &str,
    colours: bool,
    writer: BoxMakeWriter,
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, LoggingError> {
    let filter = EnvFilter::try_new(filter).map_err(|error| LoggingError::Filter {
        asked: filter.to_owned(),
        reason: error.to_string(),
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(match format {
        LogFormat::Text => Box::new(builder.with_ansi(colours).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use serde_json::Value;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: &str) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let writer = BoxMakeWriter::new(move || writer.clone());
        let subscriber = subscriber(format, filter, false, writer).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(listener = "PLAINTEXT", port = 9092, "listening");
            tracing::debug!("too fine");
        });
        let bytes = lines.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    /// Log collectors would not find event and fields in a line.
    #[test]
    fn a_line_is_an_event_and_fields() {
        let text = logged(LogFormat::Text, "info");
        assert!(text.contains("INFO") && text.contains("listening"), "{text}");
        assert!(text.contains("listener=\"PLAINTEXT\" port=9092"), "{text}");
        let line = logged(LogFormat::Json, "info");
        let json: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["message"], "listening");
        assert_eq!(json["port"], 9092);
        assert_eq!(json["level"], "INFO");
    }

    /// A wrong level would silence a node without a word.
    #[test]
    fn filters_are_checked() {
        assert_eq!(logged(LogFormat::Text, "debug").lines().count(), 2);
        assert_eq!(logged(LogFormat::Text, "warn"), "");
        let writer = BoxMakeWriter::new(io::sink);
        let refused = subscriber(LogFormat::Text, "a=b=c", false, writer).err().unwrap();
        assert!(refused.to_string().contains("legal: error, warn, info"), "{refused}");
    }
}
