//! A node of a mixed cluster, of either kind: broker and controller in one.

use std::fmt::{Display, Formatter};
use std::path::{Path, PathBuf};

use crate::interop::check::{Failure, Outcome};
use crate::interop::kafka::{CLUSTER_ID, Kafka, Tools};
use crate::interop::milena::Milena;
use crate::interop::place::Place;

/// Features that Milena has nothing of, at the only level that it takes; and voters that are
/// configured.
const FEATURES: [&str; 3] = ["kraft.version=0", "share.version=0", "streams.version=0"];
/// What both kinds are told. Topics of coordinators have one partition, so that one leader
/// coordinates everything; the metadata is noted in snapshots often.
const SETTINGS: [&str; 9] = [
    "offsets.topic.num.partitions=1",
    "offsets.topic.replication.factor=3",
    "transaction.state.log.num.partitions=1",
    "transaction.state.log.replication.factor=3",
    "transaction.state.log.min.isr=2",
    "default.replication.factor=3",
    "min.insync.replicas=2",
    "group.initial.rebalance.delay.ms=0",
    "metadata.log.max.record.bytes.between.snapshots=1000",
];

/// Whose program a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Apache Kafka's.
    Kafka,
    /// Ours.
    Milena,
}

impl Kind {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Kafka => Self::Milena,
            Self::Milena => Self::Kafka,
        }
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kafka => "Kafka",
            Self::Milena => "Milena",
        })
    }
}

/// Where a node listens.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// For clients and brokers.
    pub client: u16,
    /// For the quorum.
    pub quorum: u16,
}

/// A node, running or not; killed when it is dropped.
#[derive(Debug)]
pub struct Node {
    /// Its id.
    pub id: i32,
    /// Whose program it runs.
    pub kind: Kind,
    /// Its data directory.
    pub data: PathBuf,
    ports: Ports,
    process: Option<Process>,
}

#[derive(Debug)]
enum Process {
    Kafka(Kafka),
    Milena(Milena),
}

impl Node {
    /// A node that does not run yet.
    #[must_use]
    pub fn new(id: i32, kind: Kind, ports: Ports, directory: &Path) -> Self {
        Self { id, kind, data: directory.join(format!("node-{id}")), ports, process: None }
    }

    /// Where clients reach it.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.client)
    }

    /// Where the quorum reaches it.
    #[must_use]
    pub fn controller_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.quorum)
    }

    /// How the quorum's voters name it.
    #[must_use]
    pub fn voter(&self) -> String {
        format!("{}@{}", self.id, self.controller_address())
    }

    /// Whether it was started and not killed since.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Starts it without waiting for it.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn spawn(&mut self, place: &Place, tools: &Tools, voters: &str) -> Outcome {
        let own = [
            format!("node.id={}", self.id),
            format!("controller.quorum.voters={voters}"),
            "controller.listener.names=CONTROLLER".to_owned(),
            format!(
                "listeners=PLAINTEXT://{},CONTROLLER://{}",
                self.address(),
                self.controller_address()
            ),
        ];
        let settings = own.iter().map(String::as_str).chain(SETTINGS);
        self.process = Some(match self.kind {
            Kind::Kafka => {
                let mut text = settings.collect::<Vec<_>>().join("\n");
                text += "\nprocess.roles=broker,controller\n";
                text += "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n";
                text += &format!("log.dirs={}\n", self.data.display());
                Kafka::format(tools, &self.data, &text, &FEATURES)?;
                Process::Kafka(Kafka::spawn(tools, &self.data, self.ports.client)?)
            }
            Kind::Milena => {
                let id = format!("cluster.id={CLUSTER_ID}");
                let all: Vec<&str> = settings.chain([id.as_str()]).collect();
                Process::Milena(Milena::spawn(place, &self.data, self.ports.client, &all)?)
            }
        });
        Ok(())
    }

    /// Waits until it serves.
    ///
    /// # Errors
    /// When it does not start.
    pub fn wait_until_ready(&mut self) -> Outcome {
        match &mut self.process {
            Some(Process::Kafka(kafka)) => kafka.wait_until_ready(),
            Some(Process::Milena(milena)) => milena.wait_until_ready(),
            None => Err(Failure::new(format!("node {} does not run", self.id))),
        }
    }

    /// kill -9, and waits for the end.
    ///
    /// # Errors
    /// When it had ended by itself.
    pub fn kill(&mut self) -> Outcome {
        match self.process.take() {
            Some(Process::Kafka(kafka)) => kafka.kill(),
            Some(Process::Milena(milena)) => milena.kill(),
            None => Ok(()),
        }
    }
}
