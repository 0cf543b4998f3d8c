//! Registration, heartbeats and fencing of brokers (KIP-631, facts K4–K6, D21).
//!
//! A broker is fenced until a heartbeat says that it has read the metadata up to its own
//! registration. A fenced broker leads nothing, with one exception: a broker that registers again
//! keeps the partitions that it led alone, since nobody else could lead them, and resumes when it
//! is unfenced.

use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, NodeId, Offset, Uuid};
use milena_protocol::metadata_record::{
    BrokerRegistrationChangeRecord, MetadataRecord, RegisterBrokerEndpoint, RegisterBrokerFeature,
    RegisterBrokerRecord, UnregisterBrokerRecord,
};

use super::features::SUPPORTED;
use super::machine::{Controller, Decision, Refused};
use crate::metadata::image::{BrokerImage, EndpointImage};

const FENCE: i8 = 1;
const UNFENCE: i8 = -1;

/// A broker that wants to take part.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Its id.
    pub id: NodeId,
    /// This run of its process.
    pub incarnation_id: Uuid,
    /// Where it listens.
    pub endpoints: Vec<EndpointImage>,
    /// Its rack.
    pub rack: Option<Text>,
    /// Its log directories.
    pub log_dirs: Vec<Uuid>,
}

/// A registration that came over the network and has to be checked.
#[derive(Clone, Debug)]
pub struct Application {
    /// The registration.
    pub registration: Registration,
    /// The lowest and highest level of each feature that the broker can run at.
    pub features: Vec<(Text, i16, i16)>,
    /// Whether another incarnation of the same id was heard of within its session.
    pub has_live_session: bool,
}

/// What a broker says about itself from time to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl Application {
    /// A broker of this version, of which nothing else is alive.
    #[must_use]
    pub fn of_this_version(registration: Registration) -> Self {
        let features = SUPPORTED
            .iter()
            .map(|feature| (feature.name.into(), feature.min_level, feature.max_level))
            .collect();
        Self { registration, features, has_live_session: false }
    }
}

impl Controller {
    /// Registers this node's own broker; it starts fenced. Its epoch is the offset of the
    /// registration, so [`Controller::advance`] must have been told of control records. What ran
    /// here before is gone, so no session of it is waited for.
    #[must_use]
    pub fn register_broker(&self, registration: &Registration) -> Decision<BrokerEpoch> {
        let features = SUPPORTED
            .iter()
            .map(|feature| (feature.name.into(), feature.min_level, feature.max_level))
            .collect::<Vec<_>>();
        self.register(registration, &features)
    }

    /// Registers a broker that asks for it.
    #[must_use]
    pub fn admit_broker(
        &self,
        application: &Application,
    ) -> Decision<Result<BrokerEpoch, Refused>> {
        match self.check_application(application) {
            Ok(()) => {
                let Application { registration, features, .. } = application;
                let Decision { records, answer } = self.register(registration, features);
                Decision { records, answer: Ok(answer) }
            }
            Err(refused) => Decision { records: Vec::new(), answer: Err(refused) },
        }
    }

    fn check_application(&self, application: &Application) -> Result<(), Refused> {
        let Application { registration, features, has_live_session } = application;
        let id = registration.id;
        let is_other = |broker: &BrokerImage| broker.incarnation_id != registration.incarnation_id;
        if *has_live_session && self.image.broker(id).is_some_and(is_other) {
            let message = format!("another broker with id {id} is alive");
            return Err(Refused::new(ErrorCode::DUPLICATE_BROKER_REGISTRATION, message));
        }
        for (name, level) in self.image.features() {
            let range = features.iter().find(|(feature, _, _)| feature == name);
            if !range.is_some_and(|(_, min, max)| (*min..=*max).contains(&level)) {
                let message = format!("broker {id} cannot run {name} at level {level}");
                return Err(Refused::new(ErrorCode::UNSUPPORTED_VERSION, message));
            }
        }
        self.check_directories(registration)
    }

    fn check_directories(&self, registration: &Registration) -> Result<(), Refused> {
        let invalid = |message: String| Err(Refused::new(ErrorCode::INVALID_REGISTRATION, message));
        let directories = &registration.log_dirs;
        if directories.is_empty() {
            return invalid("a broker has at least one log directory".into());
        }
        for (at, directory) in directories.iter().enumerate() {
            if directory.is_reserved() || directories.iter().take(at).any(|it| it == directory) {
                return invalid(format!("directory id {directory} is reserved or named twice"));
            }
            let owner = self.image.brokers().find(|broker| broker.log_dirs.contains(directory));
            if let Some(owner) = owner.filter(|owner| owner.id != registration.id) {
                return invalid(format!("directory {directory} belongs to broker {}", owner.id));
            }
        }
        Ok(())
    }

