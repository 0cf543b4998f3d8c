//! The metadata quorum: who leads, who votes, how far everybody is, and changes of the voters.

use std::time::Duration;

use axum::Json;
use milena_client::Refused;
use milena_client::admin::{Listener, QuorumReplica, QuorumStatus};
use milena_protocol::api::add_raft_voter::{AddRaftVoterListener, AddRaftVoterRequest};
use milena_protocol::api::describe_quorum::DescribeQuorumRequest;
use milena_protocol::api::remove_raft_voter::RemoveRaftVoterRequest;
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::NodeId;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::body::Body;
use super::call::Call;
use super::error::Failure;
use super::path::{At, ClusterPath};
use super::resource::ResourceMetadata;
use crate::config::HostPort;
use crate::handlers::{describe_quorum, voters};

/// How long a leader of the quorum is looked for. An election takes less.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a change of the voters may take.
const TIMEOUT_MS: i32 = 30_000;

/// The metadata quorum, as its leader sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Quorum {
    kind: &'static str,
    metadata: ResourceMetadata,
    cluster_id: String,
    /// The voter that leads: the active controller.
    leader_id: i32,
    leader_epoch: i32,
    /// Behind the last committed record of the metadata.
    high_watermark: i64,
    /// Those who vote, by id.
    voters: Vec<QuorumMember>,
    /// Those who follow without a vote: every other broker and controller.
    observers: Vec<QuorumMember>,
}

/// A replica of the metadata log.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuorumMember {
    node_id: i32,
    /// The directory that its log is in.
    directory_id: String,
    /// Where it listens for the others, as `host:port`; known of voters.
    addresses: Vec<String>,
    /// Behind the last record that it has.
    log_end_offset: i64,
    /// How many records it is behind the replica that has most.
    lag: i64,
    /// When it last fetched, in milliseconds since 1970; −1 unknown.
    last_fetch_timestamp: i64,
    /// When it last had everything, in milliseconds since 1970; −1 unknown.
    last_caught_up_timestamp: i64,
}

impl QuorumMember {
    fn of(quorum: &QuorumStatus, replica: &QuorumReplica) -> Self {
        let listeners = quorum.listeners.get(&replica.node_id).into_iter().flatten();
        Self {
            node_id: replica.node_id.0,
            directory_id: replica.directory_id.to_string(),
            addresses: listeners.map(Listener::address).collect(),
            log_end_offset: replica.log_end_offset.0,
            lag: quorum.lag(replica),
            last_fetch_timestamp: replica.last_fetch.0,
            last_caught_up_timestamp: replica.last_caught_up.0,
        }
    }
}

impl Quorum {
    fn of(call: &Call, quorum: &QuorumStatus) -> Self {
        let members = |all: &[QuorumReplica]| {
            all.iter().map(|replica| QuorumMember::of(quorum, replica)).collect()
        };
        Self {
            kind: "KafkaQuorum",
            metadata: call.resource("/quorum", "/quorum"),
            cluster_id: call.broker.cluster_id.to_string(),
            leader_id: quorum.leader_id.0,
            leader_epoch: quorum.leader_epoch.0,
            high_watermark: quorum.high_watermark.0,
            voters: members(&quorum.voters),
            observers: members(&quorum.observers),
        }
    }
}

impl Call {
    /// How the metadata quorum stands.
    ///
    /// # Errors
    /// When nobody leads it, or the caller may not know.
    pub async fn quorum_status(&self) -> Result<QuorumStatus, Failure> {
        let context = self.context::<DescribeQuorumRequest>();
        let request = QuorumStatus::request();
        let asked = describe_quorum::handle(self.broker.clone(), context, request);
        let response = timeout(PATIENCE, asked).await.map_err(|_| no_leader())?;
        QuorumStatus::read(&response).map_err(refused)
    }

    async fn quorum(&self) -> Result<Json<Quorum>, Failure> {
        Ok(Json(Quorum::of(self, &self.quorum_status().await?)))
    }

