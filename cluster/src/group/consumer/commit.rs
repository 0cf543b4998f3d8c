//! Whose offsets are stored and shown (fact N12).

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{PartitionIndex, Uuid};

use super::group::Group;
use super::heartbeat::Refused;
use super::member::Member;
use super::rules::Rules;

/// The first version of OffsetCommit that members of consumer groups may use.
const KNOWS_MEMBER_EPOCHS: i16 = 9;

/// Whose offsets are committed, as the request says.
#[derive(Clone, Copy, Debug)]
pub struct Committer<'a> {
    /// The member; empty for one that is in no group.
    pub member_id: &'a str,
    /// The name of a static member.
    pub instance_id: Option<&'a str>,
    /// Its epoch, or generation; −1 for one that is in no group.
    pub epoch: i32,
    /// Whether the offsets belong to a transaction.
    pub in_transaction: bool,
    /// The version of OffsetCommit.
    pub version: i16,
}

impl<R: Rules> Group<R> {
    /// Whether someone may commit at all. Where its epoch is an older one,
    /// [`check_commit_of`](Self::check_commit_of) says of which partitions.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID (25), UNSUPPORTED_VERSION (35), or STALE_MEMBER_EPOCH (113), which for a
    /// member of the classic protocol is ILLEGAL_GENERATION (22).
    pub fn check_commit(&self, committer: &Committer<'_>) -> Result<(), Refused> {
        if self.is_outsider(committer) {
            return Ok(());
        }
        let Some(member) = self.member(committer.member_id) else {
            let message =
                format!("Member {} is not a member of group {}.", committer.member_id, self.id);
            return Err(Refused::new(ErrorCode::UNKNOWN_MEMBER_ID, message));
        };
        let is_too_old = committer.version < KNOWS_MEMBER_EPOCHS;
        if is_too_old && !committer.in_transaction && member.classic.is_none() {
            let message = "OffsetCommit version 9 or above must be used by members using the \
                           consumer group protocol";
            return Err(Refused::new(ErrorCode::UNSUPPORTED_VERSION, message));
        }
        if committer.epoch > member.epoch {
            let message = format!(
                "Received member epoch {} is newer than current member epoch {}.",
                committer.epoch, member.epoch
            );
            return Err(Refused::new(stale(member), message));
        }
        Ok(())
    }

    /// Whether someone who [may commit](Self::check_commit) may commit for a partition: in its
    /// current epoch for any, in an older one for those that it has had since.
    ///
    /// # Errors
    /// STALE_MEMBER_EPOCH (113), which for a member of the classic protocol is
    /// ILLEGAL_GENERATION (22).
    pub fn check_commit_of(
        &self,
        committer: &Committer<'_>,
        topic: Uuid,
        partition: PartitionIndex,
    ) -> Result<(), ErrorCode> {
        if self.is_outsider(committer) {
            return Ok(());
        }
        let member = self.member(committer.member_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        let assigned_in = member.assigned_in(topic, partition);
        if committer.epoch == member.epoch || R::may_commit(committer.epoch, assigned_in) {
            Ok(())
        } else {
            Err(stale(member))
        }
    }

    /// Whether someone may see the group's offsets; nobody in particular may.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID (25), or STALE_MEMBER_EPOCH (113), which for a member of the classic
    /// protocol is ILLEGAL_GENERATION (22).
    pub fn check_fetch(&self, member_id: Option<&str>, epoch: i32) -> Result<(), ErrorCode> {
        if member_id.is_none() && epoch < 0 {
            return Ok(());
        }
        let member = member_id.and_then(|id| self.member(id));
        let member = member.ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        if member.epoch == epoch { Ok(()) } else { Err(stale(member)) }
    }

    /// Someone who is in no group may commit while nobody is in it, and in a transaction always:
    /// the tools do the first, older producers the second.
    fn is_outsider(&self, committer: &Committer<'_>) -> bool {
        let is_nobody = committer.epoch == -1
            && committer.member_id.is_empty()
            && committer.instance_id.is_none();
        (committer.epoch < 0 && self.is_deserted()) || (committer.in_transaction && is_nobody)
    }
}

fn stale(member: &Member) -> ErrorCode {
    if member.classic.is_some() {
        ErrorCode::ILLEGAL_GENERATION
    } else {
        ErrorCode::STALE_MEMBER_EPOCH
    }
}
