//! What the coordinator of groups is asked, and what it answers.

use milena_protocol::api::consumer_group_describe::ConsumerGroupDescribeGroup;
use milena_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use milena_protocol::api::delete_groups::DeleteGroupsResult;
use milena_protocol::api::describe_groups::DescribeGroupsGroup;
use milena_protocol::api::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use milena_protocol::api::join_group::{JoinGroupRequest, JoinGroupResponse};
use milena_protocol::api::leave_group::{LeaveGroupRequest, LeaveGroupResponse};
use milena_protocol::api::list_groups::ListGroupsGroup;
use milena_protocol::api::offset_commit::OffsetCommitRequest;
use milena_protocol::api::offset_delete::{OffsetDeleteRequest, OffsetDeleteResponse};
use milena_protocol::api::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchResponseGroup};
use milena_protocol::api::sync_group::{SyncGroupRequest, SyncGroupResponse};
use milena_protocol::api::txn_offset_commit::TxnOffsetCommitRequest;
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, PartitionIndex, Uuid};

/// Who asks.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// What the client calls itself.
    pub client_id: Text,
    /// The host that it connects from, as Kafka writes it: `/127.0.0.1`.
    pub host: Text,
    /// The version of the request.
    pub version: i16,
    /// An id that nobody has been given yet.
    pub fresh_id: Uuid,
}

/// What the coordinator of groups is asked.
#[derive(Clone, Debug)]
pub enum Request {
    /// To take a member into a classic group.
    Join(Caller, JoinGroupRequest),
    /// For a member's part of the generation.
    Sync(Caller, SyncGroupRequest),
    /// To note that a member lives.
    Heartbeat(HeartbeatRequest),
    /// To let members go.
    Leave(LeaveGroupRequest),
    /// For a member of a consumer group: to join, to report, to leave.
    ConsumerHeartbeat(Caller, ConsumerGroupHeartbeatRequest),
    /// For one consumer group in full.
    ConsumerDescribe(Text),
    /// To store offsets. Topics are known and named.
    Commit(Caller, OffsetCommitRequest),
    /// To store offsets when a transaction commits. Topics are known and named; the request has no
    /// room for their ids, which stand beside it in the same order.
    CommitInTransaction(TxnOffsetCommitRequest, Vec<Uuid>),
    /// For stored offsets. Topics are named; the flag asks to wait for transactions.
    Fetch(OffsetFetchRequestGroup, bool),
    /// To forget offsets.
    DeleteOffsets(OffsetDeleteRequest),
    /// For one group in full.
    Describe(Caller, Text),
    /// For all groups of these states and types, or of any.
    List {
        /// States, in any case; none for all.
        states: Vec<Text>,
        /// Types, in any case; none for all.
        types: Vec<Text>,
    },
    /// How far all groups have read: at most so many rows behind one, or from the first.
    Progress {
        /// The last row that is known.
        behind: Option<Progress>,
        /// How many rows at most.
        max_rows: usize,
    },
    /// To forget a group and its offsets.
    Delete(Text),
    /// To forget what was committed for topics that there are no more.
    TopicsDeleted(Vec<Text>),
}

/// A group, and how far it has read a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The group.
    pub group: Text,
    /// How many members it has.
    pub members: usize,
    /// What it has committed of a partition; none where it has committed nothing at all.
    pub committed: Option<Position>,
}

/// An offset that a group has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The topic.
    pub topic: Text,
    /// The topic's id when it was committed; zero where nobody said.
    pub topic_id: Uuid,
    /// The partition.
    pub partition: PartitionIndex,
    /// The offset of the next record that the group will read.
    pub offset: Offset,
}

/// Some rows, in the order of groups, topics and partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Progress>,
    /// How many more there are behind them.
    pub left: usize,
}

/// What became of a commit, partition by partition in the order of the request.
pub type CommitAnswer = Vec<(Text, Vec<(PartitionIndex, ErrorCode)>)>;

/// The answers, and each from the one kind that it comes in.
macro_rules! answers {
    ($($kind:ident($answer:ty),)*) => {
        /// What the coordinator of groups answers.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "each answers the request of its name")]
        pub enum Answer {
            $($kind($answer),)*
            TopicsDeleted,
        }

        $(impl TryFrom<Answer> for $answer {
            type Error = Answer;

            fn try_from(answer: Answer) -> Result<Self, Answer> {
                match answer {
                    Answer::$kind(it) => Ok(it),
                    other => Err(other),
                }
            }
        })*
    };
}

answers! {
    Join(JoinGroupResponse),
    Sync(SyncGroupResponse),
    Heartbeat(HeartbeatResponse),
    Leave(LeaveGroupResponse),
    ConsumerHeartbeat(ConsumerGroupHeartbeatResponse),
    ConsumerDescribe(ConsumerGroupDescribeGroup),
    Commit(CommitAnswer),
    Fetch(OffsetFetchResponseGroup),
    DeleteOffsets(OffsetDeleteResponse),
    Describe(DescribeGroupsGroup),
    List(Vec<ListGroupsGroup>),
    Progress(Page),
    Delete(DeleteGroupsResult),
}
