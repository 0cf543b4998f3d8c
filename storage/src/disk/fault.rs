//! A disk that fails when it is told to.
//!
//! It works on real files, since they are mapped, and keeps beside them what a power cut would
//! leave: the bytes of each file as of its last sync, and the names of each directory as of its
//! last sync. Every changing call is one *step*. A fault can be set for the n-th step from now:
//! an error code, or the end of the world, after which every changing call fails.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;

use super::operations::{Disk, Entry, Mode, Space};
use super::real::RealDisk;

/// What happens at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This one call fails with the code, later ones work.
    Error(Errno),
    /// The process dies before the call takes effect: it and every later one fail.
    Crash,
    /// The process dies in the middle: of a write, only the first half arrives.
    Torn,
}

/// A [`Disk`] with faults. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct FaultDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    steps: u64,
    fault: Option<(u64, Fault)>,
    crashed: bool,
    usable_bytes: Option<u64>,
    /// Bytes as of the last sync.
    synced: HashMap<FileNumber, Vec<u8>>,
    /// Names by directory as of the last sync; directories have no number.
    names: HashMap<PathBuf, Vec<(String, Option<FileNumber>)>>,
    /// Inode numbers are used again, so each new file gets a number of its own.
    numbers: HashMap<u64, FileNumber>,
    next_number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FileNumber(u64);

impl State {
    fn new_file(&mut self, inode: u64) -> FileNumber {
        self.next_number += 1;
        self.numbers.insert(inode, FileNumber(self.next_number));
        FileNumber(self.next_number)
    }

    fn number_of(&mut self, inode: u64) -> FileNumber {
        self.numbers.get(&inode).copied().unwrap_or_else(|| self.new_file(inode))
    }
}

enum Admission {
    Go,
    Half,
}

impl FaultDisk {
    /// A disk without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Steps taken so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.state.lock().steps
    }

    /// Sets the fault of the `n`-th step from now, counted from 1.
    pub fn fail_in(&self, n: u64, fault: Fault) {
        let mut state = self.state.lock();
        state.fault = Some((state.steps + n, fault));
    }

    /// Takes back the fault that was set and has not come.
    pub fn calm(&self) {
        self.state.lock().fault = None;
    }

    /// Whether the end of the world has come.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.state.lock().crashed
    }

    /// Leaves only so many bytes for allocation, or, with `None`, what the machine has.
    pub fn limit_space(&self, usable_bytes: Option<u64>) {
        self.state.lock().usable_bytes = usable_bytes;
    }

    /// Undoes everything below `root` that was not synced, as a power cut would in the worst
    /// case. Nothing may be open any more. What is left survives the next cut too.
    pub fn cut_power(&self, root: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        std::fs::remove_dir_all(root)?;
        std::fs::create_dir_all(root)?;
        let mut left = State { next_number: state.next_number, ..State::default() };
        restore(root, &state, &mut left)?;
        *state = left;
        Ok(())
    }

    fn step(&self) -> io::Result<Admission> {
        let mut state = self.state.lock();
        if state.crashed {
            return Err(Errno::IO.into());
        }
        state.steps += 1;
        match state.fault {
            Some((at, fault)) if at == state.steps => {
                state.fault = None;
                match fault {
                    Fault::Error(code) => Err(code.into()),
                    Fault::Crash => {
                        state.crashed = true;
                        Err(Errno::IO.into())
                    }
                    Fault::Torn => {
                        state.crashed = true;
                        Ok(Admission::Half)
                    }
                }
            }
            _ => Ok(Admission::Go),
        }
    }

    /// A step that cannot be done by halves.
    fn whole_step(&self) -> io::Result<()> {
        match self.step()? {
            Admission::Go => Ok(()),
            Admission::Half => Err(Errno::IO.into()),
        }
    }
}

/// Makes a directory what it was at its last sync, and takes it over into what is left.
fn restore(directory: &Path, synced: &State, left: &mut State) -> io::Result<()> {
    let Some(names) = synced.names.get(directory) else { return Ok(()) };
    left.names.insert(directory.to_path_buf(), names.clone());
    for (name, number) in names {
        let path = directory.join(name);
        if let Some(number) = number {
            let bytes = synced.synced.get(number).cloned().unwrap_or_default();
            std::fs::write(&path, &bytes)?;
            left.numbers.insert(std::fs::metadata(&path)?.ino(), *number);
            left.synced.insert(*number, bytes);
        } else {
            std::fs::create_dir_all(&path)?;
            restore(&path, synced, left)?;
        }
    }
    Ok(())
}

impl Disk for FaultDisk {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<File> {
        if matches!(mode, Mode::Read | Mode::Write) {
            return RealDisk.open(path, mode);
        }
        self.whole_step()?;
        let is_new = !path.exists();
        let file = RealDisk.open(path, mode)?;
        if is_new {
            self.state.lock().new_file(file.metadata()?.ino());
        }
        Ok(file)
    }

    fn write_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
        match self.step()? {
            Admission::Go => RealDisk.write_at(file, bytes, position),
            Admission::Half => {
                RealDisk.write_at(file, bytes.split_at(bytes.len() / 2).0, position)?;
                Err(Errno::IO.into())
            }
        }
    }

    fn allocate(&self, file: &File, start: u64, end: u64) -> io::Result<()> {
        self.whole_step()?;
        {
            let mut state = self.state.lock();
            if let Some(usable) = state.usable_bytes {
                let wanted = end.saturating_sub(start);
                if usable < wanted {
                    return Err(Errno::NOSPC.into());
                }
                state.usable_bytes = Some(usable - wanted);
            }
        }
        RealDisk.allocate(file, start, end)
    }

    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        self.whole_step()?;
        RealDisk.set_len(file, len)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        self.whole_step()?;
        let metadata = file.metadata()?;
        let mut bytes = vec![0; usize::try_from(metadata.len()).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, 0)?;
        let mut state = self.state.lock();
        let number = state.number_of(metadata.ino());
        state.synced.insert(number, bytes);
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.whole_step()?;
        let mut names = Vec::new();
        let mut state = self.state.lock();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                let metadata = entry.metadata()?;
                let number = metadata.is_file().then(|| state.number_of(metadata.ino()));
                names.push((name, number));
            }
        }
        state.names.insert(path.to_path_buf(), names);
        Ok(())
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        for entry in self.list(path)? {
            let child = path.join(&entry.name);
            if entry.is_directory {
                self.sync_all(&child)?;
            } else {
                self.sync_data(&RealDisk.open(&child, Mode::Read)?)?;
            }
        }
        self.sync_directory(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.whole_step()?;
        RealDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.whole_step()?;
        RealDisk.remove_file(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.whole_step()?;
        RealDisk.create_directory(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.whole_step()?;
        RealDisk.remove_directory(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        RealDisk.list(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let space = RealDisk.space(path)?;
        let limit = self.state.lock().usable_bytes.unwrap_or(u64::MAX);
        Ok(Space { usable_bytes: space.usable_bytes.min(limit), ..space })
    }

    fn admit_mapped_write(&self, bytes: usize) -> usize {
        match self.step() {
            Ok(Admission::Go) => bytes,
            Ok(Admission::Half) => bytes / 2,
            Err(_) => 0,
        }
    }
}
