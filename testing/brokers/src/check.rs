//! What must hold between what clients were told and what is in the logs in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use milena_protocol::ids::{NodeId, PartitionIndex};
use milena_protocol::record::record::Records;
use milena_protocol::record::run::Batches;
use milena_storage::{DirectoryOptions, LogConfig, LogDirectory, ReadLimit, RealDisk};

use crate::clients::{PARTITIONS, TOPIC};
use crate::history::{Partition, Seen, Written};

/// A record of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its place.
    pub offset: i64,
    /// The epoch that it was written in.
    pub leader_epoch: i32,
    /// What it says.
    pub value: Vec<u8>,
}

/// The logs of a node, by partition.
pub type Logs = BTreeMap<Partition, Vec<Kept>>;

/// Why a log cannot be read.
type Unreadable = Box<dyn std::error::Error>;

/// Reads what a node that is not running has of the topic.
///
/// # Errors
/// When that cannot be read.
pub fn logs(root: &Path, node: usize) -> Result<Logs, Unreadable> {
    let id = NodeId(i32::try_from(node)? + 1);
    let options = DirectoryOptions { runs_threads: false, ..DirectoryOptions::new(id) };
    let directory = LogDirectory::open(root, options, Arc::new(RealDisk))?;
    let mut logs = Logs::new();
    for found in directory.partitions().into_iter().filter(|found| found.topic == TOPIC) {
        let id = found.topic_id.ok_or("a log without its topic's id")?;
        let log = directory.open_log(TOPIC, id, found.partition, LogConfig::default())?;
        logs.insert(found.partition.0, records(&log)?);
    }
    Ok(logs)
}

fn records(log: &milena_storage::Log) -> Result<Vec<Kept>, Unreadable> {
    let reader = log.reader();
    let (mut at, upper) = (log.log_start_offset(), log.log_end_offset());
    let mut kept = Vec::new();
    while at < upper {
        let limit = ReadLimit { upper, max_bytes: 1 << 20, at_least_one_batch: true };
        let slice = reader.read_blocking(at, limit)?;
        let before = at;
        for batch in Batches::new(&slice.records) {
            batch.verify_crc()?;
            for record in Records::new(batch.records_bytes(), batch.record_count()) {
                let record = record?;
                kept.push(Kept {
                    offset: batch.base_offset().0 + i64::from(record.offset_delta),
                    leader_epoch: batch.leader_epoch().0,
                    value: record.value.unwrap_or_default().to_vec(),
                });
            }
            at = batch.next_offset();
        }
        if at == before {
            return Err(format!("nothing can be read from {at} on").into());
        }
    }
    Ok(kept)
}

/// What does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks everything.
///
/// # Errors
/// The first thing that does not hold.
pub fn check(seen: &Seen, logs: &[Logs]) -> Result<(), Violation> {
    replicas_are_equal(logs)?;
    let Some(logs) = logs.first() else { return Ok(()) };
    offsets_are_dense(logs)?;
    nothing_acknowledged_is_lost(seen, logs)?;
    nothing_is_written_twice_or_out_of_order(seen, logs)?;
    readers_saw_the_log(seen, logs)
}

/// What holds even where replicas have not come to the same yet.
///
/// # Errors
/// The first record that was acknowledged and that nobody has.
pub fn somebody_has_what_was_acknowledged(seen: &Seen, logs: &[Logs]) -> Result<(), Violation> {
    for (written, partition, offset) in &seen.acknowledged {
        let has = |logs: &Logs| {
            let kept = logs.get(partition).and_then(|log| log.get(usize::try_from(*offset).ok()?));
            kept.is_some_and(|kept| Written::of(&kept.value) == Some(*written))
        };
        if !logs.iter().any(has) {
            let value = written.value();
            return Err(Violation(format!(
                "acknowledged and lost: {value} at {partition}/{offset}"
            )));
        }
    }
    Ok(())
}

