//! What a broker says to the active controller, as Kafka's APIs carry it.

use milena_cluster::controller::brokers::{Heartbeat, HeartbeatAnswer, Registration};
use milena_cluster::controller::features::SUPPORTED;
use milena_protocol::api::broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};
use milena_protocol::api::broker_registration::{
    BrokerRegistrationFeature, BrokerRegistrationListener, BrokerRegistrationRequest,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::BrokerEpoch;

/// A registration. `previous_epoch` is that of the run before, where nothing of it is lost.
pub(super) fn registration(
    registration: &Registration,
    cluster_id: &str,
    previous_epoch: BrokerEpoch,
) -> BrokerRegistrationRequest {
    let listeners = registration.endpoints.iter().map(|endpoint| BrokerRegistrationListener {
        name: endpoint.name.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol,
    });
    let features = SUPPORTED.iter().map(|feature| BrokerRegistrationFeature {
        name: feature.name.into(),
        min_supported_version: feature.min_level,
        max_supported_version: feature.max_level,
    });
    BrokerRegistrationRequest {
        broker_id: registration.id,
        cluster_id: cluster_id.into(),
        incarnation_id: registration.incarnation_id,
        listeners: listeners.collect(),
        features: features.collect(),
        rack: registration.rack.clone(),
        log_dirs: registration.log_dirs.clone(),
        previous_broker_epoch: previous_epoch,
        ..Default::default()
    }
}

/// A heartbeat.
pub(super) fn heartbeat(beat: &Heartbeat) -> BrokerHeartbeatRequest {
    BrokerHeartbeatRequest {
        broker_id: beat.id,
        broker_epoch: beat.epoch,
        current_metadata_offset: beat.metadata_offset,
        want_fence: beat.wants_fence,
        want_shut_down: beat.wants_shut_down,
        ..Default::default()
    }
}

/// What the controller answers to one.
pub(super) fn heartbeat_answer(
    answer: &BrokerHeartbeatResponse,
) -> Result<HeartbeatAnswer, ErrorCode> {
    if !answer.error_code.is_none() {
        return Err(answer.error_code);
    }
    Ok(HeartbeatAnswer {
        is_caught_up: answer.is_caught_up,
        is_fenced: answer.is_fenced,
        should_shut_down: answer.should_shut_down,
    })
}
