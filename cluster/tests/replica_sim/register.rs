//! The controller as one register: it decides at once, and what it decided is committed. Its log
//! is a quorum's, which has a simulation of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use milena_cluster::configs::Values;
use milena_cluster::controller::brokers::{Application, Registration};
use milena_cluster::controller::features::{SUPPORTED, bootstrap};
use milena_cluster::controller::heartbeats::{Heartbeat, HeartbeatAnswer};
use milena_cluster::controller::topics::NewTopic;
use milena_cluster::controller::{Controller, Decision, Refused, Sessions};
use milena_cluster::metadata::image::{MetadataImage, PartitionImage};
use milena_cluster::time::Instant;
use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, NodeId, PartitionIndex, Uuid};
use milena_protocol::metadata_record::{MetadataRecord, PartitionChangeRecord};

use crate::broker::incarnation;
use crate::bugs::Bug;
use crate::plan::Plan;

/// The topic, and its one partition.
pub const TOPIC: Uuid = Uuid::from_u128(4711 << 64);
pub const INDEX: PartitionIndex = PartitionIndex(0);
/// Nobody is silent for too long by the controller's own clock.
const NOW: Instant = Instant(0);
const CONTROLLER_EPOCH: LeaderEpoch = LeaderEpoch(1);
/// The leader of a record that leaves it as it is.
const UNCHANGED: NodeId = NodeId(-2);

/// The controller.
pub struct Register {
    machine: Controller,
    bug: Bug,
    /// What it knows of those that stop; who is silent the world says.
    sessions: Sessions,
    /// When each broker was last heard of.
    pub heard_at: BTreeMap<NodeId, u64>,
    /// Who led last, for the bug that does not begin an epoch when it comes back.
    last_leader: NodeId,
}

impl Register {
    /// All brokers registered, and the topic made.
    pub fn new(plan: &Plan, bug: Bug) -> Self {
        let machine = Controller::new(NodeId(100), Values::new(), MetadataImage::default());
        let sessions = Sessions::begin(NOW, machine.session_timeout(), machine.image());
        let (heard_at, last_leader) = (BTreeMap::new(), NodeId::NONE);
        let mut register = Self { machine, bug, sessions, heard_at, last_leader };
        let records = if plan.has_eligible {
            bootstrap(&Values::new())
        } else {
            crate::beginning::without_eligible()
        };
        register.decide(|_| Decision { records, answer: () });
        for id in 1..=plan.brokers {
            let first = incarnation(NodeId(id), 1);
            register.register(NodeId(id), first, None).expect("nothing speaks against it");
            register.decide(|machine| machine.unfence_broker(NodeId(id)));
        }
        register.decide(|machine| machine.create_topics(&[topic(plan)], false));
        register.last_leader = register.partition().leader;
        register
    }

    /// The metadata as it is now.
    pub fn image(&self) -> Arc<MetadataImage> {
        Arc::new(self.machine.image().clone())
    }

    /// The partition as it is now.
    pub fn partition(&self) -> &PartitionImage {
        self.machine.image().partition(TOPIC, INDEX).expect("the partition is there")
    }

    /// Whether a broker is registered and not fenced.
    pub fn is_live(&self, id: NodeId) -> bool {
        self.machine.image().is_live(id)
    }

    /// The registration of a broker.
    pub fn epoch_of(&self, id: NodeId) -> Option<BrokerEpoch> {
        self.machine.image().broker(id).map(|broker| broker.epoch)
    }

    /// Decides; answers what was decided and whether anything changed.
    pub fn decide<A>(&mut self, decide: impl FnOnce(&Controller) -> Decision<A>) -> (A, bool) {
        let Decision { records, answer } = decide(&self.machine);
        for record in &records {
            self.replay(record);
        }
        if self.bug == Bug::ElectedOutsideIsr && !records.is_empty() {
            self.elect_anybody();
        }
        self.sessions.follow(NOW, self.machine.image());
        (answer, !records.is_empty())
    }

