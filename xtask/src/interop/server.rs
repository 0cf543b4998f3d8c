//! What a suite of clients talks to: our broker, or Apache Kafka to see what it would say.

use super::check::Outcome;
use super::cluster::Cluster;
use super::kafka::{Kafka, Tools};
use super::milena::Milena;
use super::place::{Place, Scratch};

/// Which broker is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Ours.
    Milena,
    /// Three of ours in a cluster, where topics have three replicas unless they say else.
    Cluster,
    /// Apache Kafka.
    Kafka,
}

/// A broker on a fresh directory; both go away when it is dropped.
#[derive(Debug)]
pub struct Server {
    process: Process,
    _scratch: Scratch,
}

#[derive(Debug)]
enum Process {
    Milena(Milena),
    Cluster(Cluster),
    Kafka(Kafka),
}

impl Server {
    /// Starts it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(place: &Place, subject: Subject, suite: &str) -> Outcome<Self> {
        Self::start_with(place, subject, suite, &[])
    }

    /// Starts it with settings that both brokers know.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_with(
        place: &Place,
        subject: Subject,
        suite: &str,
        settings: &[&str],
    ) -> Outcome<Self> {
        let scratch = place.scratch(suite)?;
        let data = scratch.path().join("data");
        let process = match subject {
            Subject::Milena => Process::Milena(Milena::start(place, &data, 0, settings)?),
            Subject::Cluster => Process::Cluster(Cluster::start(place, &data, settings)?),
            Subject::Kafka => {
                let tools = Tools::install(place)?;
                Process::Kafka(Kafka::start(&tools, &data, settings)?)
            }
        };
        Ok(Self { process, _scratch: scratch })
    }

    /// How many copies a topic has that says nothing of them.
    #[must_use]
    pub fn copies(&self) -> usize {
        match &self.process {
            Process::Cluster(cluster) => cluster.copies(),
            Process::Milena(_) | Process::Kafka(_) => 1,
        }
    }

    /// Where clients reach it.
    #[must_use]
    pub fn address(&self) -> &str {
        match &self.process {
            Process::Milena(milena) => &milena.address,
            Process::Cluster(cluster) => &cluster.addresses,
            Process::Kafka(kafka) => &kafka.address,
        }
    }
}
