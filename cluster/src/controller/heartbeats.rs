//! Heartbeats, and who comes and goes by them (KIP-631, KIP-841; facts K4, K6).
//!
//! A broker is fenced until a heartbeat says that it has read the metadata up to its own
//! registration. One that wants to stop hands over what it leads; it is let go when it leads
//! nothing that another could lead, and when all others that take part have read so.

use milena_protocol::ids::{BrokerEpoch, NodeId, Offset, Uuid};
use milena_protocol::metadata_record::{BrokerRegistrationChangeRecord, MetadataRecord};

use super::directories::has_lost_all;
use super::machine::{Controller, Decision, Refused};
use super::sessions::Sessions;
use crate::metadata::image::BrokerImage;
use crate::time::Instant;

const FENCE: i8 = 1;
const UNFENCE: i8 = -1;
const STOPS: i8 = 1;

/// What a broker says about itself from time to time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Its id.
    pub id: NodeId,
    /// Its epoch.
    pub epoch: BrokerEpoch,
    /// The last offset of the metadata that it has.
    pub metadata_offset: Offset,
    /// Whether it wants to be fenced.
    pub wants_fence: bool,
    /// Whether it wants to stop.
    pub wants_shut_down: bool,
    /// Its directories that failed (KIP-858).
    pub offline_log_dirs: Vec<Uuid>,
    /// Its directories that shall get no new partitions; nothing where it does not say (KIP-1066).
    pub cordoned_log_dirs: Option<Vec<Uuid>>,
}

impl Heartbeat {
    /// A sign of life that asks for nothing and has read nothing.
    #[must_use]
    pub fn of(id: NodeId, epoch: BrokerEpoch) -> Self {
        Self {
            id,
            epoch,
            metadata_offset: Offset::NONE,
            wants_fence: false,
            wants_shut_down: false,
            offline_log_dirs: Vec::new(),
            cordoned_log_dirs: None,
        }
    }
}

/// The answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    /// Whether it has read its own registration.
    pub is_caught_up: bool,
    /// Whether it is fenced.
    pub is_fenced: bool,
    /// Whether it may stop now.
    pub should_shut_down: bool,
}

/// What becomes of a broker by its heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Stays,
    IsUnfenced,
    IsFenced,
    /// Hands over what it leads.
    BeginsToStop,
    MayStop,
}

impl Controller {
    /// Answers a heartbeat, which the sessions have been told of.
    ///
    /// Directories that failed come first: who leads and follows there is settled before anything
    /// else, which the next heartbeat asks for again.
    #[must_use]
    pub fn heartbeat(
        &self,
        beat: &Heartbeat,
        sessions: &Sessions,
    ) -> Decision<Result<HeartbeatAnswer, Refused>> {
        let broker = match self.registered(beat.id, beat.epoch) {
            Ok(broker) => broker,
            Err(refused) => return Decision { records: Vec::new(), answer: Err(refused) },
        };
        let mut records = self.without_directories(broker, &beat.offline_log_dirs);
        let is_idle = records.is_empty();
        let next = if is_idle { self.next(broker, beat, sessions) } else { Next::Stays };
        records.extend(self.step(broker, next));
        records.extend(self.cordon(broker, beat.cordoned_log_dirs.as_deref()));
        let is_fenced = match next {
            Next::Stays | Next::BeginsToStop => broker.fenced,
            Next::IsUnfenced => false,
            Next::IsFenced | Next::MayStop => true,
        };
        let is_caught_up = has_read_registration(broker, beat);
        let should_shut_down = next == Next::MayStop;
        let answer = HeartbeatAnswer { is_caught_up, is_fenced, should_shut_down };
        Decision { records, answer: Ok(answer) }
    }

