//! A disk of a few megabytes: a file system in memory, in a mount namespace of its own.
//!
//! It needs no rights beyond those of a user, where the system lets users have namespaces.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A small disk; it is gone when this is dropped.
pub struct SmallDisk {
    place: tempfile::TempDir,
    keeper: Child,
}

impl SmallDisk {
    /// Makes one; none, with the reason on stderr, where the system does not allow it.
    pub fn make(megabytes: u32) -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        // The keeper holds the namespace until its input ends.
        let mount = "mount -t tmpfs -o size=$1m tmpfs \"$2\" && echo ready && exec cat";
        let keeper = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"])
            .arg(megabytes.to_string())
            .arg(place.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut keeper = match keeper {
            Ok(keeper) => keeper,
            Err(error) => {
                eprintln!("NOT TESTED: no small disk can be made here: unshare: {error}");
                return None;
            }
        };
        let mut said = String::new();
        let stdout = keeper.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut said).unwrap();
        if said.trim() != "ready" {
            eprintln!("NOT TESTED: no small disk can be made here: users may not mount");
            keeper.wait().unwrap();
            return None;
        }
        Some(Self { place, keeper })
    }

    /// Where processes on this disk find it.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Where everybody else finds it.
    pub fn seen_from_outside(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.keeper.id()));
        root.join(self.path().strip_prefix("/").unwrap())
    }

    /// A command that runs on this disk.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--user", "--mount", "--preserve-credentials", "--target"])
            .arg(self.keeper.id().to_string())
            .arg(program);
        command
    }

    /// Takes all the space there is.
    pub fn fill(&self) {
        let mut file = std::fs::File::create(self.filler()).unwrap();
        let full = std::io::copy(&mut std::io::repeat(1), &mut file).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }

    /// Gives back what was taken.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.seen_from_outside().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Its input has ended with the pipe.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
