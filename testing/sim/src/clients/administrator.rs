//! Whoever makes the topics, moves partitions and lets preferred leaders return.

use milena_cluster::controller::reassign::Reassignment;
use milena_cluster::controller::topics::NewTopic;
use milena_cluster::quorum;
use milena_cluster::replica;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, Uuid};

use super::ADMINISTRATOR;
use crate::network::{Ask, Message, Told};
use crate::plan::TopicPlan;
use crate::world::{Event, World};

/// Milliseconds between two attempts.
const INTERVAL: u64 = 100;

/// What the administrator has done so far.
#[derive(Debug, Default)]
pub struct Administrator {
    /// Steps of what makes the cluster ready that are done.
    pub done: usize,
    /// How often it has asked for anything, and the number of the step that it waits for.
    asks: u64,
    awaited: Option<u64>,
}

/// The id of a topic, by its place in the plan.
pub fn topic_id(at: usize) -> Uuid {
    Uuid::from_u128((4711 + at as u128) << 64)
}

fn new_topic(at: usize, plan: &TopicPlan) -> NewTopic {
    let config = |name: &str, value: String| (name.into(), Some(value.as_str().into()));
    let mut configs = vec![config("min.insync.replicas", plan.min_insync.to_string())];
    if plan.is_durable {
        configs.push(config("flush.messages", "1".to_owned()));
    }
    NewTopic {
        name: plan.name.as_str().into(),
        id: topic_id(at),
        partitions: plan.partitions,
        replication_factor: plan.replicas,
        assignments: Vec::new(),
        configs,
    }
}

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// The administrator goes on until everything is made.
    pub fn administer(&mut self) {
        let steps = self.administrator_steps();
        let Some(ask) = steps.get(self.clients.administrator.done) else { return };
        self.ask_as_administrator(ask.clone());
        self.clients.administrator.awaited = Some(self.clients.administrator.asks);
        self.at(INTERVAL, Event::Administer);
    }

    /// Whether everything is made.
    pub fn is_made(&self) -> bool {
        self.clients.administrator.done >= self.administrator_steps().len()
    }

    fn administrator_steps(&self) -> Vec<Ask> {
        let mut steps = Vec::new();
        if self.plan.has_eligible {
            steps.push(Ask::EnableEligible);
        }
        let topics = self.plan.topics.iter().enumerate();
        steps.extend(topics.map(|(at, topic)| Ask::CreateTopic(new_topic(at, topic))));
        steps
    }

    /// Asks some node that believes to be the active controller.
    pub fn ask_as_administrator(&mut self, ask: Ask) {
        let leaders = self.quorum_leaders();
        let Some(leader) = self.rng.pick(&leaders).copied() else { return };
        self.clients.administrator.asks += 1;
        let id = self.clients.administrator.asks;
        self.send(ADMINISTRATOR, leader, None, Message::Ask { id, ask });
    }

    /// The controller answers the administrator.
    pub fn administered(&mut self, number: u64, told: Result<Told, ErrorCode>) {
        let administrator = &mut self.clients.administrator;
        if told.is_ok() && administrator.awaited == Some(number) {
            administrator.done += 1;
            // Another copy of the answer says nothing new.
            administrator.awaited = None;
        }
    }

    /// A partition shall be somewhere else, with as many replicas.
    pub fn move_somewhere(&mut self) {
        let Some(key) = self.any_partition() else { return };
        let newest = self.newest.clone();
        let (Some(topic), Some(partition)) =
            (newest.topic_by_id(key.0), newest.partition(key.0, key.1))
        else {
            return;
        };
        let moved = partition.adding_replicas.len();
        let count = partition.replicas.len().saturating_sub(moved).max(1);
        let mut ids: Vec<NodeId> = newest.brokers().map(|broker| broker.id).collect();
        let mut target = Vec::new();
        while target.len() < count && !ids.is_empty() {
            target.push(ids.swap_remove(self.rng.below(ids.len() as u64) as usize));
        }
        let gives_up = self.rng.chance(200);
        let replicas = (!gives_up && target.len() == count).then_some(target);
        self.met("partition moved");
        self.ask_as_administrator(Ask::Reassign(Reassignment {
            topic: topic.name().clone(),
            partition: key.1,
            replicas,
        }));
    }
}
