//! What storage asks of a disk.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    Write,
    /// A new file, to read and write; it is an error if there is one already.
    CreateNew,
    /// A file to read and write, made or emptied.
    Replace,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The last part of its path. Names that are not UTF-8 are not listed.
    pub name: String,
    /// Whether it is a directory.
    pub is_directory: bool,
}

/// Space of a file system, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// All there is.
    pub total_bytes: u64,
    /// What is left for this process.
    pub usable_bytes: u64,
}

/// Every change that storage makes to a disk passes through here, so that a test can make any of
/// them fail, and can stop the world after any of them. Files are real ones because they are
/// mapped; reading needs no hook, for what is read is what was written.
pub trait Disk: Send + Sync + fmt::Debug + 'static {
    /// Opens or makes a file.
    fn open(&self, path: &Path, mode: Mode) -> io::Result<File>;
    /// Writes all of `bytes` at a position.
    fn write_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()>;
    /// Gives the file real blocks, reading as zeros, up to `end`. A full disk is told here.
    fn allocate(&self, file: &File, start: u64, end: u64) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, file: &File, len: u64) -> io::Result<()>;
    /// Returns when the file's bytes and length are on the medium (`fdatasync`).
    fn sync_data(&self, file: &File) -> io::Result<()>;
    /// Returns when the names of a directory are on the medium.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// Returns when everything of the file system that holds `path` is on the medium (`syncfs`).
    fn sync_all(&self, path: &Path) -> io::Result<()>;
    /// Renames over whatever has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory; its parent must exist.
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, in no order.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
    /// Space of the file system that holds `path`.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// Asked before `bytes` are copied into a map: how many of them may be copied. Less than
    /// all means that the world ends in the middle of the copy.
    fn admit_mapped_write(&self, bytes: usize) -> usize {
        bytes
    }
}
