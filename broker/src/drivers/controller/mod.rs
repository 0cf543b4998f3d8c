//! The controller's thread: it lets the controller decide, the quorum order, the log keep, and then
//! publishes. It holds no rules of its own.
//!
//! Requests that come while one is being synced share the next sync. What is answered has been
//! committed, applied to this broker's logs and published. On a node whose quorum another node
//! leads the same thread follows: it appends what the leader sends, and publishes what that
//! commits.

mod driver;
mod handle;
mod ledger;
mod meter;
mod news;
mod queue;
mod recover;
mod restore;
#[cfg(test)]
mod tests;

pub use driver::{Driver, Outbox, Outgoing, SnapshotRules};
pub use handle::{Authority, ControllerHandle, Inbox, QuorumView};
pub use news::Publish;
pub use recover::Remains;
pub use restore::{Beginning, restore};

/// A part of the driver failed in a way that it must not survive: what is on the disk is no longer
/// what the machines believe.
#[derive(Debug)]
pub struct Fatal(pub String);

impl std::fmt::Display for Fatal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fatal {}
