//! Snapshots: taking the place of the log below them, and bringing one to a replica that is too far
//! behind (KIP-630).

use std::mem;

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::Offset;

use super::follower::{Exchange, Pending};
use super::input::Output;
use super::machine::{Caller, Machine};
use super::message::{FetchSnapshotRequest, Fetched, Piece, Request, ResponseBody, SnapshotId};
use super::roles::Role;
use super::rules::Rules;
use super::voters::Membership;
use crate::time::{Instant, Now};

impl<R: Rules> Machine<R> {
    /// A snapshot of what is committed was written here: the log may begin behind it.
    pub(super) fn snapshot_taken(&mut self, snapshot: SnapshotId, outputs: &mut Vec<Output>) {
        let SnapshotId { end_offset, epoch } = snapshot;
        assert!(Some(end_offset) <= self.high_watermark, "a snapshot of what is not committed");
        if end_offset <= self.log.start() {
            return;
        }
        assert_eq!(epoch, self.log.epoch_before(end_offset), "a snapshot of another epoch");
        self.log.trim(snapshot);
        self.voters.trim(end_offset);
        outputs.push(Output::TrimLog(end_offset));
    }

    /// A replica asks for a piece of a snapshot.
    pub(super) fn on_fetch_snapshot(
        &mut self,
        now: Now,
        caller: Caller,
        request: FetchSnapshotRequest,
        outputs: &mut Vec<Output>,
    ) {
        if let Err(error) = self.check_leader(request.epoch) {
            self.answer(caller, error, ResponseBody::Fetch(Fetched::Nothing), outputs);
            return;
        }
        let log_end = self.log.end();
        if let Role::Leader(leader) = &mut self.role {
            leader.fetched(request.replica, None, log_end, now);
        }
        let piece = Piece {
            snapshot: request.snapshot,
            size: 0,
            position: request.position,
            bytes: bytes::Bytes::new(),
        };
        let response = self.response(ErrorCode::NONE, ResponseBody::FetchSnapshot(piece));
        let max_bytes = request.max_bytes.min(self.timing.fetch_max_bytes);
        outputs.push(Output::SendPiece(caller.envelope(response), max_bytes));
    }

    /// The leader's log begins behind this one's end: its snapshot comes first.
    pub(super) fn need(&mut self, now: Now, snapshot: SnapshotId) {
        // What is committed here is in every later log of a leader, and so behind its snapshots.
        if Some(snapshot.end_offset) < self.high_watermark {
            self.drop_snapshot(now.instant.plus(self.timing.retry_backoff));
            return;
        }
        if let Some(following) = self.following_mut() {
            let pending = Err(now.instant);
            following.exchange = Exchange::Downloading { snapshot, position: 0, pending };
        }
    }

    /// Asks for the next piece, where one is due.
    pub(super) fn fetch_piece(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let Some(following) = self.following() else {
            return;
        };
        let leader = following.leader;
        let Exchange::Downloading { snapshot, position, pending: Err(at) } = following.exchange
        else {
            return;
        };
        if at > now.instant {
            return;
        }
        let request = FetchSnapshotRequest {
            replica: self.me.key,
            epoch: self.epoch(),
            snapshot,
            position,
            max_bytes: self.timing.fetch_max_bytes,
        };
        let correlation = self.send(leader, Request::FetchSnapshot(request), outputs);
        let give_up_at = now.instant.plus(self.timing.request_timeout);
        if let Some(following) = self.following_mut() {
            let pending = Ok(Pending { correlation, give_up_at });
            following.exchange = Exchange::Downloading { snapshot, position, pending };
        }
    }

    /// A piece came; the last one makes the snapshot whole.
    pub(super) fn take_piece(&mut self, now: Now, piece: Piece, outputs: &mut Vec<Output>) {
        let Some(following) = self.following_mut() else {
            return;
        };
        let Exchange::Downloading { snapshot, position, pending } = &mut following.exchange else {
            return;
        };
        *pending = Err(now.instant);
        let end = piece.position.saturating_add(piece.bytes.len() as u64);
        let is_next = piece.snapshot == *snapshot && piece.position == *position;
        if !is_next || end > piece.size || piece.bytes.is_empty() {
            following.exchange = Exchange::Idle(now.instant);
            return;
        }
        *position = end;
        let snapshot = *snapshot;
        let is_whole = end == piece.size;
        if is_whole {
            following.exchange = Exchange::Installing(snapshot);
        }
        outputs.push(Output::WriteSnapshot(snapshot, piece.position, piece.bytes));
        if is_whole {
            assert!(
                Some(snapshot.end_offset) >= self.high_watermark,
                "a snapshot that ends below the high watermark"
            );
            self.set_installing(Some(snapshot));
            outputs.push(Output::InstallSnapshot(snapshot));
        }
    }

    /// The snapshot is not to be had: the next fetch says which one is.
    pub(super) fn drop_snapshot(&mut self, until: Instant) {
        if let Some(following) = self.following_mut() {
            following.exchange = Exchange::Idle(until);
        }
    }

    /// The snapshot took the place of the log.
    pub(super) fn snapshot_installed(
        &mut self,
        now: Now,
        snapshot: SnapshotId,
        membership: Option<Membership>,
        outputs: &mut Vec<Output>,
    ) {
        assert_eq!(self.installing(), Some(snapshot), "another snapshot than the one asked for");
        self.set_installing(None);
        self.log.replace(snapshot);
        // Configured voters are in no snapshot.
        let configured = self.voters.at(Offset::ZERO);
        self.voters = super::voters::VoterHistory::new(membership.unwrap_or(configured));
        self.drop_snapshot(now.instant);
        let high_watermark = Some(snapshot.end_offset);
        if mem::replace(&mut self.high_watermark, high_watermark) != high_watermark {
            outputs.push(Output::Commit(snapshot.end_offset));
        }
    }

    /// The snapshot was no good: from the beginning.
    pub(super) fn snapshot_damaged(&mut self, now: Now, snapshot: SnapshotId) {
        assert_eq!(self.installing(), Some(snapshot), "another snapshot than the one asked for");
        self.set_installing(None);
        self.drop_snapshot(now.instant.plus(self.timing.retry_backoff));
    }
}
