//! What stands in the files of nodes of both kinds, as Kafka's tool reads them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::company::{Company, IDS};
use crate::interop::check::{Failure, Outcome};
use crate::interop::dump::{dump, files, says_nothing_of};

/// The metadata log within a data directory.
const METADATA: &str = "__cluster_metadata-0";
/// How the snapshot that a formatted directory begins with is called.
const BOOTSTRAP: &str = "00000000000000000000-0000000000.checkpoint";

/// The snapshots of the metadata in a data directory, but for the one from its formatting.
///
/// # Errors
/// When the directory cannot be listed.
pub fn snapshots(data: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found = files(&data.join(METADATA), "checkpoint")?;
    found.retain(|path| path.file_name().is_some_and(|name| name != BOOTSTRAP));
    Ok(found)
}

/// The offset with which the metadata log in a data directory begins.
///
/// # Errors
/// When the directory cannot be listed.
pub fn first_offset(data: &Path) -> Outcome<u64> {
    let segments = files(&data.join(METADATA), "log")?;
    let first = segments.first().and_then(|path| path.file_stem()?.to_str()?.parse().ok());
    Ok(first.unwrap_or(0))
}

/// Cuts off the space that a killed node of ours had ahead of the ends of its logs. It is given back
/// once a log rests, but these never do; Kafka's tool takes it for damage.
fn trim(segments: &[PathBuf]) -> Outcome {
    // Of a batch: where its length stands, and how much of it that does not count.
    const LENGTH: std::ops::Range<usize> = 8..12;
    let Some(last) = segments.last() else {
        return Ok(());
    };
    let trimming = || Failure::while_doing(format!("cannot trim {}", last.display()));
    let bytes = fs::read(last).map_err(trimming())?;
    let mut end = 0;
    while let Some(field) = bytes.get(end + LENGTH.start..end + LENGTH.end) {
        match u32::from_be_bytes(field.try_into().unwrap_or_default()) {
            0 => break,
            length => end += LENGTH.end + length as usize,
        }
    }
    let file = File::options().write(true).open(last).map_err(trimming())?;
    file.set_len(end.min(bytes.len()) as u64).map_err(trimming())
}

/// The replicas that all nodes have of a partition, once they are dead.
///
/// # Errors
/// When Kafka's tool finds something wrong with one, or that two differ.
pub fn replicas(company: &mut Company<'_>, partition: &str) -> Outcome {
    let mut logs = Vec::new();
    for id in IDS {
        let segments = files(&company.node(id)?.data.join(partition), "log")?;
        trim(&segments)?;
        let said = dump(company.tools, &segments, &["--deep-iteration"])?;
        let name =
            format!("{partition}: nothing is wrong with {}'s (node {id})", company.kind(id)?);
        says_nothing_of(company.checks, &name, &said, "isvalid: false")?;
        logs.push(batches(&said));
    }
    agree(company, partition, &logs)
}

/// The metadata logs and snapshots that all nodes have once they are dead.
///
/// # Errors
/// When Kafka's tool does not read one, or finds that two differ.
pub fn metadata(company: &mut Company<'_>) -> Outcome {
    let decoder = ["--cluster-metadata-decoder"];
    let mut logs = Vec::new();
    for id in IDS {
        let (kind, data) = (company.kind(id)?, company.node(id)?.data.clone());
        let segments = files(&data.join(METADATA), "log")?;
        trim(&segments)?;
        // A log may begin behind a snapshot, wherever that is.
        let in_log: &[&str] = &["\"type\":\"PARTITION_CHANGE_RECORD\""];
        let in_snapshot: &[&str] = &["\"TOPIC_RECORD\"", "\"name\":\"first\""];
        for (what, files, expected) in
            [("log", segments, in_log), ("snapshots", snapshots(&data)?, in_snapshot)]
        {
            let said = dump(company.tools, &files, &decoder)?;
            let name = format!("kafka-dump-log decodes {kind}'s metadata {what} (node {id})");
            company.checks.says(&name, expected, &said)?;
            says_nothing_of(company.checks, "every record of it", &said, "Could not decode")?;
            if what == "log" {
                logs.push(batches(&said));
            }
        }
    }
    // Who was killed later saw the others fenced.
    let end = logs.iter().filter_map(|log| log.keys().next_back()).min().copied();
    for log in &mut logs {
        log.retain(|offset, _| Some(*offset) <= end);
    }
    agree(company, "metadata", &logs)
}

/// What the tool says of each batch of a log, by its first offset: without where it is in a file.
fn batches(said: &str) -> BTreeMap<u64, String> {
    let batch = |line: &str| {
        let (offset, rest) = line.strip_prefix("baseOffset: ")?.split_once(' ')?;
        let (head, tail) = rest.split_once(" position: ")?;
        let (_, tail) = tail.split_once(' ')?;
        Some((offset.parse().ok()?, format!("{head} {tail}")))
    };
    said.lines().filter_map(batch).collect()
}

/// Where two logs have a batch at the same offset, it is the same; and they have some.
fn agree(company: &mut Company<'_>, what: &str, logs: &[BTreeMap<u64, String>]) -> Outcome {
    let Some((first, rest)) = logs.split_first() else {
        return Ok(());
    };
    for (log, id) in rest.iter().zip(&IDS[1..]) {
        let start = first.keys().next().max(log.keys().next()).copied().unwrap_or_default();
        let from = |log: &BTreeMap<u64, String>| {
            log.range(start..).map(|(at, batch)| format!("{at} {batch}\n")).collect::<String>()
        };
        let (left, right) = (from(first), from(log));
        let kinds = format!("{} and {}", company.kind(IDS[0])?, company.kind(*id)?);
        let name = format!("{what}: nodes 1 and {id} ({kinds}) have the same batches");
        company.checks.same(&name, &left, &right)?;
        company.checks.same("and have some", true, left.lines().count() > 0)?;
    }
    Ok(())
}
