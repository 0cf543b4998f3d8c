//! Putting one segment in the place of several, so that a crash leaves the ones or the other.
//!
//! The protocol is Kafka's, so either side finishes what the other began. The new segment has the
//! base offset of the first that it replaces, and its last batch ends where the last of them ends.
//!
//! | step | names, B being the base offset | after a crash here |
//! |---|---|---|
//! | write | `B.log.cleaned`, `B.index.cleaned`, …, all synced | the new is removed |
//! | commit | indexes become `.swap`, then `B.log.swap`; the directory is synced | before `B.log.swap` is there the new is removed, then the old is |
//! | discard | files of the old become `.deleted`, and producer snapshots within | the rest of the old is removed |
//! | finish | `B.log.swap` becomes `B.log`, then the indexes follow; the directory is synced | the rest is renamed |
//!
//! So with `B.log.swap` there, whatever has no suffix and lies within the new segment is old.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::Path;

use milena_protocol::ids::Offset;
use milena_protocol::record::run::{Batches, Tail};

use crate::disk::{Disk, Entry};
use crate::map::SegmentMap;
use crate::segment::{Kind, with_suffix};

/// What the files of a new segment are called while they are written.
pub(crate) const CLEANED_SUFFIX: &str = ".cleaned";
/// What they are called from the commit on.
pub(crate) const SWAP_SUFFIX: &str = ".swap";

/// The indexes of a segment; the log itself is renamed last before the commit and first after it.
const INDEXES: [Kind; 3] = [Kind::OffsetIndex, Kind::TimeIndex, Kind::TransactionIndex];

/// Commits a new segment: from here on it takes the place of the old, whatever happens.
pub(crate) fn commit(disk: &dyn Disk, directory: &Path, base: Offset) -> io::Result<()> {
    let renamed = |kind: Kind| {
        let path = kind.path(directory, base);
        (with_suffix(&path, CLEANED_SUFFIX), with_suffix(&path, SWAP_SUFFIX))
    };
    for kind in INDEXES {
        let (from, to) = renamed(kind);
        rename_if_there(disk, &from, &to)?;
    }
    // Without it there would be nothing to take the place of what is about to be discarded.
    let (from, to) = renamed(Kind::Log);
    disk.rename(&from, &to)?;
    disk.sync_directory(directory)
}

/// Gives the files of a committed segment their names, once nothing old has them.
pub(crate) fn finish(disk: &dyn Disk, directory: &Path, base: Offset) -> io::Result<()> {
    for kind in [Kind::Log].into_iter().chain(INDEXES) {
        let path = kind.path(directory, base);
        rename_if_there(disk, &with_suffix(&path, SWAP_SUFFIX), &path)?;
    }
    disk.sync_directory(directory)
}

/// Removes a new segment that was not committed. The log goes last, for it tells what the others
/// are.
pub(crate) fn undo(disk: &dyn Disk, directory: &Path, base: Offset) -> io::Result<()> {
    for suffix in [SWAP_SUFFIX, CLEANED_SUFFIX] {
        for kind in INDEXES.into_iter().chain([Kind::Log]) {
            remove_if_there(disk, &with_suffix(&kind.path(directory, base), suffix))?;
        }
    }
    Ok(())
}

/// Finishes or undoes what a crash interrupted in a log's directory, of which these are the names.
/// Whether there was anything.
pub(crate) fn settle(disk: &dyn Disk, directory: &Path, names: &[Entry]) -> io::Result<bool> {
    let is_left =
        |entry: &Entry| entry.name.ends_with(CLEANED_SUFFIX) || entry.name.ends_with(SWAP_SUFFIX);
    if !names.iter().any(is_left) {
        return Ok(false);
    }
    let found = Found::sort(names);
    let undone = |base: Offset| {
        // While the old log is whole, either may stay; once it is not, only the new.
        let mut begun = found.cleaned.range(..=base);
        begun.any(|cleaned| found.old.contains(&(*cleaned, Kind::Log)))
    };
    for (base, has_log) in &found.swaps {
        let end = if *has_log { end_of_swap(directory, *base) } else { Ok(Some(*base)) };
        match end? {
            Some(_) if undone(*base) => {}
            Some(end) => {
                if *has_log {
                    found.remove_old(disk, directory, *base, end)?;
                }
                finish(disk, directory, *base)?;
            }
            // Not what was committed: while there is an old log, it is the better one.
            None if found.old.contains(&(*base, Kind::Log)) => undo(disk, directory, *base)?,
            None => finish(disk, directory, *base)?,
        }
    }
    let undone = found.swaps.keys().copied().filter(|base| undone(*base));
    let left: BTreeSet<Offset> = undone.chain(found.cleaned.iter().copied()).collect();
    left.into_iter().try_for_each(|base| undo(disk, directory, base))?;
    Ok(true)
}

/// The names that matter here.
#[derive(Default)]
struct Found {
    cleaned: BTreeSet<Offset>,
    /// By base offset: whether the log is among the files.
    swaps: BTreeMap<Offset, bool>,
    /// Everything without a suffix.
    old: BTreeSet<(Offset, Kind)>,
}

