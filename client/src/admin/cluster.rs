//! The cluster: its brokers, its metadata quorum, its disks.

use std::collections::BTreeMap;
use std::time::Duration;

use milena_protocol::api::describe_cluster::DescribeClusterRequest;
use milena_protocol::api::describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResult};
use milena_protocol::api::describe_quorum::{
    DescribeQuorumListener, DescribeQuorumNode, DescribeQuorumPartition,
    DescribeQuorumReplicaState, DescribeQuorumRequest, DescribeQuorumResponse, DescribeQuorumTopic,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex, Timestamp, Uuid};

use super::ask::Admin;
use crate::connection::Feature;
use crate::error::{ClientError, Refused};
use crate::metadata::host_and_port;

/// The cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    /// Its id.
    pub cluster_id: String,
    /// The broker that the others call the controller.
    pub controller: Option<NodeId>,
    /// Its brokers.
    pub brokers: Vec<DescribedBroker>,
    /// Its features, as one broker told them.
    pub features: Vec<Feature>,
}

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedBroker {
    /// Its id.
    pub node_id: NodeId,
    /// Where it listens, as it advertises it.
    pub address: String,
    /// Its rack.
    pub rack: Option<String>,
    /// Whether it may lead nothing now; known only from brokers that tell.
    pub is_fenced: bool,
}

/// The metadata quorum, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumStatus {
    /// The leader.
    pub leader_id: NodeId,
    /// Its epoch.
    pub leader_epoch: LeaderEpoch,
    /// Behind the last committed metadata record.
    pub high_watermark: Offset,
    /// Those who vote.
    pub voters: Vec<QuorumReplica>,
    /// Those who follow without a vote.
    pub observers: Vec<QuorumReplica>,
    /// Where the voters listen for each other, where the broker tells.
    pub listeners: BTreeMap<NodeId, Vec<Listener>>,
}

/// A place where a voter listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The listener's name.
    pub name: String,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Listener {
    /// Host and port.
    #[must_use]
    pub fn address(&self) -> String {
        host_and_port(&self.host, i32::from(self.port))
    }
}

/// A replica of the metadata log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumReplica {
    /// The node.
    pub node_id: NodeId,
    /// The directory that its log is in.
    pub directory_id: Uuid,
    /// Behind the last record that it has.
    pub log_end_offset: Offset,
    /// When it last fetched; −1 where nobody knows.
    pub last_fetch: Timestamp,
    /// When it last had everything; −1 where nobody knows.
    pub last_caught_up: Timestamp,
}

/// A directory of logs on a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDir {
    /// Where it is.
    pub path: String,
    /// What its disk holds at most, in bytes; −1 where the broker does not tell.
    pub total_bytes: i64,
    /// What is free, in bytes; −1 where the broker does not tell.
    pub usable_bytes: i64,
    /// The partitions in it.
    pub replicas: Vec<ReplicaSize>,
}

/// A partition in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaSize {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: PartitionIndex,
    /// How large its log is, in bytes.
    pub bytes: i64,
    /// How many records it is behind.
    pub offset_lag: i64,
}