    /// The quorum after a change of its voters. The change counts even where nobody leads for a
    /// moment by then, and where the answer to it was lost: asked again, it is refused as made.
    async fn after(
        &self,
        change: Change,
        mut before: QuorumStatus,
        answer: Result<(), Failure>,
        code: ErrorCode,
    ) -> Result<Json<Quorum>, Failure> {
        match (answer, self.quorum_status().await) {
            (Ok(()), Ok(after)) => Ok(Json(Quorum::of(self, &after))),
            (Ok(()), Err(_)) => {
                change.make(&mut before);
                Ok(Json(Quorum::of(self, &before)))
            }
            (Err(_), Ok(after)) if change.may_be_made(code) && change.is_made(&after) => {
                Ok(Json(Quorum::of(self, &after)))
            }
            (Err(failure), _) => Err(failure),
        }
    }

    /// Where a node listens for the quorum, as it registered: as a controller, else as a broker.
    fn place_of(&self, node: NodeId) -> Option<HostPort> {
        let image = self.broker.metadata.image_owned();
        let name = &self.broker.quorum_link.listener;
        let controller = image.controllers().find(|known| known.controller_id == node);
        let endpoints = controller.map_or(&[][..], |known| &known.end_points);
        if let Some(endpoint) = endpoints.iter().find(|endpoint| *endpoint.name == **name) {
            return Some(HostPort { host: endpoint.host.to_string(), port: endpoint.port });
        }
        let endpoints = &image.broker(node)?.endpoints;
        let endpoint = endpoints.iter().find(|endpoint| *endpoint.name == **name)?;
        Some(HostPort { host: endpoint.host.to_string(), port: endpoint.port })
    }
}

/// A change of the voters.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// An observer votes.
    Add(QuorumReplica),
    /// A voter observes.
    Remove(QuorumReplica),
}

impl Change {
    /// Whether a refusal leaves open that the change is made.
    fn may_be_made(self, refused: ErrorCode) -> bool {
        match refused {
            ErrorCode::DUPLICATE_VOTER => matches!(self, Self::Add(_)),
            ErrorCode::VOTER_NOT_FOUND => matches!(self, Self::Remove(_)),
            // No answer came.
            ErrorCode::REQUEST_TIMED_OUT | ErrorCode::BROKER_NOT_AVAILABLE => true,
            _ => false,
        }
    }

    /// Whether a quorum is as the change leaves it.
    fn is_made(self, quorum: &QuorumStatus) -> bool {
        let votes = |replica: QuorumReplica| {
            let key = (replica.node_id, replica.directory_id);
            quorum.voters.iter().any(|voter| (voter.node_id, voter.directory_id) == key)
        };
        match self {
            Self::Add(replica) => votes(replica),
            Self::Remove(replica) => !votes(replica),
        }
    }

    /// What a quorum is after it.
    fn make(self, quorum: &mut QuorumStatus) {
        let (replica, from, to) = match self {
            Self::Add(replica) => (replica, &mut quorum.observers, &mut quorum.voters),
            Self::Remove(replica) => (replica, &mut quorum.voters, &mut quorum.observers),
        };
        from.retain(|one| one.node_id != replica.node_id);
        to.push(replica);
        to.sort_by_key(|one| one.node_id);
    }
}

fn refused(refused: Refused) -> Failure {
    match refused.code {
        ErrorCode::NOT_CONTROLLER | ErrorCode::NOT_LEADER_OR_FOLLOWER => no_leader(),
        code => Failure::of_wire(code, refused.message.map(Text::from).as_ref()),
    }
}

fn no_leader() -> Failure {
    let message = Text::from("no leader of the metadata quorum answers; a majority has to run");
    Failure::of_wire(ErrorCode::BROKER_NOT_AVAILABLE, Some(&message))
}

