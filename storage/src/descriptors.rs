//! Open files within a budget.
//!
//! A log does not own its descriptors: it borrows them from here, and the least recently
//! borrowed ones are closed when there are too many. Ten thousand partitions can be written to
//! with a thousand descriptors, because small appends need none: they go through the map.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::disk::{Disk, Mode};

/// A name for one file's descriptor, whatever the file's path becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId(u64);

/// The descriptors of one data directory.
#[derive(Debug)]
pub(crate) struct Descriptors {
    open: Mutex<HashMap<FileId, Slot>>,
    budget: usize,
    next_id: AtomicU64,
    clock: AtomicU64,
}

#[derive(Debug)]
struct Slot {
    file: Arc<File>,
    used_at: u64,
}

impl Descriptors {
    pub(crate) fn new(budget: usize) -> Self {
        Self {
            open: Mutex::default(),
            budget: budget.max(8),
            next_id: AtomicU64::new(0),
            clock: AtomicU64::new(0),
        }
    }

    /// A new name.
    pub(crate) fn next_id(&self) -> FileId {
        FileId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// The file of that name, opened to read and write at `path` if it is not open.
    pub(crate) fn borrow(&self, disk: &dyn Disk, id: FileId, path: &Path) -> io::Result<Arc<File>> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let mut open = self.open.lock();
        if let Some(slot) = open.get_mut(&id) {
            slot.used_at = now;
            return Ok(Arc::clone(&slot.file));
        }
        drop(open);
        let file = Arc::new(disk.open(path, Mode::Write)?);
        self.keep(id, Arc::clone(&file));
        Ok(file)
    }

    /// Takes a file that was just made.
    pub(crate) fn keep(&self, id: FileId, file: Arc<File>) {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let mut open = self.open.lock();
        open.insert(id, Slot { file, used_at: now });
        if open.len() > self.budget {
            // Closing an eighth at a time makes the search cheap per file.
            let mut ages: Vec<u64> = open.values().map(|slot| slot.used_at).collect();
            ages.sort_unstable();
            let oldest = ages.get(ages.len() / 8).copied().unwrap_or_default();
            open.retain(|_, slot| slot.used_at > oldest);
        }
    }

    /// Closes a file, once its borrowers are done.
    pub(crate) fn forget(&self, id: FileId) {
        self.open.lock().remove(&id);
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.open.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    /// Ten thousand partitions would run out of descriptors.
    #[test]
    fn descriptors_stay_within_their_budget() {
        let directory = tempfile::tempdir().unwrap();
        let descriptors = Descriptors::new(16);
        let mut ids = Vec::new();
        for number in 0..100 {
            let path = directory.path().join(number.to_string());
            std::fs::write(&path, number.to_string()).unwrap();
            let id = descriptors.next_id();
            ids.push((id, path));
        }
        for _ in 0..3 {
            for (id, path) in &ids {
                descriptors.borrow(&RealDisk, *id, path).unwrap();
                assert!(descriptors.count() <= 16);
            }
        }
    }
}