    /// Takes a heartbeat; answers as [`Register::decide`].
    pub fn hear(&mut self, beat: &Heartbeat) -> (Result<HeartbeatAnswer, Refused>, bool) {
        self.sessions.heard(NOW, beat.id, beat.epoch, beat.metadata_offset);
        let sessions = self.sessions.clone();
        self.decide(|machine| machine.heartbeat(beat, &sessions))
    }

    fn replay(&mut self, record: &MetadataRecord) {
        let at = self.machine.image().offset().plus(1);
        let records = [self.spoiled(record).unwrap_or_else(|| record.clone())];
        self.machine.replay(at, CONTROLLER_EPOCH, &records).expect("it was just decided");
        self.machine.check_invariants();
    }

    /// A bug: the leader of before comes back in the epoch that it led in.
    fn spoiled(&mut self, record: &MetadataRecord) -> Option<MetadataRecord> {
        let MetadataRecord::PartitionChange(change) = record else { return None };
        if change.leader == UNCHANGED {
            return None;
        }
        let is_same = change.leader == NodeId::NONE || change.leader == self.last_leader;
        if change.leader != NodeId::NONE {
            self.last_leader = change.leader;
        }
        if self.bug != Bug::RestartKeepsEpoch || !is_same {
            return None;
        }
        let epoch = self.partition().leader_epoch;
        let mut after = self.machine.image().clone();
        after.replay(after.offset().plus(1), CONTROLLER_EPOCH, record).expect("just decided");
        let changed = after.partition(TOPIC, INDEX).expect("the partition is there");
        let kept = PartitionImage { leader_epoch: epoch, ..changed.clone() };
        Some(MetadataRecord::Partition(kept.to_record(TOPIC, INDEX)))
    }

    /// A bug: whoever is active leads, as if it had everything.
    fn elect_anybody(&mut self) {
        let Some(partition) = self.machine.image().partition(TOPIC, INDEX) else { return };
        let active = |id: &&NodeId| self.machine.image().is_live(**id);
        let anybody = partition.replicas.iter().find(active).copied();
        if let (NodeId::NONE, Some(leader)) = (partition.leader, anybody) {
            self.replay(&MetadataRecord::PartitionChange(PartitionChangeRecord {
                partition_id: INDEX,
                topic_id: TOPIC,
                isr: Some(vec![leader]),
                leader,
                eligible_leader_replicas: Some(Vec::new()),
                last_known_elr: Some(Vec::new()),
                ..Default::default()
            }));
        }
    }

    /// Registers a run of a broker.
    pub fn register(
        &mut self,
        id: NodeId,
        incarnation_id: Uuid,
        previous_epoch: Option<BrokerEpoch>,
    ) -> Result<BrokerEpoch, Refused> {
        let registration = Registration {
            id,
            incarnation_id,
            previous_epoch,
            endpoints: Vec::new(),
            rack: None,
            log_dirs: vec![Uuid::from_u128(1000 + id.0 as u128)],
        };
        let features = SUPPORTED.iter().map(|it| (it.name.into(), it.min_level, it.max_level));
        let application =
            Application { registration, features: features.collect(), is_migrating: false };
        // The connection of the run before is closed, so its session is over.
        self.sessions.expire(id);
        let sessions = self.sessions.clone();
        let keeps_place = self.bug == Bug::LossyRestartKept;
        let (answer, _) = self.decide(|machine| {
            let mut decision = machine.admit_broker(NOW, &application, &sessions);
            if keeps_place {
                decision.records.truncate(1);
            }
            decision
        });
        answer
    }
}

fn topic(plan: &Plan) -> NewTopic {
    let config = |name: &str, value: String| (name.into(), Some(value.as_str().into()));
    let mut configs = vec![
        config("min.insync.replicas", plan.min_insync.to_string()),
        config("unclean.leader.election.enable", plan.is_unclean.to_string()),
    ];
    if plan.is_durable {
        configs.push(config("flush.messages", "1".to_owned()));
    }
    NewTopic {
        name: "t".into(),
        id: TOPIC,
        partitions: -1,
        replication_factor: -1,
        assignments: vec![(INDEX, (1..=plan.brokers).map(NodeId).collect())],
        configs,
    }
}
