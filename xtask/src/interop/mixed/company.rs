//! Three nodes of both kinds as one cluster, and what is asked of them.

use std::fmt::Display;
use std::time::Duration;

use serde_json::Value;

use super::node::{Kind, Node, Ports};
use crate::interop::check::{Checks, Failure, Outcome, awaited};
use crate::interop::cluster::free_ports;
use crate::interop::kafka::Tools;
use crate::interop::place::{Place, Scratch};
use crate::interop::program::Program;

/// How long anything may take to come: fetch timeouts, elections, sessions, starts of a JVM.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The ids of the nodes.
pub const IDS: [i32; 3] = [1, 2, 3];

/// Three nodes; killed when it is dropped.
pub struct Company<'c> {
    /// Kafka's tools.
    pub tools: &'c Tools,
    /// What was checked.
    pub checks: &'c mut Checks,
    place: &'c Place,
    nodes: Vec<Node>,
    voters: String,
    scratch: Scratch,
}

impl<'c> Company<'c> {
    /// Nodes 1, 2 and 3, none of which runs yet: the first of this kind, the others of the other.
    ///
    /// # Errors
    /// When there are no ports or no directory for them.
    pub fn new(
        place: &'c Place,
        tools: &'c Tools,
        alone: Kind,
        checks: &'c mut Checks,
    ) -> Outcome<Self> {
        let scratch = place.scratch("mixed")?;
        let kinds = [alone, alone.other(), alone.other()];
        let ports = free_ports(2 * kinds.len())?;
        let ports = ports.chunks_exact(2).map(|pair| Ports { client: pair[0], quorum: pair[1] });
        let nodes: Vec<Node> = IDS
            .into_iter()
            .zip(kinds)
            .zip(ports)
            .map(|((id, kind), ports)| Node::new(id, kind, ports, scratch.path()))
            .collect();
        let voters = nodes.iter().map(Node::voter).collect::<Vec<_>>().join(",");
        Ok(Self { tools, checks, place, nodes, voters, scratch })
    }

    /// A node.
    ///
    /// # Errors
    /// When there is none with this id.
    pub fn node(&self, id: i32) -> Outcome<&Node> {
        let found = self.nodes.iter().find(|node| node.id == id);
        found.ok_or_else(|| Failure::new(format!("there is no node {id}")))
    }

    /// Whose program a node runs.
    ///
    /// # Errors
    /// When there is none with this id.
    pub fn kind(&self, id: i32) -> Outcome<Kind> {
        Ok(self.node(id)?.kind)
    }

    /// What is asked of it must be this before long.
    ///
    /// # Errors
    /// When it is not by then.
    pub fn comes(
        &mut self,
        name: &str,
        expected: impl Display,
        ask: impl Fn(&Self) -> Outcome<String>,
    ) -> Outcome {
        let expected = expected.to_string();
        let actual = awaited(&expected, PATIENCE, || ask(self));
        self.checks.same(name, expected, actual)
    }

    /// The same, asked of every node that runs, in one check.
    ///
    /// # Errors
    /// When it is not so everywhere by then.
    pub fn comes_everywhere(
        &mut self,
        name: &str,
        expected: impl Display,
        ask: impl Fn(&Self, i32) -> Outcome<String>,
    ) -> Outcome {
        let running = self.running();
        let expected: Vec<String> =
            running.iter().map(|id| format!("node {id}: {expected}")).collect();
        self.comes(name, expected.join(", "), |company| {
            let told = |id: &i32| Ok(format!("node {id}: {}", ask(company, *id)?));
            Ok(running.iter().map(told).collect::<Outcome<Vec<_>>>()?.join(", "))
        })
    }

