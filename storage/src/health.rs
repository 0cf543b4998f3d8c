//! Whether a data directory may still be trusted.
//!
//! The first failed write, sync or unmap ends it: after such a failure nobody knows what the
//! pages of a file hold (the kernel marks them clean), so nothing is tried again on it until the
//! process starts anew and recovers. A full disk is not such a failure.
//!
//! The kernel tells of a page that it could not write once. Whoever is told takes back what vouches
//! for unsynced pages across a restart, so that the next process does not rely on them.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustix::io::Errno;

use crate::disk::Disk;
use crate::error::StorageError;

/// The state of one data directory, shared by everything that lives in it.
#[derive(Debug)]
pub(crate) struct Health {
    offline: OnceLock<String>,
    disk: Arc<dyn Disk>,
    /// Files that vouch for the page cache, which nobody can any more after a failure.
    vouchers: Vec<PathBuf>,
}

impl Health {
    /// A sound directory; the vouchers are removed when it is no longer.
    pub(crate) fn new(disk: Arc<dyn Disk>, vouchers: Vec<PathBuf>) -> Self {
        Self { offline: OnceLock::new(), disk, vouchers }
    }

    /// Why the directory is offline, if it is.
    pub(crate) fn offline_reason(&self) -> Option<&str> {
        self.offline.get().map(String::as_str)
    }

    /// Refuses work in an offline directory.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        match self.offline.get() {
            None => Ok(()),
            Some(reason) => Err(StorageError::Offline { reason: reason.clone() }),
        }
    }

    /// Judges a failed operation: a full disk heals by itself, exhausted descriptors too,
    /// everything else takes the directory offline for good.
    pub(crate) fn failed(&self, operation: &'static str, error: &io::Error) -> StorageError {
        match Errno::from_io_error(error) {
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => StorageError::Full,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => {
                StorageError::Exhausted { operation, reason: error.to_string() }
            }
            _ => self.poison(operation, error),
        }
    }

    /// Takes the directory offline, whatever the code.
    pub(crate) fn poison(&self, operation: &'static str, error: &io::Error) -> StorageError {
        let reason = format!("{operation}: {error}");
        let first = self.offline.get_or_init(|| {
            for voucher in &self.vouchers {
                // Whatever comes of it: the disk is failing, and this is all that can be done.
                let _ = self.disk.remove_file(voucher);
            }
            reason
        });
        StorageError::Offline { reason: first.clone() }
    }
}

/// Marks a failed sync: what it did not write is lost, whatever the code says, because the kernel
/// counts the pages as clean now.
pub(crate) fn lost(error: io::Error) -> io::Error {
    io::Error::other(format!("sync: {error}"))
}
