//! Registration and fencing of brokers.

use milena_protocol::ids::{BrokerEpoch, NodeId, Uuid};
use milena_protocol::metadata_record::MetadataRecord;
use milena_protocol::metadata_record::{
    BrokerRegistrationChangeRecord, RegisterBrokerEndpoint, RegisterBrokerFeature,
    RegisterBrokerRecord,
};

use super::{Controller, Decision};
use crate::controller::features::SUPPORTED;
use crate::metadata::image::EndpointImage;

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
    pub rack: Option<milena_protocol::codec::Text>,
    /// Its log directories.
    pub log_dirs: Vec<Uuid>,
}

impl Controller {
    /// Registers a broker; it starts fenced. Its epoch is the offset of the registration.
    #[must_use]
    pub fn register_broker(&self, registration: &Registration) -> Decision<BrokerEpoch> {
        let epoch = BrokerEpoch(self.image.offset().0 + 1);
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
            features: SUPPORTED
                .iter()
                .map(|feature| RegisterBrokerFeature {
                    name: feature.name.into(),
                    min_supported_version: feature.min_level,
                    max_supported_version: feature.max_level,
                })
                .collect(),
            rack: registration.rack.clone(),
            fenced: true,
            log_dirs: registration.log_dirs.clone(),
            ..Default::default()
        };
        Decision { records: vec![MetadataRecord::RegisterBroker(record)], answer: epoch }
    }

    /// Lets a registered broker lead, once it has read the metadata up to its registration.
    #[must_use]
    pub fn unfence_broker(&self, id: NodeId) -> Decision<()> {
        let records = self
            .image
            .broker(id)
            .filter(|broker| broker.fenced)
            .map(|broker| {
                MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
                    broker_id: id,
                    broker_epoch: broker.epoch,
                    fenced: -1,
                    ..Default::default()
                })
            })
            .into_iter()
            .collect();
        Decision { records, answer: () }
    }
}
