//! What goes into a member's machine and what comes out of it, for both protocols. The machines
//! have no socket and no clock: [`super::driver`] asks what they want asked and tells them what
//! came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use milena_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use milena_protocol::api::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use milena_protocol::api::join_group::{JoinGroupRequest, JoinGroupResponse};
use milena_protocol::api::leave_group::LeaveGroupRequest;
use milena_protocol::api::sync_group::{SyncGroupRequest, SyncGroupResponse};
use milena_protocol::ids::Uuid;

use super::options::Subscription;
use crate::consumer::Key;
use crate::error::ClientError;

/// What a machine is told.
#[derive(Debug)]
pub enum Input {
    /// What the coordinator answered to the last question.
    Answered(Reply),
    /// The last question has no answer.
    Unanswered,
    /// How topics are called: those of the ids asked for that exist.
    Named(BTreeMap<Uuid, Arc<str>>),
    /// How many partitions topics have: those asked for that exist.
    Counted(BTreeMap<Arc<str>, usize>),
    /// The application has given up what it was told to by the notice of this number.
    Released(u64),
    /// The application is alive.
    Polled,
    /// The application wants to read something else.
    Subscribed(Subscription),
    /// The application leaves.
    Leave,
    /// Time has passed.
    Woke,
}

/// What a machine wants done, in order.
#[derive(Debug)]
pub enum Output {
    /// Ask the coordinator. Nothing else is asked before this has its answer.
    Ask(Question),
    /// Find the coordinator anew before the next question.
    Seek,
    /// Wait for no answer any more, and ask the next question on another connection: what is asked
    /// here would wait behind a question that the coordinator holds back.
    HangUp,
    /// Say how these topics are called.
    Name(BTreeSet<Uuid>),
    /// Say how many partitions these topics have.
    Count(BTreeSet<Arc<str>>),
    /// Tell the application.
    Tell(Notice),
    /// This is as whom the member commits from now on.
    Stand(Standing),
    /// The machine is done.
    End,
}

/// What the coordinator is asked.
#[derive(Debug)]
pub enum Question {
    Report(ConsumerGroupHeartbeatRequest),
    Join(JoinGroupRequest),
    Sync(SyncGroupRequest),
    Beat(HeartbeatRequest),
    Leave(LeaveGroupRequest),
}

/// What the coordinator answered.
#[derive(Debug)]
pub enum Reply {
    Report(ConsumerGroupHeartbeatResponse),
    Join(JoinGroupResponse),
    Sync(SyncGroupResponse),
    Beat(HeartbeatResponse),
    /// Whatever it said: who leaves is gone.
    Left,
}

/// What the application is told.
#[derive(Debug)]
pub enum Notice {
    /// These may be read from now on.
    Assigned(BTreeSet<Key>),
    /// These must be given up, which the application says by the number.
    Revoking(u64, BTreeSet<Key>),
    /// These are somebody else's already.
    Lost(BTreeSet<Key>),
    /// The member cannot be one any more.
    Failed(ClientError),
    /// The coordinator has not been heard of for a while; it is asked on.
    Troubled(ClientError),
}

/// As whom a member commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its id.
    pub member_id: String,
    /// Its epoch, or the generation of a classic group; −1 while it is no member.
    pub epoch: i32,
}

impl Default for Standing {
    fn default() -> Self {
        Self { member_id: String::new(), epoch: -1 }
    }
}
