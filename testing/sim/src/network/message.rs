//! What goes over the network.

use std::fmt;

use bytes::Bytes;
use milena_cluster::controller::brokers::Application;
use milena_cluster::controller::heartbeats::{Heartbeat, HeartbeatAnswer};
use milena_cluster::controller::isr::{Altered, IsrChange};
use milena_cluster::controller::reassign::Reassignment;
use milena_cluster::controller::topics::NewTopic;
use milena_cluster::group;
use milena_cluster::quorum::{Batch, Envelope};
use milena_cluster::replica::Fetch;
use milena_cluster::replica::follower::Answer;
use milena_cluster::transaction;
use milena_protocol::api::add_partitions_to_txn::AddPartitionsToTxnTransaction;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset};

use crate::broker::{Caller, Marker, Naming, Shown};
use crate::host::Key;

/// A message on its way.
#[derive(Clone, Debug)]
pub struct Parcel {
    pub from: NodeId,
    /// The run of the process that sent it.
    pub sender_run: u64,
    pub to: NodeId,
    /// Of an answer: the run of the process that asked. A request reaches whatever run is there.
    pub run: Option<u64>,
    pub message: Message,
}

/// What goes over the network.
#[derive(Clone, Debug)]
pub enum Message {
    /// Between members of the quorum.
    Quorum {
        asked_as: NodeId,
        envelope: Envelope,
    },
    /// To the active controller, and its answer.
    Ask {
        id: u64,
        ask: Ask,
    },
    Told {
        id: u64,
        told: Result<Told, ErrorCode>,
    },
    /// A follower's fetch, and its leader's answer.
    Fetch {
        key: Key,
        serial: u64,
        fetch: Fetch,
        last_epoch: LeaderEpoch,
    },
    Fetched {
        key: Key,
        serial: u64,
        epoch: LeaderEpoch,
        answer: Answer,
        batches: Vec<Batch>,
    },
    /// A producer's batch, and what became of it: its base offset. In a transaction it says in
    /// whose.
    Produce {
        key: Key,
        attempt: u64,
        batch: Bytes,
        naming: Option<Naming>,
    },
    Produced {
        key: Key,
        attempt: u64,
        result: Result<Offset, ErrorCode>,
    },
    /// A consumer's fetch, and what it is shown.
    Consume {
        key: Key,
        attempt: u64,
        from: Offset,
        is_committed: bool,
    },
    Consumed {
        key: Key,
        attempt: u64,
        result: Result<Shown, ErrorCode>,
    },
    /// To the coordinator of a group, and its answer.
    AskGroup {
        key: Key,
        attempt: u64,
        request: group::Request,
    },
    GroupTold {
        key: Key,
        attempt: u64,
        result: Result<group::Answer, ErrorCode>,
        /// Whether it led its partition by the newest metadata; nobody who gets it can know.
        is_current: bool,
    },
    /// To the coordinator of a transaction, and its answer.
    AskTransaction {
        key: Key,
        attempt: u64,
        asked: transaction::Asked,
    },
    TransactionTold {
        attempt: u64,
        result: Result<transaction::Answer, ErrorCode>,
    },
    /// A leader asks the coordinator whether a producer may begin to write, and is told.
    Clear {
        home: Key,
        caller: Caller,
        transaction: AddPartitionsToTxnTransaction,
    },
    Cleared {
        place: Key,
        number: u64,
        code: ErrorCode,
    },
    /// A coordinator's marker, and what became of it.
    Mark {
        place: Key,
        home: Key,
        number: u64,
        marker: Marker,
    },
    Marked {
        home: Key,
        number: u64,
        outcome: Result<(), ErrorCode>,
    },
}

/// What the active controller is asked.
#[derive(Clone, Debug)]
pub enum Ask {
    Register(Application),
    Beat(Heartbeat),
    Alter { epoch: BrokerEpoch, change: IsrChange },
    ProducerIds { epoch: BrokerEpoch },
    EnableEligible,
    CreateTopic(NewTopic),
    Reassign(Reassignment),
    Elect,
}

/// What the active controller answers.
#[derive(Clone, Debug)]
pub enum Told {
    Registered(BrokerEpoch),
    Beat(HeartbeatAnswer),
    Altered(Altered),
    ProducerIds(i64, i64),
    Done,
}

impl Message {
    /// Whether a connection brings it once or never: what a process says in the name of its run a
    /// connection of one that is gone cannot bring any more.
    pub fn is_once(&self) -> bool {
        matches!(
            self,
            Self::Ask { ask: Ask::Register(_), .. }
                | Self::Told { told: Ok(Told::Registered(_)), .. }
                | Self::Produce { .. }
                | Self::AskGroup { .. }
                | Self::AskTransaction { .. }
                | Self::Mark { marker: Marker { is_raised: false, .. }, .. }
        )
    }

    /// Whether a client sends it, whose connection keeps the order.
    pub fn is_of_client(&self) -> bool {
        matches!(
            self,
            Self::Produce { .. }
                | Self::Consume { .. }
                | Self::AskGroup { .. }
                | Self::AskTransaction { .. }
        )
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quorum { envelope, .. } => write!(f, "{envelope:?}"),
            Self::Ask { id, ask } => write!(f, "asks {id}: {ask:?}"),
            Self::Told { id, told } => write!(f, "answers {id}: {told:?}"),
            Self::Fetch { key, fetch, last_epoch, .. } => {
                let Fetch { fetch_offset, leader_epoch, .. } = fetch;
                write!(f, "fetches {} at {fetch_offset} ", Place(key))?;
                write!(f, "behind {last_epoch}, in epoch {leader_epoch}")
            }
            Self::Fetched { key, answer, batches, .. } => {
                write!(f, "gives {} batches of {}: {answer:?}", batches.len(), Place(key))
            }
            Self::Produce { key, attempt, .. } => write!(f, "produces {} {attempt}", Place(key)),
            Self::Produced { key, attempt, result } => {
                write!(f, "has produced {} {attempt}: {result:?}", Place(key))
            }
            Self::Consume { key, from, .. } => write!(f, "consumes {} at {from}", Place(key)),
            Self::AskGroup { key, attempt, request } => {
                write!(f, "asks {} {attempt}: {request:?}", Place(key))
            }
            Self::GroupTold { key, attempt, result, .. } => {
                write!(f, "answers of {} {attempt}: {result:?}", Place(key))
            }
            Self::AskTransaction { key, attempt, asked } => {
                write!(f, "asks {} {attempt}: {asked:?}", Place(key))
            }
            Self::TransactionTold { attempt, result } => write!(f, "answers {attempt}: {result:?}"),
            Self::Clear { caller, transaction, .. } => {
                write!(f, "asks {caller:?}: {transaction:?}")
            }
            Self::Cleared { place, number, code } => {
                write!(f, "clears {} {number}: {code:?}", Place(place))
            }
            Self::Mark { place, number, marker, .. } => {
                write!(f, "marks {} {number}: {marker:?}", Place(place))
            }
            Self::Marked { number, outcome, .. } => write!(f, "has marked {number}: {outcome:?}"),
            Self::Consumed { key, result, .. } => {
                let count = result.as_ref().map(|(batches, _)| batches.len());
                write!(f, "shows of {}: {count:?}", Place(key))
            }
        }
    }
}

/// A partition in a line of a transcript.
pub struct Place<'a>(pub &'a Key);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4}-{}", self.0.0.to_string(), self.0.1)
    }
}
