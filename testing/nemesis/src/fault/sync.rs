//! Syncs that fail: `strace` answers them with an error in the place of the kernel.
//!
//! The data stays in the page cache, so nothing is lost by it: what is tried is whether a broker
//! goes on acknowledging what it could not sync.

use std::io;
use std::path::Path;
use std::process::Command;

use crate::cluster::process::Process;

/// What is answered with an error.
const CALLS: &str = "fsync,fdatasync,msync,sync_file_range";

/// Whether it can be done here.
///
/// # Errors
/// When there is no `strace`.
pub fn check() -> io::Result<()> {
    let said = Command::new("strace").arg("--version").output();
    said.map(drop).map_err(|error| io::Error::other(format!("failing syncs need strace: {error}")))
}

/// Has all syncs of a process fail from now on.
///
/// # Errors
/// When it cannot be traced.
pub fn fail(id: u32) -> io::Result<Process> {
    let mut strace = Command::new("strace");
    strace
        .args(["--follow-forks", "--quiet=all", "-o", "/dev/null"])
        .arg(format!("--trace={CALLS}"))
        .arg(format!("--inject={CALLS}:error=EIO"))
        .arg(format!("--attach={id}"));
    Process::start(&strace, Path::new("/dev/null"))
}

/// Lets syncs succeed again.
///
/// # Errors
/// When the kernel refuses.
pub fn relent(tracer: &mut Process) -> io::Result<()> {
    // The kernel lets go of a process whose tracer is gone.
    match tracer.ended()? {
        Some(_) => Ok(()),
        None => tracer.kill(),
    }
}
