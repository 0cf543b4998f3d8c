//! The kinds of faults.

use clap::ValueEnum;
use serde::Serialize;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// kill -9, and a start afterwards.
    Kill,
    /// SIGSTOP, and SIGCONT afterwards.
    Pause,
    /// A node hears nobody and nobody hears it, but for the clients.
    Partition,
    /// A node hears nobody, or nobody hears it.
    Oneway,
    /// Two halves that do not hear each other, and one node that hears both.
    Bridge,
    /// A part of all packets is lost and sent again.
    Loss,
    /// Packets come late.
    Delay,
    /// There is no room on a node's disk.
    DiskFull,
    /// Syncs of a node fail.
    Fsync,
}

impl Kind {
    /// Whether it needs proxies between the nodes.
    #[must_use]
    pub fn is_of_network(self) -> bool {
        matches!(self, Self::Partition | Self::Oneway | Self::Bridge | Self::Loss | Self::Delay)
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Partition => "partition",
            Self::Oneway => "oneway",
            Self::Bridge => "bridge",
            Self::Loss => "loss",
            Self::Delay => "delay",
            Self::DiskFull => "disk-full",
            Self::Fsync => "fsync",
        }
    }
}
