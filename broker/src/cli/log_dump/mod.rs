//! `milena log dump FILE…`: what stands in the files of a log directory, Kafka's or ours.
//!
//! Reads files only, no broker is needed and nothing is changed. A running broker's files may be
//! looked at: the end of an active segment is zeros that were allocated ahead.

mod batches;
mod file;
mod small;

use std::io::Write;

use clap::Subcommand;

use super::output::CliError;
use file::{Kind, LogDump, kind_of};

/// Files of logs.
#[derive(Clone, Debug, Subcommand)]
pub enum LogCommand {
    /// Show what stands in segments, indexes, snapshots and checkpoints.
    Dump(LogDump),
}

/// Runs a command about files of logs.
///
/// # Errors
/// When a file cannot be read, or is damaged.
pub fn run(command: LogCommand, out: &mut impl Write) -> Result<(), CliError> {
    let LogCommand::Dump(arguments) = command;
    let mut out = std::io::BufWriter::new(out);
    let mut damaged = false;
    for path in &arguments.files {
        let named = |error: std::io::Error| {
            std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        };
        if arguments.files.len() > 1 && !arguments.json {
            writeln!(out, "{}", path.display())?;
        }
        let whole = match kind_of(path)? {
            Kind::Batches => batches::dump(&arguments, path, &mut out),
            kind => std::fs::read(path)
                .map_err(named)
                .map_err(CliError::from)
                .and_then(|bytes| small::dump(&arguments, path, kind, &bytes, &mut out)),
        };
        damaged |= !whole?;
    }
    out.flush()?;
    if damaged { Err(CliError::Partly) } else { Ok(()) }
}
