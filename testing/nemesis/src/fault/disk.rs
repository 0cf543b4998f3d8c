//! A full disk: each node's directory is a small file system of its own, and something fills it.
//!
//! The file systems live in a mount namespace of this process and what it starts, so the kernel
//! takes them away with the last of them, however that ends.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount as detach};

/// Says that the mount namespace is there.
const MARK: &str = "NEMESIS_HAS_MOUNTS";
/// As large as one piece of what fills the disk, the largest first.
const PIECES: [u64; 4] = [64 << 20, 1 << 20, 1 << 16, 1 << 12];

/// Goes on in a mount namespace of its own; returns once this is one.
///
/// # Errors
/// When `unshare` of util-linux is missing or not permitted.
pub fn enter_namespace() -> io::Result<()> {
    if std::env::var_os(MARK).is_some() {
        return Ok(());
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]);
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    let error = command
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(MARK, "1")
        .exec();
    Err(io::Error::other(format!("a full disk needs `unshare --mount`: {error}")))
}

/// Mounts a file system of so many MiB, in memory, on a directory.
///
/// # Errors
/// When the kernel refuses.
pub fn mount_small(directory: &Path, mib: u64) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let size = std::ffi::CString::new(format!("size={mib}m"))?;
    Ok(mount("nemesis", directory, "tmpfs", MountFlags::empty(), Some(size.as_c_str()))?)
}

/// Takes a file system away again.
pub fn unmount(directory: &Path) {
    // It goes with this process otherwise.
    let _ = detach(directory, UnmountFlags::DETACH);
}

/// Takes all that is left of a file system; gives the file that holds it.
///
/// # Errors
/// When the file cannot be made.
pub fn fill(directory: &Path) -> io::Result<PathBuf> {
    let ballast = directory.with_extension("ballast");
    let file = File::create(&ballast)?;
    let mut end = 0;
    for piece in PIECES {
        loop {
            match fallocate(&file, FallocateFlags::empty(), end, piece) {
                Ok(()) => end += piece,
                Err(Errno::NOSPC) => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(ballast)
}
