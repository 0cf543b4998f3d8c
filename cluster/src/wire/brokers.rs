//! BrokerRegistration (62), BrokerHeartbeat (63), UnregisterBroker (64), AllocateProducerIds (67)
//! and ControllerRegistration (70).

use milena_protocol::api::allocate_producer_ids::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse,
};
use milena_protocol::api::broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};
use milena_protocol::api::broker_registration::{
    BrokerRegistrationFeature, BrokerRegistrationListener, BrokerRegistrationRequest,
    BrokerRegistrationResponse,
};
use milena_protocol::api::controller_registration::{
    ControllerRegistrationFeature, ControllerRegistrationListener, ControllerRegistrationRequest,
    ControllerRegistrationResponse,
};
use milena_protocol::api::unregister_broker::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, NodeId, ProducerId};

use super::decided::{Decided, checked, sentence};
use crate::controller::brokers::{Application, ControllerRegistration, Registration};
use crate::controller::heartbeats::{Heartbeat, HeartbeatAnswer};
use crate::controller::{Controller, Decision, Refused, Sessions};
use crate::metadata::image::EndpointImage;
use crate::time::Now;

const NO_EPOCH: BrokerEpoch = BrokerEpoch(-1);

impl Application {
    /// The application that a request is.
    #[must_use]
    pub fn of(request: &BrokerRegistrationRequest) -> Self {
        let endpoint = |it: &BrokerRegistrationListener| EndpointImage {
            name: it.name.clone(),
            host: it.host.clone(),
            port: it.port,
            security_protocol: it.security_protocol,
        };
        let range = |it: &BrokerRegistrationFeature| {
            (it.name.clone(), it.min_supported_version, it.max_supported_version)
        };
        let previous_epoch = request.previous_broker_epoch;
        Self {
            registration: Registration {
                id: request.broker_id,
                incarnation_id: request.incarnation_id,
                previous_epoch: (previous_epoch != NO_EPOCH).then_some(previous_epoch),
                endpoints: request.listeners.iter().map(endpoint).collect(),
                rack: request.rack.clone(),
                log_dirs: request.log_dirs.clone(),
            },
            features: request.features.iter().map(range).collect(),
            is_migrating: request.is_migrating_zk_broker,
        }
    }

    /// The request that applies in a cluster.
    #[must_use]
    pub fn to_request(&self, cluster_id: &Text) -> BrokerRegistrationRequest {
        let listener = |it: &EndpointImage| BrokerRegistrationListener {
            name: it.name.clone(),
            host: it.host.clone(),
            port: it.port,
            security_protocol: it.security_protocol,
        };
        let feature = |(name, min, max): &(Text, i16, i16)| BrokerRegistrationFeature {
            name: name.clone(),
            min_supported_version: *min,
            max_supported_version: *max,
        };
        let registration = &self.registration;
        BrokerRegistrationRequest {
            broker_id: registration.id,
            cluster_id: cluster_id.clone(),
            incarnation_id: registration.incarnation_id,
            listeners: registration.endpoints.iter().map(listener).collect(),
            features: self.features.iter().map(feature).collect(),
            rack: registration.rack.clone(),
            is_migrating_zk_broker: self.is_migrating,
            log_dirs: registration.log_dirs.clone(),
            previous_broker_epoch: registration.previous_epoch.unwrap_or(NO_EPOCH),
        }
    }
}

impl Decided for BrokerRegistrationRequest {
    type Answer = BrokerEpoch;

    fn ask(
        &self,
        now: Now,
        controller: &Controller,
        sessions: &mut Sessions,
    ) -> Decision<Result<BrokerEpoch, Refused>> {
        controller.admit_broker(now.instant, &Application::of(self), sessions)
    }

    fn tell(&self, broker_epoch: BrokerEpoch) -> BrokerRegistrationResponse {
        BrokerRegistrationResponse { broker_epoch, ..Default::default() }
    }

    fn refuse(refused: Refused) -> BrokerRegistrationResponse {
        BrokerRegistrationResponse { error_code: refused.code, ..Default::default() }
    }
}

/// The epoch that a broker was registered with.
///
/// # Errors
/// What the controller answers.
pub fn broker_epoch(response: &BrokerRegistrationResponse) -> Result<BrokerEpoch, ErrorCode> {
    checked(response.error_code, response.broker_epoch)
}

impl Heartbeat {
    /// The heartbeat in a request.
    #[must_use]
    pub fn in_request(request: &BrokerHeartbeatRequest) -> Self {
        Self {
            id: request.broker_id,
            epoch: request.broker_epoch,
            metadata_offset: request.current_metadata_offset,
            wants_fence: request.want_fence,
            wants_shut_down: request.want_shut_down,
            offline_log_dirs: request.offline_log_dirs.clone(),
            cordoned_log_dirs: request.cordoned_log_dirs.clone(),
        }
    }

    /// The request that carries it.
    #[must_use]
    pub fn to_request(&self) -> BrokerHeartbeatRequest {
        BrokerHeartbeatRequest {
            broker_id: self.id,
            broker_epoch: self.epoch,
            current_metadata_offset: self.metadata_offset,
            want_fence: self.wants_fence,
            want_shut_down: self.wants_shut_down,
            offline_log_dirs: self.offline_log_dirs.clone(),
            cordoned_log_dirs: self.cordoned_log_dirs.clone(),
        }
    }
}

impl HeartbeatAnswer {
    /// The answer in a response.
    ///
    /// # Errors
    /// What the controller answers.
    pub fn in_response(response: &BrokerHeartbeatResponse) -> Result<Self, ErrorCode> {
        let answer = Self {
            is_caught_up: response.is_caught_up,
            is_fenced: response.is_fenced,
            should_shut_down: response.should_shut_down,
        };
        checked(response.error_code, answer)
    }
}

