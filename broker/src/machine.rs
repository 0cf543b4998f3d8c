//! What a node runs on: a disk, threads, and an end of the process. A simulation gives it others.

use std::fmt;
use std::sync::Arc;

use milena_storage::{Disk, RealDisk};

/// Where what must not wait for the runtime's tasks does its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// On threads of its own: the controller, what was committed, the upkeep of directories.
    Own,
    /// Nowhere but on the runtime: all of a node is one thread, and its time that of the runtime.
    None,
}

/// What a node runs on.
#[derive(Clone)]
pub struct Machine {
    /// What its directories are on.
    pub disk: Arc<dyn Disk>,
    /// Whether it has threads.
    pub threads: Threads,
    /// Ends the process where what is on the disk is no longer what the node believes.
    pub end: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { disk, threads, .. } = self;
        f.debug_struct("Machine").field("disk", disk).field("threads", threads).finish()
    }
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn real() -> Self {
        Self {
            disk: Arc::new(RealDisk),
            threads: Threads::Own,
            end: Arc::new(|| std::process::abort()),
        }
    }
}
