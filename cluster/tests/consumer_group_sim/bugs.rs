//! Bugs planted on purpose: what the checks are worth shows in whether they find them.

use milena_cluster::group::consumer::Rules;
use milena_protocol::codec::Text;

/// A partition is given away before its owner has given it up.
pub enum NothingIsOwned {}

impl Rules for NothingIsOwned {
    fn is_free(_: Option<&Text>, _: &Text) -> bool {
        true
    }
}

/// A member that does not say what it owns is taken to have given up everything.
pub enum SilenceRevokes {}

impl Rules for SilenceRevokes {
    fn is_revoked(owns_some: Option<bool>) -> bool {
        owns_some != Some(true)
    }
}

/// A member may go on from any epoch that there was.
pub enum AnyEpochCatchesUp {}

impl Rules for AnyEpochCatchesUp {
    fn may_catch_up(_: i32, _: i32, _: bool) -> bool {
        true
    }
}

/// Commits of former owners count.
pub enum FormerOwnersCommit {}

impl Rules for FormerOwnersCommit {
    fn may_commit(_: i32, _: Option<i32>) -> bool {
        true
    }
}

/// Whoever does not give up its partitions may keep them.
pub enum NobodyIsLate {}

impl Rules for NobodyIsLate {
    fn is_late(_: i32, _: i32) -> bool {
        false
    }
}
