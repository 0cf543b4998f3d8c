//! Which files are shown, and what each is by its name.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::output::CliError;

/// The arguments of `milena log dump`.
#[derive(Args, Clone, Debug)]
pub struct LogDump {
    /// The files: .log, .checkpoint, .index, .timeindex, .txnindex, .snapshot,
    /// leader-epoch-checkpoint, partition.metadata, quorum-state.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Every record, not only the batches.
    #[arg(short, long)]
    pub records: bool,
    /// Records are metadata of the cluster; known by itself in __cluster_metadata-0.
    #[arg(long, requires = "records")]
    pub metadata: bool,
    /// Leaves out batches that end before this offset.
    #[arg(long, value_name = "OFFSET")]
    pub from: Option<i64>,
    /// Prints a line of JSON for every batch, record or entry.
    #[arg(long)]
    pub json: bool,
}

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Record batches: a segment, or a snapshot of the metadata.
    Batches,
    OffsetIndex,
    TimeIndex,
    TransactionIndex,
    ProducerSnapshot,
    Text,
}

/// What a file is.
pub fn kind_of(path: &Path) -> Result<Kind, CliError> {
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
pub fn base_offset(path: &Path) -> Option<i64> {
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
