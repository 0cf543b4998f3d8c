//! Several nodes of one cluster, each a process with a directory of its own.

use std::net::{Ipv4Addr, TcpListener};

use milena_protocol::api::describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
use milena_protocol::api::describe_quorum::{
    DescribeQuorumPartition, DescribeQuorumPartitionResponse, DescribeQuorumRequest,
    DescribeQuorumTopic,
};
use milena_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic, MetadataTopic};
use milena_protocol::ids::{NodeId, PartitionIndex};

use super::broker::until;
use super::{Connection, Process};

/// A node of a cluster; it may be down.
pub struct Node {
    pub id: i32,
    directory: tempfile::TempDir,
    settings: Vec<String>,
    process: Option<Process>,
}

/// A cluster of combined nodes.
pub struct Cluster {
    pub nodes: Vec<Node>,
}

/// Ports that are free now.
fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"))
        .collect();
    held.iter().map(|socket| socket.local_addr().expect("an address").port()).collect()
}

impl Node {
    /// Whether it runs.
    pub fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// The process, which runs.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("a node that runs")
    }

    /// A connection to it.
    pub fn connect(&self) -> Connection {
        self.process().connect()
    }

    /// Starts it on what its directory holds.
    pub fn start(&mut self) {
        let settings: Vec<&str> = self.settings.iter().map(String::as_str).collect();
        self.process = Some(Process::start(self.directory.path(), &settings));
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process.take().expect("a node that runs").kill();
    }
}

impl Cluster {
    /// Starts so many nodes, all brokers and voters, with more settings.
    pub fn start(count: usize, more: &[&str]) -> Self {
        let ports = free_ports(2 * count);
        let (client, quorum) = ports.split_at(count);
        let ids = 1..=count as i32;
        let voters: Vec<String> =
            ids.clone().zip(quorum).map(|(id, port)| format!("{id}@127.0.0.1:{port}")).collect();
        let node = |(id, (client, quorum)): (i32, (&u16, &u16))| {
            let mut settings = vec![
                format!("node.id={id}"),
                format!("listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{quorum}"),
                "controller.listener.names=CONTROLLER".to_owned(),
                format!("controller.quorum.voters={}", voters.join(",")),
            ];
            settings.extend(more.iter().map(|setting| (*setting).to_owned()));
            let directory = tempfile::tempdir().expect("a directory");
            Node { id, directory, settings, process: None }
        };
        let nodes = ids.zip(client.iter().zip(quorum)).map(node).collect();
        let mut cluster = Self { nodes };
        cluster.start_all();
        cluster
    }

    /// Starts all nodes that are down, at once: none comes up alone.
    pub fn start_all(&mut self) {
        std::thread::scope(|scope| {
            for node in self.nodes.iter_mut().filter(|node| !node.is_up()) {
                scope.spawn(|| node.start());
            }
        });
    }

    /// A node by its id.
    pub fn node(&mut self, id: i32) -> &mut Node {
        self.nodes.iter_mut().find(|node| node.id == id).expect("a node of the cluster")
    }

    /// The nodes that run.
    pub fn up(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_up())
    }

    /// A connection to any node that runs.
    pub fn connect(&self) -> Connection {
        self.up().next().expect("a node that runs").connect()
    }

    /// The node whose controller is active, once there is one that lives.
    pub fn controller(&self) -> i32 {
        let mut found = NodeId::NONE;
        until("an active controller", || {
            found = quorum(&mut self.connect()).leader_id;
            self.up().any(|node| node.id == found.0)
        });
        found.0
    }

    /// Waits until every node that runs sees exactly these live brokers.
    pub fn until_live(&self, ids: &[i32]) {
        for node in self.up() {
            let mut connection = node.connect();
            until("the live brokers", || {
                let mut live: Vec<i32> = describe(&mut connection)
                    .brokers
                    .iter()
                    .map(|broker| broker.broker_id.0)
                    .collect();
                live.sort_unstable();
                live == ids
            });
        }
    }
}

/// The cluster as a node sees it.
pub fn describe(connection: &mut Connection) -> DescribeClusterResponse {
    connection.ask(&DescribeClusterRequest::default(), 1)
}

/// The metadata quorum as its leader sees it.
pub fn quorum(connection: &mut Connection) -> DescribeQuorumPartitionResponse {
    let partition = DescribeQuorumPartition { partition_index: PartitionIndex(0) };
    let topic = DescribeQuorumTopic {
        topic_name: "__cluster_metadata".into(),
        partitions: vec![partition],
    };
    let request = DescribeQuorumRequest { topics: vec![topic] };
    let response = connection.ask(&request, 2);
    response.topics.into_iter().flat_map(|topic| topic.partitions).next().unwrap_or_default()
}

/// A topic as a node sees it.
pub fn topic(connection: &mut Connection, name: &str) -> MetadataTopic {
    let topic = MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
    let request = MetadataRequest {
        topics: Some(vec![topic]),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    connection.ask(&request, 12).topics.remove(0)
}