    fn register(
        &self,
        registration: &Registration,
        features: &[(Text, i16, i16)],
    ) -> Decision<BrokerEpoch> {
        let existing = self.image.broker(registration.id);
        let same = existing.filter(|it| it.incarnation_id == registration.incarnation_id);
        let epoch = match same {
            Some(broker) => broker.epoch,
            None => BrokerEpoch(self.image.offset().0 + 1),
        };
        let record = RegisterBrokerRecord {
            broker_id: registration.id,
            incarnation_id: registration.incarnation_id,
            broker_epoch: epoch,
            end_points: registration
                .endpoints
                .iter()
                .map(|endpoint| RegisterBrokerEndpoint {
                    name: endpoint.name.clone(),
                    host: endpoint.host.clone(),
                    port: endpoint.port,
                    security_protocol: endpoint.security_protocol,
                })
                .collect(),
            features: features
                .iter()
                .map(|(name, min, max)| RegisterBrokerFeature {
                    name: name.clone(),
                    min_supported_version: *min,
                    max_supported_version: *max,
                })
                .collect(),
            rack: registration.rack.clone(),
            fenced: same.is_none_or(|broker| broker.fenced),
            in_controlled_shutdown: same.is_some_and(|broker| broker.in_controlled_shutdown),
            log_dirs: registration.log_dirs.clone(),
            ..Default::default()
        };
        Decision { records: vec![MetadataRecord::RegisterBroker(record)], answer: epoch }
    }

    /// Lets a registered broker lead, once it has read the metadata up to its registration. One
    /// that began to stop comes back only by registering again.
    #[must_use]
    pub fn unfence_broker(&self, id: NodeId) -> Decision<()> {
        let mut records = Vec::new();
        let may_return = |broker: &&BrokerImage| broker.fenced && !broker.in_controlled_shutdown;
        if let Some(broker) = self.image.broker(id).filter(may_return) {
            records.push(registration_change(broker, UNFENCE, 0));
            records.extend(self.with_broker(id));
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

    /// Answers a heartbeat: unfences who has caught up, fences who wants it, and lets go who wants
    /// to stop once it leads nothing that another could.
    #[must_use]
    pub fn heartbeat(&self, beat: Heartbeat) -> Decision<Result<HeartbeatAnswer, Refused>> {
        let broker = match self.registered(beat.id, beat.epoch) {
            Ok(broker) => broker,
            Err(refused) => return Decision { records: Vec::new(), answer: Err(refused) },
        };
        let is_caught_up = beat.metadata_offset.0 >= beat.epoch.0;
        let mut records = Vec::new();
        let (mut is_fenced, mut should_shut_down) = (broker.fenced, false);
        if beat.wants_shut_down {
            if broker.is_active() {
                records.push(registration_change(broker, 0, 1));
                records.extend(self.without_broker(beat.id));
            } else {
                should_shut_down = true;
            }
        } else if beat.wants_fence {
            records = self.fence_broker(beat.id).records;
            is_fenced = true;
        } else if broker.fenced && is_caught_up {
            records = self.unfence_broker(beat.id).records;
            is_fenced = records.is_empty();
        }
        let answer = HeartbeatAnswer { is_caught_up, is_fenced, should_shut_down };
        Decision { records, answer: Ok(answer) }
    }

    /// Forgets a broker; one that lives comes back only by registering again.
    #[must_use]
    pub fn unregister_broker(&self, id: NodeId) -> Decision<Result<(), Refused>> {
        let Some(broker) = self.image.broker(id) else {
            let message = format!("broker {id} is not registered");
            let refused = Refused::new(ErrorCode::BROKER_ID_NOT_REGISTERED, message);
            return Decision { records: Vec::new(), answer: Err(refused) };
        };
        let mut records = self.without_broker(id);
        records.push(MetadataRecord::UnregisterBroker(UnregisterBrokerRecord {
            broker_id: id,
            broker_epoch: broker.epoch,
        }));
        Decision { records, answer: Ok(()) }
    }
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
