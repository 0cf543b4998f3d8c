//! The rules on which the safety of a consumer group rests, each in a line or two.
//!
//! [`Kip848`] takes them as they are. The simulator overrides one at a time to plant a bug, and
//! must find it; nothing of that is in the machine that ships.

use milena_protocol::codec::Text;

/// The rules of KIP-848.
pub trait Rules {
    /// Whether a member may have a partition now: nobody else has it, or has yet to give it up.
    #[must_use]
    fn is_free(owner: Option<&Text>, member: &Text) -> bool {
        owner.is_none_or(|owner| owner == member)
    }

    /// Whether a member has given up what it was to give up: it said what it owns, and none of
    /// that is among it. Silence says nothing.
    #[must_use]
    fn is_revoked(owns_some: Option<bool>) -> bool {
        owns_some == Some(false)
    }

    /// Whether a member that stayed behind may go on: its last answer was lost, and it owns nothing
    /// that it was not given.
    #[must_use]
    fn may_catch_up(received: i32, previous: i32, owns_only_assigned: bool) -> bool {
        received == previous && owns_only_assigned
    }

    /// Whether a commit of an older epoch counts for a partition: the member has had it since
    /// (KIP-1251).
    #[must_use]
    fn may_commit(received: i32, assigned_in: Option<i32>) -> bool {
        assigned_in.is_some_and(|epoch| received >= epoch)
    }

    /// Whether a member that did not give up its partitions in time is still in the epoch in which
    /// it was to.
    #[must_use]
    fn is_late(epoch: i32, asked_in: i32) -> bool {
        epoch == asked_in
    }
}

/// The rules as they are.
#[derive(Clone, Copy, Debug)]
pub enum Kip848 {}

impl Rules for Kip848 {}
