//! Those who use the cluster: producers, consumers, members of groups, and an administrator.

mod administrator;
mod committer;
mod consumer;
mod member;
mod producer;
mod transactional;

use milena_cluster::quorum;
use milena_cluster::replica;
use milena_protocol::ids::NodeId;

use crate::host::Key;
use crate::network::FIRST_CLIENT;
use crate::plan::Plan;
use crate::simulation::rng::Rng;
use crate::world::{Event, World};
pub use administrator::Administrator;
pub use committer::Committer;
pub use consumer::Consumer;
pub use member::Member;
pub use producer::Producer;
pub use transactional::Transactional;

/// The administrator, as one end of a message's way.
pub const ADMINISTRATOR: NodeId = NodeId(FIRST_CLIENT);
/// Milliseconds until a client does not wait for an answer any more.
pub const PATIENCE: u64 = 400;

/// All clients.
pub struct Clients {
    pub administrator: Administrator,
    pub producers: Vec<Producer>,
    pub consumers: Vec<Consumer>,
    pub committers: Vec<Committer>,
    pub transactional: Vec<Transactional>,
    pub members: Vec<Member>,
}

/// A producer's or a consumer's place in the network, and back.
pub fn address(kind: usize, index: usize) -> NodeId {
    NodeId(FIRST_CLIENT + 100 * (kind as i32 + 1) + index as i32)
}

fn kind(address: NodeId) -> usize {
    ((address.0 - FIRST_CLIENT) / 100 - 1) as usize
}

fn index(address: NodeId, kind: usize) -> usize {
    (address.0 - FIRST_CLIENT - 100 * (kind as i32 + 1)) as usize
}

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// The clients begin.
    pub fn begin_clients(&mut self) {
        self.at(300, Event::Administer);
        for index in 0..self.clients.producers.len() {
            self.at(1_000, Event::GoOn(address(producer::KIND, index)));
        }
        for index in 0..self.clients.consumers.len() {
            self.at(1_500, Event::GoOn(address(consumer::KIND, index)));
        }
        for index in 0..self.clients.committers.len() {
            self.at(1_000, Event::GoOn(address(committer::KIND, index)));
        }
        for index in 0..self.clients.transactional.len() {
            self.at(1_000, Event::GoOn(address(transactional::KIND, index)));
        }
        for index in 0..self.clients.members.len() {
            self.at(1_000, Event::GoOn(address(member::KIND, index)));
        }
    }

    /// A client goes on.
    pub fn go_on(&mut self, client: NodeId) {
        match kind(client) {
            producer::KIND => self.produce_next(index(client, producer::KIND)),
            consumer::KIND => self.consume_next(index(client, consumer::KIND)),
            committer::KIND => self.commit_next(index(client, committer::KIND)),
            transactional::KIND => self.transact_next(index(client, transactional::KIND)),
            _ => self.member_next(index(client, member::KIND)),
        }
    }

    /// Some partition, as somebody knows them, and who leads it as far as that one knows: metadata
    /// comes from any broker, and may be old.
    pub fn known_leader(&mut self, key: Key) -> Option<NodeId> {
        let brokers: Vec<NodeId> = self
            .hosts
            .values()
            .filter(|host| host.broker().is_some_and(|broker| broker.registered.is_some()))
            .map(|host| host.id)
            .collect();
        let asked = *self.rng.pick(&brokers)?;
        let image = &self.host(asked).broker()?.image;
        let leader = image.partition(key.0, key.1)?.leader;
        (leader != NodeId::NONE).then_some(leader)
    }

    /// Some partition that there is.
    pub fn any_partition(&mut self) -> Option<Key> {
        let newest = &self.newest;
        let keys: Vec<Key> = newest
            .topics()
            .flat_map(|topic| topic.partitions().map(|(index, _)| (topic.id(), index)))
            .collect();
        self.rng.pick(&keys).copied()
    }
}

impl Clients {
    /// As many as the plan says.
    pub fn new(plan: &Plan, rng: &mut Rng) -> Self {
        Self {
            administrator: Administrator::default(),
            producers: (0..plan.producers).map(|_| Producer::new(rng.draw())).collect(),
            consumers: (0..plan.consumers).map(|_| Consumer::default()).collect(),
            committers: (0..plan.committers).map(|_| Committer::default()).collect(),
            transactional: (0..plan.transactional_ids * plan.rivals)
                .map(|at| Transactional::new(at % plan.transactional_ids, plan, rng))
                .collect(),
            // Groups of the two protocols by turns.
            members: (0..plan.groups * plan.members)
                .map(|at| at % plan.groups + plan.first_group)
                .map(|group| Member::new(group, group % 2 == 0))
                .collect(),
        }
    }
}
