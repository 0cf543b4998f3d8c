//! The processes of a cluster: start, kill, pause, and who ended without being told to.

use std::collections::BTreeMap;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;

use parking_lot::Mutex;

use super::broker::Broker;
use super::plan::{Node, NodeId};
use super::process::Process;

/// The numbers of the processes that run, by node.
pub type Ids = Arc<Mutex<BTreeMap<NodeId, u32>>>;

/// The nodes with their processes.
#[derive(Debug)]
pub struct Members {
    broker: Broker,
    nodes: Vec<Node>,
    running: BTreeMap<NodeId, Process>,
    ids: Ids,
}

impl Members {
    /// Makes what the nodes need, and starts none of them.
    ///
    /// # Errors
    /// When their files cannot be written.
    pub fn prepare(broker: Broker, nodes: Vec<Node>, settings: &[String]) -> io::Result<Self> {
        for node in &nodes {
            broker.prepare(node, &nodes, settings)?;
        }
        Ok(Self { broker, nodes, running: BTreeMap::new(), ids: Ids::default() })
    }

    /// The nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The numbers of their processes, now and later.
    #[must_use]
    pub fn ids(&self) -> Ids {
        Arc::clone(&self.ids)
    }

    /// Where clients begin.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        let address = |node: &Node| format!("127.0.0.1:{}", node.clients.advertised);
        self.nodes.iter().map(address).collect::<Vec<_>>().join(",")
    }

    /// Starts a node that does not run. Must be called by a thread that outlives it.
    ///
    /// # Errors
    /// When its program cannot be run.
    pub fn start(&mut self, id: NodeId) -> io::Result<()> {
        let Some(node) = self.nodes.iter().find(|node| node.id == id) else {
            return Err(io::Error::other(format!("no node {}", id.0)));
        };
        if self.running.contains_key(&id) {
            return Ok(());
        }
        let process = Process::start(&self.broker.command(node), &node.log())?;
        self.ids.lock().insert(id, process.id());
        self.running.insert(id, process);
        Ok(())
    }

    /// Starts those that do not run.
    ///
    /// # Errors
    /// When a program cannot be run.
    pub fn start_missing(&mut self) -> io::Result<()> {
        let ids: Vec<NodeId> = self.nodes.iter().map(|node| node.id).collect();
        ids.into_iter().try_for_each(|id| self.start(id))
    }

    /// kill -9.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill(&mut self, id: NodeId) -> io::Result<()> {
        self.ids.lock().remove(&id);
        match self.running.remove(&id) {
            Some(mut process) => process.kill(),
            None => Ok(()),
        }
    }

    /// The process of a node, if it runs.
    pub fn process(&mut self, id: NodeId) -> Option<&mut Process> {
        self.running.get_mut(&id)
    }

    /// Forgets the processes that ended by themselves, and tells of them.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn ended(&mut self) -> io::Result<Vec<(NodeId, ExitStatus)>> {
        let mut ended = Vec::new();
        for (id, process) in &mut self.running {
            if let Some(status) = process.ended()? {
                ended.push((*id, status));
            }
        }
        for (id, _) in &ended {
            self.running.remove(id);
            self.ids.lock().remove(id);
        }
        Ok(ended)
    }

    /// The end of what a node printed.
    #[must_use]
    pub fn last_words(&self, id: NodeId) -> String {
        const LINES: usize = 15;
        let Some(node) = self.nodes.iter().find(|node| node.id == id) else {
            return String::new();
        };
        let text = std::fs::read(node.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}
