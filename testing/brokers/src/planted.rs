//! Bugs that must be found. None is in a broker: each is a world that breaks a promise, or a client
//! that is told more than it asked for, so that what ships is what is tested.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use milena_storage::Disk;
use milena_storage::disk::{Entry, FaultDisk, Mode, Space};
use parking_lot::Mutex;

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// What the leader alone has is taken for acknowledged by all in sync.
    AcknowledgedByLeader,
    /// A node that comes back without its unsynced records says that it has lost nothing.
    LossyRestartKeepsItsPlace,
    /// Votes and metadata count although they are not on the disk.
    UnsyncedMetadataCounts,
    /// Whoever is there leads, whatever it has.
    UncleanElections,
    /// What is sent again is written again.
    RetriesWithoutSequences,
    /// Nobody knows who had everything, besides those in sync (KIP-966).
    NobodyIsEligible,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AcknowledgedByLeader,
        Self::LossyRestartKeepsItsPlace,
        Self::UnsyncedMetadataCounts,
        Self::UncleanElections,
        Self::RetriesWithoutSequences,
        Self::NobodyIsEligible,
    ];

    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AcknowledgedByLeader => "acknowledge before the high watermark",
            Self::LossyRestartKeepsItsPlace => "a lossy restart keeps its place",
            Self::UnsyncedMetadataCounts => "unsynced metadata counts",
            Self::UncleanElections => "whoever is there leads",
            Self::RetriesWithoutSequences => "retries without sequences",
            Self::NobodyIsEligible => "nobody is eligible outside of the ISR",
        }
    }
}

/// The disk as a node sees it.
pub(crate) fn disk(disk: &FaultDisk, bug: Option<Bug>) -> Arc<dyn Disk> {
    match bug {
        Some(Bug::UnsyncedMetadataCounts) => {
            Arc::new(Liar { disk: disk.clone(), metadata: Mutex::default() })
        }
        _ => Arc::new(disk.clone()),
    }
}

/// A disk that says of metadata that it is on the medium when it is not.
#[derive(Debug)]
struct Liar {
    disk: FaultDisk,
    /// The inodes of its files.
    metadata: Mutex<HashSet<u64>>,
}

fn is_metadata(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "__cluster_metadata-0")
}

impl Disk for Liar {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<File> {
        let file = self.disk.open(path, mode)?;
        let inode = file.metadata()?.ino();
        let mut metadata = self.metadata.lock();
        if is_metadata(path) {
            metadata.insert(inode);
        } else {
            metadata.remove(&inode);
        }
        Ok(file)
    }

    fn write_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
        self.disk.write_at(file, bytes, position)
    }

    fn allocate(&self, file: &File, start: u64, end: u64) -> io::Result<()> {
        self.disk.allocate(file, start, end)
    }

    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        self.disk.set_len(file, len)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        if self.metadata.lock().contains(&file.metadata()?.ino()) {
            return Ok(());
        }
        self.disk.sync_data(file)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        if is_metadata(path) { Ok(()) } else { self.disk.sync_directory(path) }
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.create_directory(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_directory(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.disk.space(path)
    }

    fn admit_mapped_write(&self, bytes: usize) -> usize {
        self.disk.admit_mapped_write(bytes)
    }
}
