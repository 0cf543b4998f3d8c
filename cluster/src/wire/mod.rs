//! What Kafka's APIs carry between nodes: the quorum's messages (KIP-595, 630, 853, 996, 1166), and
//! what brokers ask the active controller ([`Decided`]).
//!
//! ## The quorum
//!
//! Each API has room for many topics and partitions; there is one metadata log, so exactly
//! `__cluster_metadata-0` is named, and anything else is refused. What the machine answers stands
//! with the partition; what is wrong with the request as a whole stands above it.
//!
//! | API | version sent |
//! | --- | --- |
//! | Vote 52 | 2 |
//! | BeginQuorumEpoch 53, EndQuorumEpoch 54 | 1 |
//! | Fetch 1 | 18 |
//! | FetchSnapshot 59 | 1 |
//! | AddRaftVoter 80 | 1 |
//! | RemoveRaftVoter 81, UpdateRaftVoter 82 | 0 |

mod brokers;
mod change;
mod decided;
mod epoch;
mod fetch;
mod partitions;
mod placements;
mod snapshot;
#[cfg(test)]
mod tests;
mod update;
mod vote;

use milena_protocol::api::Request;
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex, Uuid};

pub use self::brokers::{broker_epoch, producer_ids, producer_ids_request};
pub use self::decided::Decided;
pub use self::partitions::{AlteredPartition, alter_partition_request, altered};
pub use self::placements::{assign_replicas_request, list_moving, placed};
use crate::quorum::{Endpoint, Response, ResponseBody};

/// The metadata log's name as a topic.
pub const TOPIC: &str = "__cluster_metadata";
/// Its id, which is the same in every cluster.
pub const TOPIC_ID: Uuid = Uuid::from_u128(1);
const PARTITION: PartitionIndex = PartitionIndex(0);

/// What sender and receiver of a message agree on.
#[derive(Clone, Debug)]
pub struct Link {
    /// The cluster's id.
    pub cluster_id: Text,
    /// The listener that controllers reach each other by. A name is not carried everywhere.
    pub listener: String,
}

/// A message that an API carries.
pub trait Carried: Sized {
    /// The API's request.
    type Carrier: Request;

    /// The message as a request.
    fn carry(&self, link: &Link) -> Self::Carrier;

    /// The message in a request.
    ///
    /// # Errors
    /// INCONSISTENT_CLUSTER_ID from another cluster, INVALID_REQUEST where it is not about the
    /// metadata log alone.
    fn unpack(carrier: Self::Carrier, link: &Link) -> Result<Self, ErrorCode>;

    /// What the machine answers.
    fn carry_answer(response: &Response, link: &Link) -> <Self::Carrier as Request>::Response;

    /// What a request is answered that the machine never sees.
    fn refuse(why: ErrorCode) -> <Self::Carrier as Request>::Response;

    /// The answer of another member.
    ///
    /// # Errors
    /// When it is about something else, or what it holds is damaged.
    fn unpack_answer(
        answer: <Self::Carrier as Request>::Response,
        link: &Link,
    ) -> Result<Response, BadAnswer>;
}

/// Why an answer cannot be used. Whoever asked asks again, as if it had been lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadAnswer(String);

impl std::fmt::Display for BadAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadAnswer {}

/// The epoch of the last record. Of an empty log Apache Kafka says 0, and takes nothing below it.
fn sent_epoch(last: LeaderEpoch) -> LeaderEpoch {
    last.max(LeaderEpoch(0))
}

/// The epoch of the last record of a log that ends here; an empty one has none.
fn received_epoch(said: LeaderEpoch, end_offset: Offset) -> LeaderEpoch {
    if end_offset == Offset::ZERO { LeaderEpoch::NONE } else { said }
}

fn check_cluster(id: Option<&Text>, link: &Link) -> Result<(), ErrorCode> {
    match id {
        Some(id) if *id != link.cluster_id => Err(ErrorCode::INCONSISTENT_CLUSTER_ID),
        _ => Ok(()),
    }
}

/// The only one.
fn only<T>(list: Vec<T>) -> Option<T> {
    let mut list = list.into_iter();
    let first = list.next()?;
    list.next().is_none().then_some(first)
}

fn is_metadata_log(topic: &str, partition: PartitionIndex) -> bool {
    topic == TOPIC && partition == PARTITION
}

fn other_topic() -> BadAnswer {
    BadAnswer(format!("the answer is not about {TOPIC} alone"))
}

/// An answer that says only what is wrong with the request as a whole.
fn refused(error: ErrorCode, body: ResponseBody) -> Response {
    Response {
        error,
        epoch: LeaderEpoch::NONE,
        leader: NodeId::NONE,
        leader_endpoints: Vec::new(),
        body,
    }
}

/// A node's place, of which an answer carries no name.
fn endpoint(link: &Link, host: &Text, port: u16) -> Endpoint {
    Endpoint { name: link.listener.clone(), host: host.to_string(), port }
}

/// The place at which the leader's listener for controllers is.
fn leader_endpoint<'a>(response: &'a Response, link: &Link) -> Option<&'a Endpoint> {
    let named = |endpoint: &&Endpoint| endpoint.name.eq_ignore_ascii_case(&link.listener);
    response.leader_endpoints.iter().find(named).or(response.leader_endpoints.first())
}
