//! `milena quorum recover`: the way back when a majority of the voters is gone for good.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use milena_protocol::ids::{NodeId, Timestamp};
use milena_storage::{DirectoryOptions, LogDirectory, OpenDirectoryError, RealDisk};
use serde_json::json;

use super::output::{CliError, shown_count, write_json};
use crate::clock::WallClock;
use crate::drivers::controller::{Fatal, Remains};
use crate::drivers::metadata_log::DIRECTORY;
use crate::join::Found;

/// The largest segment of the metadata log where nothing else is configured.
const SEGMENT_BYTES: u32 = 1 << 30;

/// The metadata quorum, without a majority of it.
#[derive(Clone, Debug, Subcommand)]
pub enum QuorumCommand {
    /// Make a stopped node the only voter, when the others are gone for good.
    Recover(Recover),
}

/// The arguments of `milena quorum recover`.
#[derive(Args, Clone, Debug)]
pub struct Recover {
    /// The data directory of the node, the one with the metadata log. Of several nodes that are
    /// left, take the one whose log ends last.
    #[arg(long, value_name = "DIR")]
    log_dir: PathBuf,
    /// Takes the place of the words that are asked for: metadata of the lost majority that this
    /// node does not have is given up.
    #[arg(long)]
    i_accept_that_metadata_may_be_lost: bool,
    /// Only shows what the node has.
    #[arg(long, conflicts_with = "i_accept_that_metadata_may_be_lost")]
    dry_run: bool,
    /// Prints JSON; asks nothing.
    #[arg(long)]
    json: bool,
}

/// Runs a command about a quorum that has lost its majority.
///
/// # Errors
/// When the directory is in use or damaged, or nobody agrees.
pub fn run(command: QuorumCommand, out: &mut impl Write) -> Result<(), CliError> {
    let QuorumCommand::Recover(arguments) = command;
    let place = Place::open(&arguments.log_dir)?;
    let now = WallClock.now();
    let remains = Remains::read(&place.directory, place.node, SEGMENT_BYTES, now).map_err(usage)?;
    if arguments.json {
        write_json(&place.json(&remains), out)?;
    } else {
        place.write(&remains, out)?;
    }
    if arguments.dry_run {
        return Ok(());
    }
    if !arguments.i_accept_that_metadata_may_be_lost {
        consent(&arguments, &place, out)?;
    }
    place.recover(remains, now)?;
    if arguments.json {
        return Ok(());
    }
    writeln!(
        out,
        "\nnode {} is the only voter now; start it as before, without the others:\n  milena serve \
         --set log.dirs={}\nothers join it with empty directories: milena serve --join HOST:PORT\n\
         forget the nodes that are gone with `milena cluster remove NODE`",
        place.node,
        arguments.log_dir.display()
    )?;
    Ok(())
}

fn usage(error: Fatal) -> CliError {
    CliError::Usage(error.0)
}

/// Asks for words that nobody types by chance.
fn consent(arguments: &Recover, place: &Place, out: &mut impl Write) -> Result<(), CliError> {
    let words = format!("recover {}", place.cluster_id);
    let input = std::io::stdin();
    if arguments.json || !input.is_terminal() {
        return Err(CliError::Usage(
            "nobody is there to be asked: --i-accept-that-metadata-may-be-lost says that it is \
             meant"
                .to_owned(),
        ));
    }
    write!(out, "\nTo go on, type: {words}\n> ")?;
    out.flush()?;
    let mut typed = String::new();
    input.lock().read_line(&mut typed)?;
    if typed.trim() == words {
        return Ok(());
    }
    Err(CliError::Usage("nothing was changed".to_owned()))
}

/// A data directory of a node that is not running.
struct Place {
    directory: LogDirectory,
    node: NodeId,
    cluster_id: String,
}

impl Place {
    fn open(path: &Path) -> Result<Self, CliError> {
        let shown = path.display();
        let no_data = |why: &str| {
            Err(CliError::Usage(format!("{shown} is no data directory with metadata: {why}")))
        };
        let Ok(meta) = std::fs::read_to_string(path.join("meta.properties")) else {
            return no_data("it has no meta.properties");
        };
        if !path.join(DIRECTORY).is_dir() {
            return no_data("it has no metadata log; a node with several directories has one");
        }
        let value = |key: &str| {
            let mut lines = meta.lines().filter_map(|line| line.split_once('='));
            lines.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim().to_owned())
        };
        let Some(node) = value("node.id").and_then(|id| id.parse().ok()).map(NodeId) else {
            return no_data("its meta.properties names no node.id");
        };
        let options = DirectoryOptions { runs_threads: false, ..DirectoryOptions::new(node) };
        let directory = match LogDirectory::open(path, options, Arc::new(RealDisk)) {
            Ok(directory) => directory,
            Err(OpenDirectoryError::InUse { .. }) => {
                return Err(CliError::Usage(format!(
                    "{shown} is in use: stop the node first; as long as it runs, a majority may \
                     come back"
                )));
            }
            Err(error) => return Err(CliError::Usage(error.to_string())),
        };
        Ok(Self { directory, node, cluster_id: value("cluster.id").unwrap_or_default() })
    }

    fn write(&self, remains: &Remains, out: &mut impl Write) -> Result<(), CliError> {
        let image = remains.image();
        let partitions: usize = image.topics().map(|topic| topic.partitions().count()).sum();
        let voters: Vec<String> = remains.voters.ids().map(|id| id.to_string()).collect();
        let voters = if voters.is_empty() { "as configured".to_owned() } else { voters.join(", ") };
        writeln!(out, "cluster     {}", self.cluster_id)?;
        writeln!(out, "node        {}", self.node)?;
        writeln!(out, "voters      {voters}")?;
        writeln!(
            out,
            "metadata    up to offset {}, epoch {}",
            shown_count(remains.end_offset().0),
            remains.epoch()
        )?;
        writeln!(
            out,
            "            {} topics with {partitions} partitions, {} brokers",
            image.topics().count(),
            image.brokers().count()
        )?;
        writeln!(
            out,
            "\nThis makes node {} the only voter, of what stands in its own log:\n\
             - What the other voters committed and this node does not have is lost: topics,\n  \
             settings and changes of replicas, and with the latter records that only brokers\n  \
             have which this node does not know to be in sync.\n\
             - What this node has and was never committed counts from then on.\n\
             - The other voters must never run again on their data: two clusters would call\n  \
             themselves the same. They join anew, with empty directories.\n\
             Where a majority can be brought back, by whatever means, do that instead.",
            self.node
        )?;
        Ok(())
    }

    fn json(&self, remains: &Remains) -> serde_json::Value {
        let image = remains.image();
        json!({
            "cluster_id": self.cluster_id,
            "node_id": self.node.0,
            "voters": remains.voters.ids().map(|id| id.0).collect::<Vec<_>>(),
            "end_offset": remains.end_offset().0,
            "epoch": remains.epoch().0,
            "topics": image.topics().count(),
            "brokers": image.brokers().count(),
        })
    }

    fn recover(&self, remains: Remains, now: Timestamp) -> Result<(), CliError> {
        remains.make_only_voter(now).map_err(usage)?;
        // It looks for nobody any more.
        Ok(Found::remove(self.directory.path())?)
    }
}
