//! Doing it, and undoing it.

use std::io;
use std::path::PathBuf;

use super::kind::Kind;
use super::schedule::Planned;
use super::{disk, sync};
use crate::cluster::members::Members;
use crate::cluster::plan::NodeId;
use crate::cluster::process::Process;
use crate::network::faults::Network;
use crate::network::link::{End, Quality};
use crate::random::Random;

/// The nodes, the network between them, and what is wrong with them now.
#[derive(Debug)]
pub struct Injector {
    /// The nodes.
    pub members: Members,
    network: Option<Network>,
    ballast: Option<PathBuf>,
    tracer: Option<Process>,
}

impl Injector {
    /// Nodes without a fault.
    #[must_use]
    pub fn new(members: Members, network: Option<Network>) -> Self {
        Self { members, network, ballast: None, tracer: None }
    }

    /// Starts the nodes that do not run.
    ///
    /// # Errors
    /// When a program cannot be run.
    pub fn start(&mut self) -> io::Result<()> {
        if let Some(network) = &self.network {
            self.members.nodes().iter().for_each(|node| network.up(node.id));
        }
        self.members.start_missing()
    }

    /// Does it to a node.
    ///
    /// # Errors
    /// When it cannot be done here.
    pub fn inject(&mut self, planned: &Planned, victim: NodeId) -> io::Result<()> {
        let mut random = Random::of(planned.shape);
        match planned.kind {
            Kind::Kill => {
                if let Some(network) = &self.network {
                    network.down(victim);
                }
                self.members.kill(victim)
            }
            Kind::Pause => match self.members.process(victim) {
                Some(process) => process.pause(),
                None => Ok(()),
            },
            Kind::DiskFull => {
                let node = self.members.nodes().iter().find(|node| node.id == victim);
                let data = node.map(crate::cluster::plan::Node::data).unwrap_or_default();
                self.ballast = Some(disk::fill(&data)?);
                Ok(())
            }
            Kind::Fsync => {
                if let Some(process) = self.members.process(victim) {
                    self.tracer = Some(sync::fail(process.id())?);
                }
                Ok(())
            }
            kind => {
                self.disturb(kind, victim, &mut random);
                Ok(())
            }
        }
    }

    fn disturb(&self, kind: Kind, victim: NodeId, random: &mut Random) {
        let Some(network) = &self.network else { return };
        let ids = self.members.nodes().iter().map(|node| node.id);
        let others: Vec<NodeId> = ids.filter(|id| *id != victim).collect();
        let victim = End::Node(victim);
        match kind {
            Kind::Partition => {
                for other in others {
                    network.cut(victim, End::Node(other));
                    network.cut(End::Node(other), victim);
                }
            }
            Kind::Oneway => {
                let is_deaf = random.once_in(2);
                for other in others.into_iter().map(End::Node) {
                    let (from, to) = if is_deaf { (other, victim) } else { (victim, other) };
                    network.cut(from, to);
                }
            }
            Kind::Bridge => {
                let (one_side, other_side) = others.split_at(others.len() / 2);
                for one in one_side.iter().copied().map(End::Node) {
                    for other in other_side.iter().copied().map(End::Node) {
                        network.cut(one, other);
                        network.cut(other, one);
                    }
                }
            }
            _ => {
                let quality =
                    if kind == Kind::Loss { Quality::lossy(random) } else { Quality::slow(random) };
                let others = others.into_iter().map(End::Node).chain([End::Client]);
                for other in others {
                    network.set(victim, other, quality);
                    network.set(other, victim, quality);
                }
            }
        }
    }

    /// Undoes it: what was killed or has ended starts, what was stopped goes on.
    ///
    /// # Errors
    /// When it cannot be undone.
    pub fn heal(&mut self, kind: Kind, victim: NodeId) -> io::Result<()> {
        if let Some(network) = &self.network {
            network.heal();
        }
        if let Some(ballast) = self.ballast.take() {
            std::fs::remove_file(ballast)?;
        }
        if let Some(mut tracer) = self.tracer.take() {
            sync::relent(&mut tracer)?;
        }
        if kind == Kind::Pause
            && let Some(process) = self.members.process(victim)
        {
            process.resume()?;
        }
        if kind == Kind::Fsync {
            // Nobody may trust files of which a sync has failed, so a new process looks at them.
            self.members.kill(victim)?;
        }
        self.start()
    }
}
