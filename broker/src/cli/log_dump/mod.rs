//! `milena log dump FILE…`: what stands in the files of a log directory, Kafka's or ours.
//!
//! Reads files only, no broker is needed and nothing is changed. A running broker's files may be
//! looked at: the end of an active segment is zeros that were allocated ahead.

mod batches;
mod small;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::output::CliError;

/// Files of logs.
#[derive(Clone, Debug, Subcommand)]
pub enum LogCommand {
    /// Show what stands in segments, indexes, snapshots and checkpoints.
    Dump(LogDump),
}

/// The arguments of `milena log dump`.
#[derive(Args, Clone, Debug)]
pub struct LogDump {
    /// The files: .log, .checkpoint, .index, .timeindex, .txnindex, .snapshot,
    /// leader-epoch-checkpoint, partition.metadata, quorum-state.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Every record, not only the batches.
    #[arg(short, long)]
    records: bool,
    /// Records are metadata of the cluster; known by itself in __cluster_metadata-0.
    #[arg(long, requires = "records")]
    metadata: bool,
    /// Leaves out batches that end before this offset.
    #[arg(long, value_name = "OFFSET")]
    from: Option<i64>,
    /// Prints a line of JSON for every batch, record or entry.
    #[arg(long)]
    json: bool,
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

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Record batches: a segment, or a snapshot of the metadata.
    Batches,
    OffsetIndex,
    TimeIndex,
    TransactionIndex,
    ProducerSnapshot,
    Text,
}

fn kind_of(path: &Path) -> Result<Kind, CliError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // A deleted file waits under another ending.
    let name = name.trim_end_matches(".deleted");
    Ok(match name.rsplit_once('.').map_or(name, |(_, ending)| ending) {
        "log" | "checkpoint" => Kind::Batches,
        "index" => Kind::OffsetIndex,
        "timeindex" => Kind::TimeIndex,
        "txnindex" => Kind::TransactionIndex,
        "snapshot" => Kind::ProducerSnapshot,
        "leader-epoch-checkpoint" | "metadata" | "quorum-state" | "properties" => Kind::Text,
        _ if name.ends_with("-checkpoint") => Kind::Text,
        _ => {
            return Err(CliError::Usage(format!(
                "{} is no file of a log by its name; there are .log, .checkpoint, .index, \
                 .timeindex, .txnindex, .snapshot, leader-epoch-checkpoint, partition.metadata \
                 and quorum-state",
                path.display()
            )));
        }
    })
}

/// The base offset in a segment's name.
fn base_offset(path: &Path) -> Option<i64> {
    let name = path.file_name()?.to_str()?;
    name.split_once('.')?.0.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file would be read as something that it is not.
    #[test]
    fn files_are_known_by_their_names() {
        let kind = |name: &str| kind_of(Path::new(name)).ok();
        assert_eq!(kind("t-0/00000000000000000000.log"), Some(Kind::Batches));
        assert_eq!(kind("00000000000000000007-0000000001.checkpoint"), Some(Kind::Batches));
        assert_eq!(kind("00000000000000000000.timeindex.deleted"), Some(Kind::TimeIndex));
        assert_eq!(kind("leader-epoch-checkpoint"), Some(Kind::Text));
        assert_eq!(kind("replication-offset-checkpoint"), Some(Kind::Text));
        assert_eq!(kind("partition.metadata"), Some(Kind::Text));
        assert_eq!(kind("photo.jpg"), None);
        assert_eq!(base_offset(Path::new("a/00000000000000000042.log")), Some(42));
        assert_eq!(base_offset(Path::new("00000000000000000007-0000000001.checkpoint")), Some(7));
    }
}
