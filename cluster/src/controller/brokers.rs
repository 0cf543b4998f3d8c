//! Registration of brokers and controllers (KIP-631, KIP-858, KIP-919; facts K4, K5, D21).
//!
//! A registration makes a new epoch, the offset of its record, unless the same process asks again.
//! What ran under the id before is gone then, so it leads and follows no longer; whether it has
//! everything that it acknowledged says the epoch that the new process found on its disk. Only
//! this node's own broker keeps the partitions that it led alone, since nobody else could lead
//! them, and resumes when it is unfenced.

use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, NodeId, Uuid};
use milena_protocol::metadata_record::{
    MetadataRecord, RegisterBrokerEndpoint, RegisterBrokerFeature, RegisterBrokerRecord,
    RegisterControllerEndpoint, RegisterControllerFeature, RegisterControllerRecord,
    UnregisterBrokerRecord,
};

use super::features::{FeatureRange, KRAFT_VERSION, METADATA_VERSION, ranges};
use super::machine::{Controller, Decision, Refused};
use super::sessions::Sessions;
use crate::metadata::batch::{CONTROLLER_REGISTRATION, DIRECTORIES};
use crate::metadata::image::{BrokerImage, EndpointImage};
use crate::time::Instant;

/// A broker that wants to take part.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Its id.
    pub id: NodeId,
    /// This run of its process.
    pub incarnation_id: Uuid,
    /// The registration before, where nothing that its logs held then has been lost since: the loss
    /// witness says so, or, of Apache Kafka's brokers, a clean stop (KIP-966).
    pub previous_epoch: Option<BrokerEpoch>,
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
    /// What features the broker can run.
    pub features: Vec<FeatureRange>,
    /// Whether it comes from a cluster with ZooKeeper.
    pub is_migrating: bool,
}

/// A controller that makes itself known.
#[derive(Clone, Debug)]
pub struct ControllerRegistration {
    /// Its id.
    pub id: NodeId,
    /// This run of its process.
    pub incarnation_id: Uuid,
    /// Where it listens.
    pub endpoints: Vec<EndpointImage>,
    /// What features it can run.
    pub features: Vec<FeatureRange>,
}

impl Controller {
    /// Registers this node's own broker; it starts fenced. Its epoch is the offset of the
    /// registration, so [`Controller::advance`] must have been told of control records. What ran
    /// here before is gone, so no session of it is waited for.
    #[must_use]
    pub fn register_broker(&self, registration: &Registration) -> Decision<BrokerEpoch> {
        self.register(registration, &ranges())
    }

    /// Registers a broker that asks for it.
    #[must_use]
    pub fn admit_broker(
        &self,
        now: Instant,
        application: &Application,
        sessions: &Sessions,
    ) -> Decision<Result<BrokerEpoch, Refused>> {
        if let Err(refused) = self.check_application(now, application, sessions) {
            return Decision { records: Vec::new(), answer: Err(refused) };
        }
        let Application { registration, features, .. } = application;
        let Decision { records, answer } = self.register(registration, features);
        Decision { records, answer: Ok(answer) }
    }

    /// The process that was registered before another one came with its id.
    fn predecessor(&self, registration: &Registration) -> Option<&BrokerImage> {
        let before = self.image.broker(registration.id)?;
        (before.incarnation_id != registration.incarnation_id).then_some(before)
    }

    fn check_application(
        &self,
        now: Instant,
        application: &Application,
        sessions: &Sessions,
    ) -> Result<(), Refused> {
        let Application { registration, features, .. } = application;
        let id = registration.id;
        let before = self.predecessor(registration);
        if before.is_some_and(|it| sessions.is_live(now, id) && !has_succeeded(application, it)) {
            let message = format!(
                "another broker with id {id} is alive; if it was restarted, its session lapses soon"
            );
            return Err(Refused::new(ErrorCode::DUPLICATE_BROKER_REGISTRATION, message));
        }
        if application.is_migrating {
            let message = "brokers of a cluster with ZooKeeper cannot be registered";
            return Err(Refused::new(ErrorCode::BROKER_ID_NOT_REGISTERED, message));
        }
        if self.image.metadata_version() >= DIRECTORIES {
            self.check_directories(registration)?;
        }
        self.check_features(id, features)
    }

