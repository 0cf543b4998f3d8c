//! Small text files that are replaced as a whole.
//!
//! | line | content |
//! |---|---|
//! | 1 | `0`, the version |
//! | 2 | number of the lines that follow |
//! | 3… | fields separated by single spaces |
//!
//! This is Kafka's checkpoint form. A file is written under `.tmp`, synced if it has to survive
//! a power cut, renamed over the old one, and the directory synced: at every instant the old or
//! the new file is there, whole. A file that cannot be understood counts as absent, because
//! everything in a checkpoint can be found again by reading the log.

use std::fmt::Write;
use std::io;
use std::path::Path;

use crate::disk::{Disk, Mode};

/// How much a replaced file must survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survives {
    /// The end of the process.
    Process,
    /// The end of the machine.
    Power,
}

/// Replaces a file atomically: its `.tmp` is written, and takes its place.
///
/// # Errors
/// When the disk refuses; the old file is there then, whole.
pub fn replace(disk: &dyn Disk, path: &Path, content: &[u8], survives: Survives) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    let file = disk.open(temporary, Mode::Replace)?;
    disk.write_at(&file, content, 0)?;
    if survives == Survives::Power {
        disk.sync_data(&file)?;
    }
    disk.rename(temporary, path)?;
    match path.parent() {
        Some(parent) if survives == Survives::Power => disk.sync_directory(parent),
        _ => Ok(()),
    }
}

/// Writes the text form of some lines.
pub(crate) fn render(lines: impl Iterator<Item = String>) -> String {
    let mut body = String::new();
    let mut count = 0usize;
    for line in lines {
        count += 1;
        body.push_str(&line);
        body.push('\n');
    }
    let mut text = String::with_capacity(body.len() + 16);
    let _ = write!(text, "0\n{count}\n");
    text.push_str(&body);
    text
}

/// Reads the lines, or `None` when the text is not a whole checkpoint.
pub(crate) fn parse(text: &str) -> Option<Vec<Vec<&str>>> {
    let mut lines = text.lines();
    if lines.next()? != "0" {
        return None;
    }
    let count: usize = lines.next()?.parse().ok()?;
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(' ').collect()).collect();
    (rows.len() == count).then_some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Fault, FaultDisk, RealDisk};

    /// A half-written checkpoint would be believed.
    #[test]
    fn only_whole_checkpoints_are_read() {
        let text = render(["a 0 1".to_owned(), "b 1 2".to_owned()].into_iter());
        assert_eq!(text, "0\n2\na 0 1\nb 1 2\n");
        assert_eq!(parse(&text), Some(vec![vec!["a", "0", "1"], vec!["b", "1", "2"]]));
        assert_eq!(parse("0\n2\na 0 1\n"), None);
        assert_eq!(parse("1\n0\n"), None);
        assert_eq!(parse(""), None);
    }

    /// A crash in the middle of a replacement would leave neither the old nor the new file.
    #[test]
    fn replacing_is_atomic_at_every_step() {
        for step in 1..=5 {
            for fault in [Fault::Crash, Fault::Torn] {
                let directory = tempfile::tempdir().unwrap();
                let path = directory.path().join("checkpoint");
                let disk = FaultDisk::new();
                replace(&disk, &path, b"old", Survives::Power).unwrap();
                disk.fail_in(step, fault);
                let crashed = replace(&disk, &path, b"new", Survives::Power).is_err();
                assert!(crashed, "step {step}");
                let found = std::fs::read(&path).unwrap();
                assert!(found == b"old" || found == b"new");
                disk.cut_power(directory.path()).unwrap();
                let found = std::fs::read(&path).unwrap();
                assert!(found == b"old" || found == b"new", "step {step} {fault:?}");
                replace(&RealDisk, &path, b"newer", Survives::Process).unwrap();
                assert_eq!(std::fs::read(&path).unwrap(), b"newer");
            }
        }
    }
}