    fn next(&self, broker: &BrokerImage, beat: &Heartbeat, sessions: &Sessions) -> Next {
        let is_lost = has_lost_all(broker, &beat.offline_log_dirs);
        let wants_fence = beat.wants_fence || is_lost;
        if broker.fenced {
            // One that began to stop comes back only by registering again.
            let may_return = !broker.in_controlled_shutdown && has_read_registration(broker, beat);
            return match (beat.wants_shut_down, wants_fence) {
                (true, _) => Next::MayStop,
                (false, false) if may_return => Next::IsUnfenced,
                (false, _) => Next::Stays,
            };
        }
        if broker.in_controlled_shutdown {
            let is_done = !self.could_hand_over(beat.id) && sessions.may_stop(beat.id);
            return if is_done { Next::MayStop } else { Next::Stays };
        }
        match (beat.wants_shut_down, wants_fence) {
            (true, false) if self.leads(beat.id) => Next::BeginsToStop,
            (true, _) => Next::MayStop,
            (false, true) => Next::IsFenced,
            (false, false) => Next::Stays,
        }
    }

    fn step(&self, broker: &BrokerImage, next: Next) -> Vec<MetadataRecord> {
        match next {
            Next::Stays => Vec::new(),
            Next::IsUnfenced => self.unfence_broker(broker.id).records,
            Next::IsFenced | Next::MayStop => self.fence_broker(broker.id).records,
            Next::BeginsToStop => {
                let mut records = vec![registration_change(broker, 0, STOPS)];
                records.extend(self.without_broker(broker.id));
                records
            }
        }
    }

    fn leads(&self, id: NodeId) -> bool {
        let mut partitions = self.image.topics().flat_map(|topic| topic.partitions());
        partitions.any(|(_, partition)| partition.leader == id)
    }

    /// Whether a broker leads a partition of which another replica could be the leader.
    fn could_hand_over(&self, id: NodeId) -> bool {
        let mut partitions = self.image.topics().flat_map(|topic| topic.partitions());
        partitions.any(|(_, partition)| {
            let may_lead = |other: &NodeId| *other != id && self.may_lead(partition, *other);
            partition.leader == id && partition.isr.iter().any(may_lead)
        })
    }

    /// Lets a registered broker lead, once it has read the metadata up to its registration. One
    /// that began to stop comes back only by registering again.
    #[must_use]
    pub fn unfence_broker(&self, id: NodeId) -> Decision<()> {
        let mut records = Vec::new();
        let may_return = |broker: &&BrokerImage| broker.fenced && !broker.in_controlled_shutdown;
        if let Some(broker) = self.image.broker(id).filter(may_return) {
            records.push(registration_change(broker, UNFENCE, 0));
            let led = self.with_broker(id).into_iter();
            records.extend(led.map(|record| self.completed(record)));
        }
        Decision { records, answer: () }
    }

    /// Takes a broker out that was not heard of within its session.
    #[must_use]
    pub fn fence_broker(&self, id: NodeId) -> Decision<()> {
        let mut records = Vec::new();
        if let Some(broker) = self.image.broker(id).filter(|broker| !broker.fenced) {
            records.push(registration_change(broker, FENCE, 0));
            records.extend(self.without_broker(id));
        }
        Decision { records, answer: () }
    }

    /// Takes out the broker that has been silent for longest, where its session is over: asked
    /// again, with what was decided replayed and followed, until there is none.
    #[must_use]
    pub fn fence_stale(&self, now: Instant, sessions: &Sessions) -> Decision<Option<NodeId>> {
        let Some(id) = sessions.stale(now) else {
            return Decision { records: Vec::new(), answer: None };
        };
        Decision { records: self.fence_broker(id).records, answer: Some(id) }
    }
}

/// Whether a broker knows that it is registered.
fn has_read_registration(broker: &BrokerImage, beat: &Heartbeat) -> bool {
    beat.metadata_offset.0 >= broker.epoch.0
}

fn registration_change(
    broker: &BrokerImage,
    fenced: i8,
    in_controlled_shutdown: i8,
) -> MetadataRecord {
    MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
        broker_id: broker.id,
        broker_epoch: broker.epoch,
        fenced,
        in_controlled_shutdown,
        ..Default::default()
    })
}
