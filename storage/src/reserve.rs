//! A file of nothing, whose space is there when a full disk has no other.
//!
//! Clients' records leave some space alone, but others may take that: another process that fills
//! the disk to the last byte would keep the broker from starting, from writing down that a topic is
//! deleted, and so from ever freeing space by itself. The file `reserve` is removed when an
//! internal log or a start finds no space, and made again once there is plenty.

use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::disk::{Disk, Mode, Space};

const NAME: &str = "reserve";
/// The file is this large, or a 64th of the file system if that is less.
const BYTES: u64 = 1 << 20;
/// The file is made only where so many times its size are usable.
const PLENTY: u64 = 8;

#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    bytes: u64,
    is_kept: Mutex<bool>,
}

impl Reserve {
    /// Looks whether there is one, and gives it up at once on a disk that is full.
    pub(crate) fn find(root: &Path, space: Space, disk: &dyn Disk) -> Self {
        let path = root.join(NAME);
        let is_kept = Mutex::new(path.exists());
        let reserve = Self { path, bytes: BYTES.min(space.total_bytes / 64), is_kept };
        if space.usable_bytes < reserve.bytes {
            reserve.give_up(disk);
        }
        reserve
    }

    /// Frees the space; answers whether there was any to free.
    pub(crate) fn give_up(&self, disk: &dyn Disk) -> bool {
        let mut is_kept = self.is_kept.lock();
        std::mem::take(&mut *is_kept) && disk.remove_file(&self.path).is_ok()
    }

    /// Takes space back where there is plenty. It is a precaution: failing is no error.
    pub(crate) fn keep(&self, root: &Path, disk: &dyn Disk) {
        let mut is_kept = self.is_kept.lock();
        if *is_kept {
            return;
        }
        let is_plenty =
            disk.space(root).is_ok_and(|space| space.usable_bytes >= PLENTY * self.bytes);
        if is_plenty && self.bytes > 0 {
            let made = disk.open(&self.path, Mode::Replace);
            *is_kept = made.is_ok_and(|file| disk.allocate(&file, 0, self.bytes).is_ok());
        }
    }
}
