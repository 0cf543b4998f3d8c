//! Several nodes of one cluster, each a process with a directory of its own.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

use milena_protocol::api::describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
use milena_protocol::api::describe_quorum::{
    DescribeQuorumPartition, DescribeQuorumPartitionResponse, DescribeQuorumRequest,
    DescribeQuorumTopic,
};
use milena_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic, MetadataTopic};
use milena_protocol::ids::{NodeId, PartitionIndex};

use super::broker::until;
use super::{Connection, MILENA, Process};

/// A node of a cluster; it may be down.
pub struct Node {
    pub id: i32,
    directory: tempfile::TempDir,
    settings: Vec<String>,
    /// Whom it is told to join.
    join: Option<String>,
    process: Option<Process>,
}

/// A cluster of combined nodes.
pub struct Cluster {
    pub nodes: Vec<Node>,
}

/// How nodes that are only brokers are told of the quorum.
#[derive(Clone, Copy, Debug)]
pub enum FindBy {
    /// `controller.quorum.voters`
    Voters,
    /// `controller.quorum.bootstrap.servers`
    BootstrapServers,
}

/// Ports that are free now.
fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"))
        .collect();
    held.iter().map(|socket| socket.local_addr().expect("an address").port()).collect()
}

impl Node {
    fn untold(id: i32, join: Option<String>, more: &[&str]) -> Self {
        let port = free_ports(1)[0];
        let mut settings = vec![format!("listeners=PLAINTEXT://127.0.0.1:{port}")];
        settings.extend(more.iter().map(|setting| (*setting).to_owned()));
        let directory = tempfile::tempdir().expect("a directory");
        Self { id, directory, settings, join, process: None }
    }

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
        let mut command = Command::new(MILENA);
        if let Some(server) = &self.join {
            command.env("MILENA_JOIN", server);
        }
        self.process = Some(Process::launch(command, self.directory.path(), &settings));
    }

    /// From now on it is started without being told whom to join.
    pub fn forget_whom_to_join(&mut self) {
        self.join = None;
    }

    /// Where its data is.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where it listens, whether it runs or not.
    pub fn address(&self) -> String {
        let named =
            |setting: &String| Some(setting.strip_prefix("listeners=PLAINTEXT://")?.to_owned());
        self.settings.iter().find_map(named).expect("a node with a port of its own")
    }

    /// SIGSTOP: nobody counts on it any more. It ends when what is answered is dropped.
    pub fn pause(&mut self) -> Process {
        let process = self.process.take().expect("a node that runs");
        process.pause();
        process
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
            Node { id, directory, settings, join: None, process: None }
        };
        let nodes = ids.zip(client.iter().zip(quorum)).map(node).collect();
        let mut cluster = Self { nodes };
        cluster.start_all();
        cluster
    }

    /// Starts so many nodes that are only controllers, and so many that are only brokers, whose
    /// ids come next. Brokers find the quorum by `key`.
    pub fn split(controllers: usize, brokers: usize, key: FindBy, more: &[&str]) -> Self {
        let ports = free_ports(controllers + brokers);
        let (quorum, client) = ports.split_at(controllers);
        let voters: Vec<String> =
            (1..).zip(quorum).map(|(id, port)| format!("{id}@127.0.0.1:{port}")).collect();
        let servers: Vec<String> = quorum.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let voters = format!("controller.quorum.voters={}", voters.join(","));
        let found = match key {
            FindBy::Voters => voters.clone(),
            FindBy::BootstrapServers => {
                format!("controller.quorum.bootstrap.servers={}", servers.join(","))
            }
        };
        let node = |(id, port): (i32, &u16)| {
            let is_controller = id <= controllers as i32;
            let (role, name, quorum) = if is_controller {
                ("controller", "CONTROLLER", &voters)
            } else {
                ("broker", "PLAINTEXT", &found)
            };
            let mut settings = vec![
                format!("process.roles={role}"),
                format!("node.id={id}"),
                format!("listeners={name}://127.0.0.1:{port}"),
                "controller.listener.names=CONTROLLER".to_owned(),
                quorum.clone(),
            ];
            settings.extend(more.iter().map(|setting| (*setting).to_owned()));
            let directory = tempfile::tempdir().expect("a directory");
            Node { id, directory, settings, join: None, process: None }
        };
        let nodes = (1..).zip(quorum.iter().chain(client)).map(node).collect();
        let mut cluster = Self { nodes };
        cluster.start_all();
        cluster
    }

    /// Starts one node that is told nothing, not even its id.
    pub fn alone(more: &[&str]) -> Self {
        let mut cluster = Self { nodes: vec![Node::untold(1, None, more)] };
        cluster.start_all();
        cluster
    }

    /// Adds nodes that are told whom to join and nothing else, all at once, and waits until all
    /// are there. They are given the next ids in whichever order.
    pub fn grow(&mut self, count: usize, more: &[&str]) {
        let server = self.up().next().expect("a node that runs").address();
        let known = self.nodes.len() as i32;
        let ids = (1..=count as i32).map(|place| known + place);
        self.nodes.extend(ids.map(|id| Node::untold(id, Some(server.clone()), more)));
        self.start_all();
        for node in self.nodes.iter_mut().skip(known as usize) {
            let meta = std::fs::read_to_string(node.directory().join("meta.properties"));
            let meta = meta.expect("a directory that is in use");
            let id = meta.lines().find_map(|line| line.strip_prefix("node.id="));
            node.id = id.and_then(|id| id.parse().ok()).expect("an id");
        }
        let mut ids: Vec<i32> = self.nodes.iter().map(|node| node.id).collect();
        ids.sort_unstable();
        self.until_live(&ids);
    }

    /// Adds nodes that are only controllers, told whom to join and who they are.
    pub fn grow_controllers(&mut self, count: usize) {
        let server = self.brokers().next().expect("a broker that runs").address();
        let known = self.nodes.len() as i32;
        self.nodes.extend((known + 1..=known + count as i32).map(|id| {
            let id_setting = format!("node.id={id}");
            let settings = ["process.roles=controller", &id_setting];
            Node::untold(id, Some(server.clone()), &settings)
        }));
        self.start_all();
    }

    /// Waits until every node that runs sees exactly these voters.
    pub fn until_voters(&self, ids: &[i32]) {
        for node in self.up() {
            let mut connection = node.connect();
            until("the voters", || voters(&mut connection) == ids);
        }
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

    /// The brokers that run, where others are only controllers.
    pub fn brokers(&self) -> impl Iterator<Item = &Node> {
        let is_no_broker = |setting: &String| setting == "process.roles=controller";
        self.up().filter(move |node| !node.settings.iter().any(is_no_broker))
    }

    /// The nodes that run.
    pub fn up(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_up())
    }

    /// A connection to any broker that runs.
    pub fn connect(&self) -> Connection {
        self.brokers().next().expect("a broker that runs").connect()
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

    /// Waits until every broker that runs sees exactly these live brokers.
    pub fn until_live(&self, ids: &[i32]) {
        for node in self.brokers() {
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

/// The voters of the metadata quorum, by id.
pub fn voters(connection: &mut Connection) -> Vec<i32> {
    let described = quorum(connection);
    let mut ids: Vec<i32> = described.current_voters.iter().map(|it| it.replica_id.0).collect();
    ids.sort_unstable();
    ids
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

/// A topic as a node sees it, which may make it.
pub fn made(connection: &mut Connection, name: &str) -> MetadataTopic {
    ask_for(connection, name, true)
}

/// A topic as a node sees it.
pub fn topic(connection: &mut Connection, name: &str) -> MetadataTopic {
    ask_for(connection, name, false)
}

fn ask_for(connection: &mut Connection, name: &str, may_make: bool) -> MetadataTopic {
    let topic = MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
    let request = MetadataRequest {
        topics: Some(vec![topic]),
        allow_auto_topic_creation: may_make,
        ..Default::default()
    };
    connection.ask(&request, 12).topics.remove(0)
}