    /// The name of a new file with this text.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file(&self, name: &str, text: &str) -> Outcome<String> {
        let path = self.scratch.path().join(name);
        std::fs::write(&path, text)
            .map_err(Failure::while_doing(format!("cannot write {}", path.display())))?;
        Ok(path.display().to_string())
    }

    /// Starts nodes together and waits until they serve.
    ///
    /// # Errors
    /// When one does not.
    pub fn start(&mut self, ids: &[i32]) -> Outcome {
        let started = |node: &&mut Node| ids.contains(&node.id);
        for node in self.nodes.iter_mut().filter(started) {
            node.spawn(self.place, self.tools, &self.voters)?;
        }
        for node in self.nodes.iter_mut().filter(started) {
            node.wait_until_ready()?;
        }
        Ok(())
    }

    /// kill -9.
    ///
    /// # Errors
    /// When a node had ended by itself.
    pub fn kill(&mut self, ids: &[i32]) -> Outcome {
        self.nodes.iter_mut().filter(|node| ids.contains(&node.id)).try_for_each(Node::kill)
    }

    /// The nodes that run.
    pub fn running(&self) -> Vec<i32> {
        self.nodes.iter().filter(|node| node.is_running()).map(|node| node.id).collect()
    }

    /// Where clients reach them, with commas between.
    pub fn addresses(&self) -> String {
        let running = self.nodes.iter().filter(|node| node.is_running());
        running.map(Node::address).collect::<Vec<_>>().join(",")
    }

    /// What one of Kafka's tools prints, to both outputs; it must end well.
    ///
    /// # Errors
    /// When it does not.
    pub fn kafka(&self, class: &str, arguments: &[&str]) -> Outcome<String> {
        self.kafka_at(&["--bootstrap-server", &self.addresses()], class, arguments, "")
    }

    /// The same, with an input.
    ///
    /// # Errors
    /// When it does not end well.
    pub fn kafka_for(&self, class: &str, arguments: &[&str], input: &str) -> Outcome<String> {
        self.kafka_at(&["--bootstrap-server", &self.addresses()], class, arguments, input)
    }

    /// The same, of somebody it is told.
    ///
    /// # Errors
    /// When it does not end well.
    pub fn kafka_at(
        &self,
        whom: &[&str],
        class: &str,
        arguments: &[&str],
        input: &str,
    ) -> Outcome<String> {
        let words = self.tools.tool(class).args(whom).args(arguments).words_for(input)?;
        if words.is_success {
            return Ok(words.out + &words.err);
        }
        Err(Failure::new(format!("{class} {arguments:?} failed:\n{}", words.shown())))
    }

    /// What one of Kafka's tools prints when it must fail.
    ///
    /// # Errors
    /// When it does not.
    pub fn refused(&self, class: &str, arguments: &[&str]) -> Outcome<String> {
        let whom = ["--bootstrap-server", &self.addresses()];
        let words = self.tools.tool(class).args(whom).args(arguments).words()?;
        if !words.is_success {
            return Ok(words.out + &words.err);
        }
        Err(Failure::new(format!("{class} {arguments:?} did not fail:\n{}", words.shown())))
    }

    /// What a command of ours prints; it must end well.
    ///
    /// # Errors
    /// When it does not.
    pub fn milena(&self, line: &str) -> Outcome<String> {
        self.milena_at(&self.addresses(), line, "")
    }

    /// The same, of somebody it is told, and with an input.
    ///
    /// # Errors
    /// When it does not end well.
    pub fn milena_at(&self, whom: &str, line: &str, input: &str) -> Outcome<String> {
        let words = Program::new(&self.place.binary, LIMIT)
            .args(line.split_whitespace())
            .variable("MILENA_BOOTSTRAP", whom)
            .words_for(input)?;
        if words.is_success {
            return Ok(words.out);
        }
        Err(Failure::new(format!("milena {line} failed:\n{}", words.shown())))
    }

    /// A field of what a command of ours tells as JSON.
    ///
    /// # Errors
    /// When it fails, or tells no such thing.
    pub fn told(&self, whom: &str, line: &str, pointer: &str) -> Outcome<Value> {
        let said = self.milena_at(whom, &format!("{line} --json"), "")?;
        let told: Value = serde_json::from_str(&said)
            .map_err(Failure::while_doing(format!("milena {line} told no JSON")))?;
        let field = told.pointer(pointer).cloned();
        field.ok_or_else(|| Failure::new(format!("milena {line} told nothing of {pointer}")))
    }

    /// A field of a partition as a node knows it.
    ///
    /// # Errors
    /// When it does not know it.
    pub fn partition(&self, id: i32, topic: &str, field: &str) -> Outcome<String> {
        let line = format!("topic describe {topic}");
        let pointer = format!("/0/partitions/0/{field}");
        Ok(self.told(&self.node(id)?.address(), &line, &pointer)?.to_string())
    }

    /// Who leads the quorum, as those that run know it.
    ///
    /// # Errors
    /// When nobody does.
    pub fn leader(&self) -> Outcome<i32> {
        let told = self.told(&self.addresses(), "cluster voters", "/leader_id")?;
        let id = told.as_i64().and_then(|id| i32::try_from(id).ok());
        id.filter(|id| IDS.contains(id)).ok_or_else(|| Failure::new(format!("{told} leads")))
    }

    /// How far each voter is behind the leader, in records; not those that do not run.
    ///
    /// # Errors
    /// When nobody leads.
    pub fn lags(&self) -> Outcome<String> {
        let told = self.told(&self.addresses(), "cluster voters", "/voters")?;
        let running = self.running();
        let rows = told.as_array().into_iter().flatten();
        let mut lags: Vec<String> = rows
            .filter(|voter| running.iter().any(|id| voter["node_id"] == *id))
            .map(|voter| format!("{}: {}", voter["node_id"], voter["lag"]))
            .collect();
        lags.sort();
        Ok(lags.join(", "))
    }

    /// The topics that a node knows, without internal ones.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn topics(&self, id: i32) -> Outcome<String> {
        let told = self.told(&self.node(id)?.address(), "topic list", "")?;
        let names =
            told.as_array().into_iter().flatten().filter_map(|topic| topic["name"].as_str());
        let mut names: Vec<&str> = names.filter(|name| !name.starts_with("__")).collect();
        names.sort_unstable();
        Ok(names.join(" "))
    }
}