/// The metadata quorum.
///
/// Any node may be asked; the quorum's leader answers.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/quorum", operation_id = "getQuorum",
    tag = "Quorum", params(ClusterPath),
    responses((status = 200, description = "The quorum.", body = Quorum), Failure))]
pub async fn one(at: At<ClusterPath>) -> Result<Json<Quorum>, Failure> {
    at.quorum().await
}

/// A node that shall vote.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVoter {
    /// The node, which follows the metadata already.
    #[schema(example = 4)]
    node_id: i32,
    /// Where the other voters reach it, as `host:port`; without it, where it registered.
    address: Option<String>,
}

/// Lets a node vote that follows the metadata.
///
/// The quorum as it is then is answered; the new voter may have to catch up first. A node that
/// votes already needs nothing.
#[utoipa::path(post, path = "/v3/clusters/{cluster_id}/quorum/voters:add",
    operation_id = "addVoter", tag = "Quorum", params(ClusterPath), request_body = NewVoter,
    responses((status = 200, description = "The quorum.", body = Quorum), Failure))]
pub async fn add(at: At<ClusterPath>, Body(new): Body<NewVoter>) -> Result<Json<Quorum>, Failure> {
    let node = NodeId(new.node_id);
    let place = new.address.as_deref().map(|text| {
        let bad = || Failure::bad_request(format!("{text:?} is not an address HOST:PORT"));
        HostPort::parse(text).ok_or_else(bad)
    });
    let place = place.transpose()?;
    let status = at.quorum_status().await?;
    if status.voters.iter().any(|one| one.node_id == node) {
        return already_votes(&at, &status, node, place.as_ref());
    }
    let observer = *status.observers.iter().find(|one| one.node_id == node).ok_or_else(|| {
        Failure::missing(format!("node {node} does not observe the metadata quorum"))
    })?;
    let place = place.or_else(|| at.place_of(node)).ok_or_else(|| {
        Failure::bad_request(format!("nobody knows where node {node} is: say it with address"))
    })?;
    let request = AddRaftVoterRequest {
        cluster_id: Some(at.broker.cluster_id.clone()),
        timeout_ms: TIMEOUT_MS,
        voter_id: node,
        voter_directory_id: observer.directory_id,
        listeners: vec![AddRaftVoterListener {
            name: at.broker.quorum_link.listener.as_str().into(),
            host: place.host.into(),
            port: place.port,
        }],
        ack_when_committed: true,
    };
    let context = at.context::<AddRaftVoterRequest>();
    let response = voters::add(at.broker.clone(), context, request).await;
    let answer = Failure::unless_none(response.error_code, response.error_message.as_ref());
    at.after(Change::Add(observer), status, answer, response.error_code).await
}

/// Whoever asks a second time, for the first answer was lost, has what was asked for.
fn already_votes(
    call: &Call,
    status: &QuorumStatus,
    node: NodeId,
    place: Option<&HostPort>,
) -> Result<Json<Quorum>, Failure> {
    let is_there = |place: &HostPort| {
        let mut listeners = status.listeners.get(&node).into_iter().flatten();
        listeners.any(|one| one.host == place.host && one.port == place.port)
    };
    if place.is_some_and(|place| !is_there(place)) {
        let message = format!("node {node} votes already, and the others reach it elsewhere");
        return Err(Failure::bad_request(message));
    }
    Ok(Json(Quorum::of(call, status)))
}

/// A node that shall vote no more.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OldVoter {
    /// The node.
    #[schema(example = 3)]
    node_id: i32,
}

/// Lets a voter vote no more; it goes on as an observer.
///
/// The quorum as it is then is answered. A node that observes already needs nothing.
#[utoipa::path(post, path = "/v3/clusters/{cluster_id}/quorum/voters:remove",
    operation_id = "removeVoter", tag = "Quorum", params(ClusterPath), request_body = OldVoter,
    responses((status = 200, description = "The quorum.", body = Quorum), Failure))]