impl QuorumStatus {
    /// What asks for it.
    #[must_use]
    pub fn request() -> DescribeQuorumRequest {
        let partition = DescribeQuorumPartition { partition_index: PartitionIndex(0) };
        DescribeQuorumRequest {
            topics: vec![DescribeQuorumTopic {
                topic_name: "__cluster_metadata".into(),
                partitions: vec![partition],
            }],
        }
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// When it is a refusal: who is asked does not lead, or the caller may not know.
    pub fn read(response: &DescribeQuorumResponse) -> Result<Self, Refused> {
        Refused::check(response.error_code, response.error_message.as_deref())?;
        let partition = response.topics.first().and_then(|topic| topic.partitions.first());
        let missing = || Refused { code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message: None };
        let partition = partition.ok_or_else(missing)?;
        Refused::check(partition.error_code, partition.error_message.as_deref())?;
        Ok(Self {
            leader_id: partition.leader_id,
            leader_epoch: partition.leader_epoch,
            high_watermark: partition.high_watermark,
            voters: partition.current_voters.iter().map(replica).collect(),
            observers: partition.observers.iter().map(replica).collect(),
            listeners: response.nodes.iter().map(listeners).collect(),
        })
    }

    /// How many records a replica of the metadata log is behind the one that has most.
    #[must_use]
    pub fn lag(&self, replica: &QuorumReplica) -> i64 {
        let ends = self.voters.iter().chain(&self.observers).map(|one| one.log_end_offset.0);
        ends.max().unwrap_or(0) - replica.log_end_offset.0.max(0)
    }

    /// The voters that did not have everything for longer than this, as the leader sees it.
    #[must_use]
    pub fn behind(&self, patience: Duration) -> Vec<NodeId> {
        let leader = self.voters.iter().find(|voter| voter.node_id == self.leader_id);
        // The leader has everything at the moment it is asked.
        let now = leader.map_or(-1, |leader| leader.last_caught_up.0);
        let patience = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
        let is_behind = |voter: &&QuorumReplica| {
            let since = now.saturating_sub(voter.last_caught_up.0);
            voter.last_caught_up.0 < 0 || since > patience
        };
        let others = self.voters.iter().filter(|voter| voter.node_id != self.leader_id);
        others.filter(is_behind).map(|voter| voter.node_id).collect()
    }
}

impl Admin {
    /// The cluster and its brokers, fenced ones too where the broker tells of them.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, ClientError> {
        let connection = self.client.any().await?;
        let request = DescribeClusterRequest { include_fenced_brokers: true, ..Default::default() };
        let response = connection.ask(&request).await?;
        Refused::check(response.error_code, response.error_message.as_deref())
            .map_err(|refused| refused.of("the cluster"))?;
        let brokers = response.brokers.iter().map(|broker| DescribedBroker {
            node_id: broker.broker_id,
            address: host_and_port(&broker.host, broker.port),
            rack: broker.rack.as_ref().map(ToString::to_string),
            is_fenced: broker.is_fenced,
        });
        Ok(ClusterDescription {
            cluster_id: response.cluster_id.to_string(),
            controller: (response.controller_id.0 >= 0).then_some(response.controller_id),
            brokers: brokers.collect(),
            features: connection.features().to_vec(),
        })
    }

    /// The metadata quorum.
    ///
    /// # Errors
    /// When there is no answer, or no leader.
    pub async fn describe_quorum(&self) -> Result<QuorumStatus, ClientError> {
        let response = self.client.ask_any(&QuorumStatus::request()).await?;
        QuorumStatus::read(&response).map_err(|refused| refused.of("the metadata quorum"))
    }

    /// The directories of a broker with what they hold.
    ///
    /// # Errors
    /// When there is no such broker, or no answer.
    pub async fn describe_log_dirs(&self, node_id: NodeId) -> Result<Vec<LogDir>, ClientError> {
        let request = DescribeLogDirsRequest { topics: None };
        let response = self.client.broker(node_id).await?.ask(&request).await?;
        let refused = |refused: Refused| refused.of(format!("log directories of {node_id}"));
        Refused::check(response.error_code, None).map_err(refused)?;
        let mut directories = Vec::new();
        for result in &response.results {
            Refused::check(result.error_code, None).map_err(refused)?;
            directories.push(directory(result));
        }
        Ok(directories)
    }
}

fn listeners(node: &DescribeQuorumNode) -> (NodeId, Vec<Listener>) {
    let listener = |it: &DescribeQuorumListener| Listener {
        name: it.name.to_string(),
        host: it.host.to_string(),
        port: it.port,
    };
    (node.node_id, node.listeners.iter().map(listener).collect())
}

fn replica(state: &DescribeQuorumReplicaState) -> QuorumReplica {
    QuorumReplica {
        node_id: state.replica_id,
        directory_id: state.replica_directory_id,
        log_end_offset: state.log_end_offset,
        last_fetch: state.last_fetch_timestamp,
        last_caught_up: state.last_caught_up_timestamp,
    }
}

fn directory(result: &DescribeLogDirsResult) -> LogDir {
    let replicas = result.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| ReplicaSize {
            topic: topic.name.to_string(),
            partition: partition.partition_index,
            bytes: partition.partition_size,
            offset_lag: partition.offset_lag,
        })
    });
    LogDir {
        path: result.log_dir.to_string(),
        total_bytes: result.total_bytes,
        usable_bytes: result.usable_bytes,
        replicas: replicas.collect(),
    }
}