impl Decided for BrokerHeartbeatRequest {
    type Answer = HeartbeatAnswer;

    /// The sessions are told first: a broker that is refused for what it asks lives all the same.
    fn ask(
        &self,
        now: Now,
        controller: &Controller,
        sessions: &mut Sessions,
    ) -> Decision<Result<HeartbeatAnswer, Refused>> {
        let beat = Heartbeat::in_request(self);
        sessions.heard(now.instant, beat.id, beat.epoch, beat.metadata_offset);
        controller.heartbeat(&beat, sessions)
    }

    fn tell(&self, answer: HeartbeatAnswer) -> BrokerHeartbeatResponse {
        BrokerHeartbeatResponse {
            is_caught_up: answer.is_caught_up,
            is_fenced: answer.is_fenced,
            should_shut_down: answer.should_shut_down,
            ..Default::default()
        }
    }

    fn refuse(refused: Refused) -> BrokerHeartbeatResponse {
        BrokerHeartbeatResponse { error_code: refused.code, ..Default::default() }
    }
}

impl Decided for UnregisterBrokerRequest {
    type Answer = ();

    fn ask(
        &self,
        _: Now,
        controller: &Controller,
        _: &mut Sessions,
    ) -> Decision<Result<(), Refused>> {
        controller.unregister_broker(self.broker_id)
    }

    fn tell(&self, (): ()) -> UnregisterBrokerResponse {
        UnregisterBrokerResponse::default()
    }

    fn refuse(refused: Refused) -> UnregisterBrokerResponse {
        let error_message = sentence(&refused);
        UnregisterBrokerResponse { error_code: refused.code, error_message, ..Default::default() }
    }
}

/// The request for a block of producer ids (KIP-730).
#[must_use]
pub fn producer_ids_request(
    broker_id: NodeId,
    broker_epoch: BrokerEpoch,
) -> AllocateProducerIdsRequest {
    AllocateProducerIdsRequest { broker_id, broker_epoch }
}

/// The block that was given: its first id and its end.
///
/// # Errors
/// What the controller answers; UNKNOWN_SERVER_ERROR for a block that is none.
pub fn producer_ids(response: &AllocateProducerIdsResponse) -> Result<(i64, i64), ErrorCode> {
    let first = response.producer_id_start.0;
    let end = first.checked_add(i64::from(response.producer_id_len));
    let block = end.filter(|end| first >= 0 && *end > first).map(|end| (first, end));
    checked(response.error_code, block)?.ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)
}

impl Decided for AllocateProducerIdsRequest {
    type Answer = (i64, i64);

    fn ask(
        &self,
        _: Now,
        controller: &Controller,
        _: &mut Sessions,
    ) -> Decision<Result<(i64, i64), Refused>> {
        controller.allocate_producer_ids_to(self.broker_id, self.broker_epoch)
    }

    fn tell(&self, (first, end): (i64, i64)) -> AllocateProducerIdsResponse {
        AllocateProducerIdsResponse {
            producer_id_start: ProducerId(first),
            producer_id_len: i32::try_from(end.saturating_sub(first)).unwrap_or(i32::MAX),
            ..Default::default()
        }
    }

    fn refuse(refused: Refused) -> AllocateProducerIdsResponse {
        AllocateProducerIdsResponse { error_code: refused.code, ..Default::default() }
    }
}

impl ControllerRegistration {
    /// The registration that a request asks for.
    #[must_use]
    pub fn of(request: &ControllerRegistrationRequest) -> Self {
        let endpoint = |it: &ControllerRegistrationListener| EndpointImage {
            name: it.name.clone(),
            host: it.host.clone(),
            port: it.port,
            security_protocol: it.security_protocol,
        };
        let range = |it: &ControllerRegistrationFeature| {
            (it.name.clone(), it.min_supported_version, it.max_supported_version)
        };
        Self {
            id: request.controller_id,
            incarnation_id: request.incarnation_id,
            endpoints: request.listeners.iter().map(endpoint).collect(),
            features: request.features.iter().map(range).collect(),
        }
    }

    /// The request for it.
    #[must_use]
    pub fn to_request(&self) -> ControllerRegistrationRequest {
        let listener = |it: &EndpointImage| ControllerRegistrationListener {
            name: it.name.clone(),
            host: it.host.clone(),
            port: it.port,
            security_protocol: it.security_protocol,
        };
        let feature = |(name, min, max): &(Text, i16, i16)| ControllerRegistrationFeature {
            name: name.clone(),
            min_supported_version: *min,
            max_supported_version: *max,
        };
        ControllerRegistrationRequest {
            controller_id: self.id,
            incarnation_id: self.incarnation_id,
            zk_migration_ready: false,
            listeners: self.endpoints.iter().map(listener).collect(),
            features: self.features.iter().map(feature).collect(),
        }
    }
}

impl Decided for ControllerRegistrationRequest {
    type Answer = ();

    fn ask(
        &self,
        _: Now,
        controller: &Controller,
        _: &mut Sessions,
    ) -> Decision<Result<(), Refused>> {
        controller.register_controller(&ControllerRegistration::of(self))
    }

    fn tell(&self, (): ()) -> ControllerRegistrationResponse {
        ControllerRegistrationResponse::default()
    }

    fn refuse(refused: Refused) -> ControllerRegistrationResponse {
        ControllerRegistrationResponse {
            error_code: refused.code,
            error_message: sentence(&refused),
            ..Default::default()
        }
    }
}
