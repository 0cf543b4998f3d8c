//! What a server of a cluster tells a node that wants to join: the cluster's id, where the
//! controllers are, and, from the active one, a node id that nobody else has.

use std::fmt;
use std::time::Duration;

use milena_client::Refused;
use milena_client::connection::{Connection, ConnectionOptions};
use milena_client::error::ClientError;
use milena_cluster::controller::brokers::{Application, Registration};
use milena_cluster::controller::features;
use milena_cluster::metadata::image::EndpointImage;
use milena_protocol::api::describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
use milena_protocol::api::describe_quorum::{
    DescribeQuorumPartition, DescribeQuorumRequest, DescribeQuorumResponse, DescribeQuorumTopic,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, PartitionIndex, Uuid};

use crate::config::HostPort;
use crate::drivers::metadata_log::TOPIC;
use crate::entropy::new_uuid;

/// The endpoint types of DescribeCluster (KIP-919).
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;
/// How long one connection or answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The rest between two attempts.
const REST: Duration = Duration::from_millis(100);

/// Why a node did not join.
#[derive(Debug)]
pub enum JoinError {
    /// None of the servers answers.
    Unreachable {
        /// Who was asked.
        servers: Vec<HostPort>,
        /// What happened last.
        why: String,
    },
    /// The data directory belongs to another cluster.
    OtherCluster {
        /// The server that was asked.
        server: String,
        /// Its cluster.
        theirs: String,
        /// The directory's, or the configured one.
        ours: String,
    },
    /// The cluster does not take this node.
    Refused {
        /// The server that was asked.
        server: String,
        /// Why.
        code: ErrorCode,
    },
    /// Nobody keeps an id for a node that is no broker.
    NeedsNodeId {
        /// One that nobody has.
        free: NodeId,
    },
    /// A node with this id votes already, and lives.
    NodeIdTaken {
        /// The id.
        id: NodeId,
    },
    /// What was learned cannot be kept.
    Io(std::io::Error),
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { servers, why } => {
                let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "cannot join: no answer from {} ({why}); look whether a node runs there that \
                     listens on an address which this machine reaches (the first one listens on \
                     loopback unless it is started with --set listeners=PLAINTEXT://:9092)",
                    servers.join(", ")
                )
            }
            Self::OtherCluster { server, theirs, ours } => write!(
                f,
                "cannot join: {server} belongs to cluster {theirs}, this data directory to \
                 cluster {ours}; set log.dirs to an empty directory, or name a server of {ours}"
            ),
            Self::Refused { server, code } => {
                write!(f, "cannot join: {server} does not take this node: {code}")
            }
            Self::NeedsNodeId { free } => write!(
                f,
                "cannot join: only brokers are given an id, and process.roles has no broker: \
                 choose one that no other node has, such as --set node.id={free}"
            ),
            Self::NodeIdTaken { id } => write!(
                f,
                "cannot join: another node with node.id={id} votes in the metadata quorum and is \
                 alive; give this one a node.id that no other node has, and empty log.dirs"
            ),
            Self::Io(error) => {
                write!(f, "cannot join: where the cluster is cannot be kept: {error}")
            }
        }
    }
}

impl std::error::Error for JoinError {}

/// A cluster as a server of it tells of it.
pub(super) struct Cluster {
    /// Its id.
    pub id: String,
    /// Where its controllers are; the server itself where nothing else is known.
    pub controllers: Vec<HostPort>,
    /// The active one, where there is one.
    pub active: Option<HostPort>,
    /// No node has this id or a higher one.
    pub free_id: NodeId,
}

fn options() -> ConnectionOptions {
    ConnectionOptions {
        client_id: "milena-join".to_owned(),
        connect_timeout: ANSWER_TIMEOUT,
        request_timeout: ANSWER_TIMEOUT,
        ..ConnectionOptions::default()
    }
}

/// The id of a server's cluster.
pub(super) async fn cluster_id(server: &HostPort) -> Result<String, ClientError> {
    let connection = Connection::open(&server.to_string(), options()).await?;
    Ok(describe(&connection).await?.cluster_id.to_string())
}

/// What a server tells of its cluster.
pub(super) async fn look(server: &HostPort) -> Result<Cluster, ClientError> {
    let connection = Connection::open(&server.to_string(), options()).await?;
    let cluster = describe(&connection).await?;
    let quorum = describe_quorum(&connection).await?;
    let place = |id: NodeId| {
        let node = quorum.nodes.iter().find(|node| node.node_id == id)?;
        let at = node.listeners.first()?;
        Some(HostPort { host: at.host.to_string(), port: at.port })
    };
    let partition = quorum.topics.first().and_then(|topic| topic.partitions.first());
    let replicas =
        partition.into_iter().flat_map(|it| it.current_voters.iter().chain(&it.observers));
    let in_quorum = replicas.map(|replica| replica.replica_id);
    let highest = cluster.brokers.iter().map(|broker| broker.broker_id).chain(in_quorum).max();
    let mut controllers: Vec<HostPort> =
        quorum.nodes.iter().filter_map(|node| place(node.node_id)).collect();
    if controllers.is_empty() {
        controllers.push(server.clone());
    }
    Ok(Cluster {
        id: cluster.cluster_id.to_string(),
        controllers,
        active: partition.and_then(|partition| place(partition.leader_id)),
        free_id: NodeId(highest.map_or(1, |id| id.0.saturating_add(1).max(1))),
    })
}

