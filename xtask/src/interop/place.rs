//! Where things are: the tree, the broker under test, what was installed, scratch directories.

use std::fs;
use std::path::{Path, PathBuf};

use super::check::{Failure, Outcome};

/// Names the broker that is tested instead of the release build.
const BINARY_VARIABLE: &str = "MILENA_BIN";

/// The places that suites use.
#[derive(Clone, Debug)]
pub struct Place {
    /// The root of the tree.
    pub root: PathBuf,
    /// The broker under test.
    pub binary: PathBuf,
    /// What was installed, and scratch directories.
    pub installed: PathBuf,
}

impl Place {
    /// The places of a tree.
    ///
    /// # Errors
    /// When there is no broker to test.
    pub fn of(root: &Path) -> Outcome<Self> {
        let binary = match std::env::var_os(BINARY_VARIABLE) {
            Some(name) => PathBuf::from(name),
            None => root.join("target/release/milena"),
        };
        let binary = binary.canonicalize().map_err(Failure::while_doing(format!(
            "no broker at {}; build it with `cargo build --release -p milena`",
            binary.display()
        )))?;
        let installed = root.join("target/interop");
        fs::create_dir_all(&installed)
            .map_err(Failure::while_doing(format!("cannot make {}", installed.display())))?;
        Ok(Self { root: root.to_owned(), binary, installed })
    }

    /// What belongs to a suite: its programs and settings.
    #[must_use]
    pub fn sources(&self, suite: &str) -> PathBuf {
        self.root.join("testing/interop").join(suite)
    }

    /// An empty directory of this process.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self, name: &str) -> Outcome<Scratch> {
        let path = self.installed.join("scratch").join(format!("{name}-{}", std::process::id()));
        let making = || Failure::while_doing(format!("cannot make {}", path.display()));
        if path.exists() {
            fs::remove_dir_all(&path).map_err(making())?;
        }
        fs::create_dir_all(&path).map_err(making())?;
        Ok(Scratch { path })
    }
}

/// A directory that goes away when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in nobody's way: the next one has another name.
        let _ = fs::remove_dir_all(&self.path);
    }
}