    /// A broker can run every feature at the level that is in force, 0 being off.
    fn check_features(&self, id: NodeId, features: &[FeatureRange]) -> Result<(), Refused> {
        if !features.iter().any(|(name, ..)| name == METADATA_VERSION) {
            let message = format!("the registration says nothing of {METADATA_VERSION}");
            return Err(Refused::new(ErrorCode::INVALID_REGISTRATION, message));
        }
        let offered = features.iter().map(|(name, min, max)| (name.as_str(), *min, *max));
        let silent = self.image.features().map(|(name, _)| name);
        let silent = silent.filter(|name| features.iter().all(|(known, ..)| known != name));
        for (name, min, max) in offered.chain(silent.map(|name| (name, 0, 0))) {
            // The level of the quorum's protocol is in no record that is replayed here.
            let level = self.image.feature(name);
            if name != KRAFT_VERSION && !(min..=max).contains(&level) {
                let message = format!(
                    "broker {id} cannot run {name} at level {level}, but at levels {min} to {max}"
                );
                return Err(Refused::new(ErrorCode::UNSUPPORTED_VERSION, message));
            }
        }
        Ok(())
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
        let mut records = vec![MetadataRecord::RegisterBroker(record)];
        if same.is_none() {
            records.extend(self.after_restart(registration));
        }
        Decision { records, answer: epoch }
    }

    /// What becomes of the partitions of a broker that begins another run. Only the registration
    /// that it had last speaks for its logs: between an earlier one and that others led.
    fn after_restart(&self, registration: &Registration) -> Vec<MetadataRecord> {
        let known = self.image.broker(registration.id).map(|broker| broker.epoch);
        if known.is_some() && known == registration.previous_epoch {
            self.after_lossless_restart(registration.id)
        } else {
            self.after_lossy_restart(registration.id)
        }
    }

    /// Registers a controller, for others to know where it listens and what it can run (KIP-919).
    #[must_use]
    pub fn register_controller(
        &self,
        registration: &ControllerRegistration,
    ) -> Decision<Result<(), Refused>> {
        if self.image.metadata_version() < CONTROLLER_REGISTRATION {
            let message = format!("{METADATA_VERSION} is too old for controllers to register");
            let refused = Refused::new(ErrorCode::UNSUPPORTED_VERSION, message);
            return Decision { records: Vec::new(), answer: Err(refused) };
        }
        let endpoints = registration.endpoints.iter();
        let features = registration.features.iter();
        let record = RegisterControllerRecord {
            controller_id: registration.id,
            incarnation_id: registration.incarnation_id,
            zk_migration_ready: false,
            end_points: endpoints
                .map(|endpoint| RegisterControllerEndpoint {
                    name: endpoint.name.clone(),
                    host: endpoint.host.clone(),
                    port: endpoint.port,
                    security_protocol: endpoint.security_protocol,
                })
                .collect(),
            features: features
                .map(|(name, min, max)| RegisterControllerFeature {
                    name: name.clone(),
                    min_supported_version: *min,
                    max_supported_version: *max,
                })
                .collect(),
        };
        Decision { records: vec![record.into()], answer: Ok(()) }
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

/// Whether a process shows that the one that is registered is gone, so that nobody need wait for
/// its session: it has opened a directory that the other kept locked while it ran, and has found
/// there the epoch of the other.
fn has_succeeded(application: &Application, before: &BrokerImage) -> bool {
    let mut directories = application.registration.log_dirs.iter();
    application.registration.previous_epoch == Some(before.epoch)
        && directories.any(|directory| before.log_dirs.contains(directory))
}