/// A broker listener tells of brokers, a controller listener of controllers.
async fn describe(connection: &Connection) -> Result<DescribeClusterResponse, ClientError> {
    let ask = |endpoint_type| DescribeClusterRequest {
        endpoint_type,
        include_fenced_brokers: true,
        ..Default::default()
    };
    let mut answer = connection.ask(&ask(BROKERS)).await?;
    if answer.error_code == ErrorCode::MISMATCHED_ENDPOINT_TYPE {
        answer = connection.ask(&ask(CONTROLLERS)).await?;
    }
    check(&answer).map_err(|refused| refused.of("the cluster"))?;
    Ok(answer)
}

/// A server that refuses, or knows no cluster yet, tells of none: a node must not become part of
/// the cluster without a name.
fn check(answer: &DescribeClusterResponse) -> Result<(), Refused> {
    Refused::check(answer.error_code, answer.error_message.as_deref())?;
    if answer.cluster_id.is_empty() {
        let message = Some("the server names no cluster".to_owned());
        return Err(Refused { code: ErrorCode::UNKNOWN_SERVER_ERROR, message });
    }
    Ok(())
}

async fn describe_quorum(connection: &Connection) -> Result<DescribeQuorumResponse, ClientError> {
    let partition = DescribeQuorumPartition { partition_index: PartitionIndex(0) };
    let topic = DescribeQuorumTopic { topic_name: TOPIC.into(), partitions: vec![partition] };
    connection.ask(&DescribeQuorumRequest { topics: vec![topic] }).await
}

/// A broker that looks for an id.
pub(super) struct Applicant<'a> {
    /// Where it listens.
    pub endpoints: &'a [EndpointImage],
    /// Its rack.
    pub rack: Option<Text>,
    /// This run of it.
    pub incarnation_id: Uuid,
}

/// What became of an application.
pub(super) enum Outcome {
    /// The id is this broker's.
    Taken(NodeId),
    /// Another controller has to be asked, or later.
    Later(String),
    /// The cluster does not want it.
    Refused(ErrorCode),
}

/// Has the active controller register the broker, with the first id that is free: two nodes that
/// join at the same time never get the same one. The run that follows registers as the same run.
pub(super) async fn apply(cluster: &Cluster, applicant: &Applicant<'_>) -> Outcome {
    let Some(active) = &cluster.active else {
        return Outcome::Later("no controller is active".to_owned());
    };
    let connection = match Connection::open(&active.to_string(), options()).await {
        Ok(connection) => connection,
        Err(error) => return Outcome::Later(error.to_string()),
    };
    let mut id = cluster.free_id;
    // Nobody can be refused more often than there are nodes that join at the same time.
    for _ in 0..u8::MAX {
        let request = application(id, applicant).to_request(&cluster.id.as_str().into());
        match connection.ask(&request).await.map(|answer| answer.error_code) {
            Ok(ErrorCode::NONE) => return Outcome::Taken(id),
            Ok(ErrorCode::DUPLICATE_BROKER_REGISTRATION) => id = NodeId(id.0.saturating_add(1)),
            Ok(ErrorCode::NOT_CONTROLLER) => {
                return Outcome::Later("another controller is active".to_owned());
            }
            Ok(code) => return Outcome::Refused(code),
            Err(error) => return Outcome::Later(error.to_string()),
        }
    }
    Outcome::Refused(ErrorCode::DUPLICATE_BROKER_REGISTRATION)
}

fn application(id: NodeId, applicant: &Applicant<'_>) -> Application {
    Application {
        registration: Registration {
            id,
            incarnation_id: applicant.incarnation_id,
            previous_epoch: None,
            endpoints: applicant.endpoints.to_vec(),
            rack: applicant.rack.clone(),
            // The directory is made once the id is known, and stands in the next registration.
            log_dirs: vec![new_uuid()],
        },
        features: features::ranges(),
        is_migrating: false,
    }
}

/// Lets a moment pass before the next attempt.
pub(super) async fn rest() {
    tokio::time::sleep(REST).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node would join the cluster whose id is empty.
    #[test]
    fn a_server_that_names_no_cluster_tells_of_none() {
        let answer = |error_code, id: &str| DescribeClusterResponse {
            error_code,
            cluster_id: id.into(),
            ..Default::default()
        };
        assert!(check(&answer(ErrorCode::NONE, "c")).is_ok());
        assert!(check(&answer(ErrorCode::NONE, "")).is_err());
        let refused = check(&answer(ErrorCode::CLUSTER_AUTHORIZATION_FAILED, "c")).unwrap_err();
        assert_eq!(refused.code, ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
    }
}