impl Found {
    fn sort(names: &[Entry]) -> Self {
        let mut found = Self::default();
        for entry in names {
            let stem = |suffix| Kind::parse(entry.name.strip_suffix(suffix)?);
            if let Some((base, _)) = stem(CLEANED_SUFFIX) {
                found.cleaned.insert(base);
            } else if let Some((base, kind)) = stem(SWAP_SUFFIX) {
                *found.swaps.entry(base).or_default() |= kind == Kind::Log;
            } else if let Some(file) = Kind::parse(&entry.name) {
                found.old.insert(file);
            }
        }
        found
    }

    /// Removes what a new segment replaces. Its own first log goes first: once that is gone there
    /// is no way back.
    fn remove_old(
        &self,
        disk: &dyn Disk,
        directory: &Path,
        base: Offset,
        end: Offset,
    ) -> io::Result<()> {
        for (offset, kind) in &self.old {
            if *offset == base || (*offset > base && *offset < end) {
                remove_if_there(disk, &kind.path(directory, *offset))?;
            }
        }
        Ok(())
    }
}

/// Where the batches of a committed segment end; `None` if they do not end where the file does.
fn end_of_swap(directory: &Path, base: Offset) -> io::Result<Option<Offset>> {
    let file = File::open(with_suffix(&Kind::Log.path(directory, base), SWAP_SUFFIX))?;
    let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if len == 0 {
        return Ok(Some(base));
    }
    let map = SegmentMap::read_only(&file, len)?;
    let mut batches = Batches::new(map.bytes(0..len).unwrap_or_default());
    let mut end = base;
    for batch in batches.by_ref() {
        end = end.max(batch.next_offset());
    }
    Ok((batches.tail() == Tail::Clean).then_some(end))
}

fn rename_if_there(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    if from.exists() { disk.rename(from, to) } else { Ok(()) }
}

fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    if path.exists() { disk.remove_file(path) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use milena_protocol::record::builder::{BatchBuilder, BatchOptions};

    use super::*;
    use crate::disk::RealDisk;

    fn batch(base: i64, count: i64) -> Vec<u8> {
        let options = BatchOptions { base_offset: Offset(base), ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        for _ in 0..count {
            builder.append(milena_protocol::ids::Timestamp(1), Some(b"k"), None, &[]);
        }
        builder.build().unwrap().to_vec()
    }

    /// Files by name, each holding its own content, settled; what is there afterwards.
    fn settled(files: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let (number, rest) = name.split_once('.').unwrap();
            let name = format!("{:020}.{rest}", number.parse::<u64>().unwrap());
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        let names = RealDisk.list(directory.path()).unwrap();
        assert!(settle(&RealDisk, directory.path(), &names).unwrap());
        let mut left: Vec<(String, Vec<u8>)> = RealDisk
            .list(directory.path())
            .unwrap()
            .into_iter()
            .map(|entry| {
                let content = std::fs::read(directory.path().join(&entry.name)).unwrap();
                (entry.name.trim_start_matches('0').to_owned(), content)
            })
            .collect();
        left.sort();
        left
    }

    fn is(left: &[(String, Vec<u8>)], expected: &[(&str, &[u8])]) {
        let left: Vec<(&str, &[u8])> =
            left.iter().map(|(name, content)| (&name[..], &content[..])).collect();
        assert_eq!(left, expected);
    }

    /// Apache Kafka stops in the middle of a replacement and Milena goes on with half of each.
    #[test]
    fn what_kafka_leaves_is_settled() {
        let new = batch(10, 20);
        // Kafka renames the log first, then the indexes.
        let left = settled(&[
            ("10.log", b"old"),
            ("10.index", b"old"),
            ("10.log.swap", &new),
            ("10.index.cleaned", b"new"),
        ]);
        is(&left, &[("10.index", b"old"), ("10.log", b"old")]);
        // All are committed; the old ones are there in part.
        let left = settled(&[
            ("10.index", b"old"),
            ("10.log.swap", &new),
            ("10.index.swap", b"new"),
            ("20.log", b"old"),
            ("20.snapshot", b"old"),
            ("30.log", b"next"),
            ("30.snapshot", b"next"),
        ]);
        let next: &[u8] = b"next";
        is(
            &left,
            &[("10.index", b"new"), ("10.log", &new), ("30.log", next), ("30.snapshot", next)],
        );
        // The log has its name, the indexes do not have theirs.
        let left = settled(&[("10.log", &new), ("10.index.swap", b"new")]);
        is(&left, &[("10.index", b"new"), ("10.log", &new)]);
    }

    /// A damaged new segment would replace a good old one.
    #[test]
    fn a_damaged_swap_gives_way_to_the_old() {
        let new = batch(10, 20);
        let torn = &new[..new.len() - 1];
        let left = settled(&[("10.log", b"old"), ("10.log.swap", torn)]);
        is(&left, &[("10.log", b"old")]);
        let left = settled(&[("10.log.swap", torn), ("10.index.swap", b"new")]);
        is(&left, &[("10.index", b"new"), ("10.log", torn)]);
    }
}