fn replicas_are_equal(logs: &[Logs]) -> Result<(), Violation> {
    for (node, other) in logs.iter().enumerate().skip(1) {
        for partition in 0..PARTITIONS {
            let [one, other] = [&logs[0], other].map(|logs| logs.get(&partition));
            if one == other {
                continue;
            }
            let (one, other) = (one.map_or(&[][..], |it| it), other.map_or(&[][..], |it| it));
            let at = one.iter().zip(other).position(|(one, other)| one != other);
            let at = at.unwrap_or(one.len().min(other.len()));
            return Err(Violation(format!(
                "replicas differ: {partition} on 1 and {} at {at}: {:?} and {:?}",
                node + 1,
                one.get(at),
                other.get(at)
            )));
        }
    }
    Ok(())
}

fn offsets_are_dense(logs: &Logs) -> Result<(), Violation> {
    for (partition, kept) in logs {
        for (expected, kept) in (0..).zip(kept) {
            if kept.offset != expected {
                let found = kept.offset;
                return Err(Violation(format!("a gap: {partition} has {found} at {expected}")));
            }
        }
    }
    Ok(())
}

fn nothing_acknowledged_is_lost(seen: &Seen, logs: &Logs) -> Result<(), Violation> {
    let mut places = BTreeSet::new();
    for (written, partition, offset) in &seen.acknowledged {
        if !places.insert((partition, offset)) {
            return Err(Violation(format!("two are acknowledged at {partition}/{offset}")));
        }
        let kept = logs.get(partition).and_then(|log| log.get(usize::try_from(*offset).ok()?));
        if kept.is_none_or(|kept| Written::of(&kept.value) != Some(*written)) {
            return Err(Violation(format!(
                "acknowledged and lost: {} at {partition}/{offset}, where there is {:?}",
                written.value(),
                kept.map(|kept| String::from_utf8_lossy(&kept.value))
            )));
        }
    }
    Ok(())
}

fn nothing_is_written_twice_or_out_of_order(seen: &Seen, logs: &Logs) -> Result<(), Violation> {
    for (partition, kept) in logs {
        let mut last: BTreeMap<usize, Written> = BTreeMap::new();
        for kept in kept {
            let at = format!("{partition}/{}", kept.offset);
            let written =
                Written::of(&kept.value).filter(|it| seen.sent.get(it) == Some(partition));
            let written = written.ok_or_else(|| Violation(format!("{at} was sent by nobody")))?;
            if let Some(before) = last.insert(written.writer, written)
                && before >= written
            {
                let how = if before == written { "twice" } else { "out of order" };
                let (before, written) = (before.value(), written.value());
                return Err(Violation(format!("{how}: {written} at {at} behind {before}")));
            }
        }
    }
    Ok(())
}

fn readers_saw_the_log(seen: &Seen, logs: &Logs) -> Result<(), Violation> {
    let mut next: BTreeMap<(usize, Partition), i64> = BTreeMap::new();
    for (reader, partition, offset, value) in &seen.read {
        let expected = next.insert((*reader, *partition), offset + 1).unwrap_or(0);
        if *offset != expected {
            return Err(Violation(format!(
                "reader {reader} was handed {partition}/{offset} instead of {expected}"
            )));
        }
        let kept = logs.get(partition).and_then(|log| log.get(usize::try_from(*offset).ok()?));
        if kept.is_none_or(|kept| kept.value != *value) {
            return Err(Violation(format!(
                "reader {reader} was handed {} at {partition}/{offset}, where there is {:?}",
                String::from_utf8_lossy(value),
                kept.map(|kept| String::from_utf8_lossy(&kept.value))
            )));
        }
    }
    for (reader, partition) in (0..crate::clients::READERS)
        .flat_map(|reader| (0..PARTITIONS).map(move |partition| (reader, partition)))
    {
        let end = logs.get(&partition).map_or(0, Vec::len) as i64;
        let read = next.get(&(reader, partition)).copied().unwrap_or(0);
        if read != end {
            return Err(Violation(format!(
                "reader {reader} has not seen all: {read} of {end} of {}",
                PartitionIndex(partition)
            )));
        }
    }
    Ok(())
}
