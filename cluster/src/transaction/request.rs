//! What a coordinator of transactions is asked, what it answers, and what it wants done.

use std::collections::BTreeSet;
use std::time::Duration;

use milena_protocol::api::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use milena_protocol::api::add_partitions_to_txn::{
    AddPartitionsToTxnResult, AddPartitionsToTxnTransaction,
};
use milena_protocol::api::describe_transactions::DescribeTransactionsTransaction;
use milena_protocol::api::end_txn::{EndTxnRequest, EndTxnResponse};
use milena_protocol::api::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use milena_protocol::api::list_transactions::{ListTransactionsRequest, ListTransactionsResponse};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{PartitionIndex, ProducerId};

use super::attempt::Attempt;
use super::known::TopicPartition;
use crate::coordinator::Producer;

/// What a coordinator is asked.
#[derive(Clone, Debug)]
pub enum Request {
    /// By a producer, or by a broker for one.
    Ask(Asked),
    /// DescribeTransactions: one transactional id.
    Describe(Text),
    /// ListTransactions: what is here.
    List(ListTransactionsRequest),
    /// What became of markers.
    Report(MarkerReport),
}

/// A request that may have to wait.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The version of the API that it came in.
    pub version: i16,
    /// How long it may wait for the markers of the transaction before, until it is told
    /// CONCURRENT_TRANSACTIONS.
    pub patience: Duration,
    /// A producer id that nobody has. Few requests need one, and getting it takes time: a request
    /// comes without, and again with one after [`Answer::NeedsProducerId`].
    pub fresh_producer_id: Option<ProducerId>,
    /// What is asked.
    pub ask: Ask,
}

/// What is asked by a producer, or by a broker for one.
#[derive(Clone, Debug)]
pub enum Ask {
    /// InitProducerId.
    InitProducerId(InitProducerIdRequest),
    /// One transaction of AddPartitionsToTxn: from a client up to version 3; from version 4 on by
    /// the broker that a record came to, before it appends it.
    AddPartitions(AddPartitionsToTxnTransaction),
    /// AddOffsetsToTxn.
    AddOffsets {
        /// The request.
        request: AddOffsetsToTxnRequest,
        /// Where the group keeps its offsets: a partition of `__consumer_offsets`.
        offsets_partition: PartitionIndex,
    },
    /// EndTxn.
    EndTransaction(EndTxnRequest),
}

/// What a coordinator answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To InitProducerId.
    InitProducerId(InitProducerIdResponse),
    /// To AddPartitionsToTxn.
    AddPartitions(AddPartitionsToTxnResult),
    /// To AddOffsetsToTxn.
    AddOffsets(AddOffsetsToTxnResponse),
    /// To EndTxn.
    EndTransaction(EndTxnResponse),
    /// To DescribeTransactions.
    Describe(DescribeTransactionsTransaction),
    /// To ListTransactions.
    List(ListTransactionsResponse),
    /// Nothing has happened yet: the same again, with a producer id that nobody has.
    NeedsProducerId,
    /// It is noted.
    Noted,
}

/// What a coordinator wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Markers are to be written, each to the leader of its partition. What became of every one is
    /// reported, together or one after the other, and not before it is certain: nothing of what is
    /// reported as failed is written later. Where [`Markers::transaction_version`] is below 2,
    /// there is no other attempt until then.
    WriteMarkers(Markers),
}

/// Markers of one decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Markers {
    /// Whose transaction it is.
    pub transactional_id: Text,
    /// Which attempt it is, to be given back in the report; the marker has its epoch.
    pub attempt: Attempt,
    /// The producer whose transaction ends; its epoch is the marker's.
    pub producer: Producer,
    /// Whether it commits; else it aborts.
    pub is_commit: bool,
    /// Under which version it ended: from 2 on the marker's epoch is beyond the producer's.
    pub transaction_version: i16,
    /// Where to.
    pub partitions: BTreeSet<TopicPartition>,
}

/// What became of markers, of all or of some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkerReport {
    /// Whose transaction it is.
    pub transactional_id: Text,
    /// Which attempt it was.
    pub attempt: Attempt,
    /// What became of the marker in each partition.
    pub outcomes: Vec<(TopicPartition, MarkerOutcome)>,
}

/// What became of one marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerOutcome {
    /// It is in the log, and committed there.
    Written,
    /// The partition does not exist any more, as the metadata says.
    Gone,
    /// It was refused, or nobody could be asked.
    Failed(ErrorCode),
}