pub async fn remove(
    at: At<ClusterPath>,
    Body(old): Body<OldVoter>,
) -> Result<Json<Quorum>, Failure> {
    let node = NodeId(old.node_id);
    let status = at.quorum_status().await?;
    let Some(voter) = status.voters.iter().find(|one| one.node_id == node).copied() else {
        // Whoever asks a second time, for the first answer was lost, has what was asked for.
        let observes = status.observers.iter().any(|one| one.node_id == node);
        let missing = || Failure::missing(format!("node {node} does not vote"));
        return if observes { Ok(Json(Quorum::of(&at, &status))) } else { Err(missing()) };
    };
    if status.voters.len() == 1 {
        let message = format!("node {node} is the only voter: let another one vote first");
        return Err(Failure::bad_request(message));
    }
    let request = RemoveRaftVoterRequest {
        cluster_id: Some(at.broker.cluster_id.clone()),
        voter_id: node,
        voter_directory_id: voter.directory_id,
    };
    let context = at.context::<RemoveRaftVoterRequest>();
    let response = voters::remove(at.broker.clone(), context, request).await;
    let answer = Failure::unless_none(response.error_code, response.error_message.as_ref());
    at.after(Change::Remove(voter), status, answer, response.error_code).await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use milena_protocol::ids::{LeaderEpoch, Offset, Timestamp, Uuid};

    use super::*;

    fn replica(id: i32, directory: u128) -> QuorumReplica {
        QuorumReplica {
            node_id: NodeId(id),
            directory_id: Uuid::from_u128(directory),
            log_end_offset: Offset(7),
            last_fetch: Timestamp(1),
            last_caught_up: Timestamp(1),
        }
    }

    fn quorum() -> QuorumStatus {
        QuorumStatus {
            leader_id: NodeId(1),
            leader_epoch: LeaderEpoch(1),
            high_watermark: Offset(7),
            voters: vec![replica(1, 10), replica(3, 30)],
            observers: vec![replica(2, 20)],
            listeners: BTreeMap::new(),
        }
    }

    fn ids(replicas: &[QuorumReplica]) -> Vec<i32> {
        replicas.iter().map(|replica| replica.node_id.0).collect()
    }

    /// A change that was made would be told without it, where nobody leads for a moment.
    #[test]
    fn a_change_is_told_as_it_leaves_the_quorum() {
        for change in [Change::Add(replica(2, 20)), Change::Remove(replica(3, 30))] {
            assert!(!change.is_made(&quorum()));
        }
        let mut changed = quorum();
        Change::Add(replica(2, 20)).make(&mut changed);
        assert_eq!((ids(&changed.voters), ids(&changed.observers)), (vec![1, 2, 3], vec![]));
        assert!(Change::Add(replica(2, 20)).is_made(&changed));
        Change::Remove(replica(3, 30)).make(&mut changed);
        assert_eq!((ids(&changed.voters), ids(&changed.observers)), (vec![1, 2], vec![3]));
        assert!(Change::Remove(replica(3, 30)).is_made(&changed));
    }

    /// A change whose answer was lost would fail when it is asked for again, or a refused one be
    /// called made.
    #[test]
    fn a_change_that_is_refused_as_made_is_made() {
        let (add, remove) = (Change::Add(replica(3, 30)), Change::Remove(replica(3, 31)));
        assert!(add.may_be_made(ErrorCode::DUPLICATE_VOTER) && add.is_made(&quorum()));
        assert!(remove.may_be_made(ErrorCode::VOTER_NOT_FOUND) && remove.is_made(&quorum()));
        assert!(!Change::Add(replica(3, 31)).is_made(&quorum()), "another directory is no voter");
        assert!(!remove.may_be_made(ErrorCode::DUPLICATE_VOTER));
        for change in [add, remove] {
            assert!(!change.may_be_made(ErrorCode::CLUSTER_AUTHORIZATION_FAILED));
        }
    }
}
