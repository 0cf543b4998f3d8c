//! Each request and answer there and back, over the bytes of every version.

use milena_protocol::api::alter_partition::AlterPartitionRequest;
use milena_protocol::api::alter_partition_reassignments::{
    AlterPartitionReassignmentsPartition, AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsTopic,
};
use milena_protocol::api::broker_heartbeat::BrokerHeartbeatRequest;
use milena_protocol::api::elect_leaders::{ElectLeadersRequest, ElectLeadersTopicPartitions};
use milena_protocol::api::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopic,
};
use milena_protocol::api::unregister_broker::UnregisterBrokerRequest;
use milena_protocol::ids::{
    BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionIndex, Timestamp, Uuid,
};
use milena_protocol::message::Message;
use milena_protocol::metadata_record::{MetadataRecord, PartitionRecord, TopicRecord};

use super::*;
use crate::configs::Values;
use crate::controller::brokers::{Application, ControllerRegistration, Registration};
use crate::controller::directories::Placed;
use crate::controller::features;
use crate::controller::heartbeats::{Heartbeat, HeartbeatAnswer};
use crate::controller::isr::{Altered, IsrChange};
use crate::metadata::image::{EndpointImage, MetadataImage};
use crate::time::Instant;
use crate::wire;

const TOPIC: Uuid = Uuid::from_u128(4711);

/// A controller that has registered the brokers 1 to 3, with one partition on 1 and 2.
struct Stage {
    controller: Controller,
    sessions: Sessions,
}

impl Stage {
    fn new() -> Self {
        let image = MetadataImage::default();
        let controller = Controller::new(NodeId(9), Values::default(), image.clone());
        let sessions = Sessions::begin(Instant(0), controller.session_timeout(), &image);
        let mut stage = Self { controller, sessions };
        stage.replay(&features::bootstrap(&Values::default()));
        for id in 1..=3 {
            let epoch = stage.register(id);
            let beat =
                Heartbeat { metadata_offset: stage.end(), ..Heartbeat::of(NodeId(id), epoch) };
            stage.ask(&beat.to_request(), 2);
        }
        let replicas = [1, 2].map(NodeId).to_vec();
        stage.replay(&[
            TopicRecord { name: "t".into(), topic_id: TOPIC }.into(),
            PartitionRecord {
                topic_id: TOPIC,
                partition_id: PartitionIndex(0),
                isr: replicas.clone(),
                replicas,
                leader: NodeId(1),
                leader_epoch: LeaderEpoch(0),
                partition_epoch: 0,
                ..Default::default()
            }
            .into(),
        ]);
        stage
    }

    fn end(&self) -> Offset {
        self.controller.image().offset()
    }

    fn epoch(&self, id: i32) -> BrokerEpoch {
        self.controller.image().broker(NodeId(id)).unwrap().epoch
    }

    fn register(&mut self, id: i32) -> BrokerEpoch {
        let answer = self.ask(&application(id).to_request(&"cluster".into()), 4);
        wire::broker_epoch(&answer).unwrap()
    }

    fn replay(&mut self, records: &[MetadataRecord]) {
        let base = self.end().plus(1);
        self.controller.replay(base, LeaderEpoch(1), records).unwrap();
        self.sessions.follow(Instant(0), self.controller.image());
    }

    /// Sends a request in a version, and gives the answer as it arrives.
    fn ask<R: Decided + Message>(&mut self, request: &R, version: i16) -> R::Response {
        let request = over_the_wire(request, version);
        let now = Now { instant: Instant(0), wall: Timestamp(0) };
        let decided = request.decide(now, &self.controller, &mut self.sessions);
        self.replay(&decided.records);
        over_the_wire(&decided.answer, version)
    }
}

fn over_the_wire<M: Message>(message: &M, version: i16) -> M {
    M::from_bytes(message.to_bytes(version).unwrap(), version).unwrap()
}

fn application(id: i32) -> Application {
    let endpoint = EndpointImage {
        name: "PLAINTEXT".into(),
        host: "host".into(),
        port: 9092,
        security_protocol: 0,
    };
    let range = |it: &features::Supported| (it.name.into(), it.min_level, it.max_level);
    Application {
        registration: Registration {
            previous_epoch: Some(BrokerEpoch(3)),
            id: NodeId(id),
            incarnation_id: Uuid::from_u128(500 + id as u128),
            endpoints: vec![endpoint],
            rack: Some("rack".into()),
            log_dirs: vec![Uuid::from_u128(1000 + id as u128)],
        },
        features: features::SUPPORTED.iter().map(range).collect(),
        is_migrating: false,
    }
}

/// A broker would be registered as something that it is not.
#[test]
fn a_registration_arrives_as_it_was_meant() {
    for version in 0..=4 {
        let sent = application(7);
        let mut expected = sent.clone();
        let request = over_the_wire(&sent.to_request(&"cluster".into()), version);
        if version < 2 {
            expected.registration.log_dirs = Vec::new();
        }
        if version < 3 {
            expected.registration.previous_epoch = None;
        }
        assert_eq!(format!("{:?}", Application::of(&request)), format!("{expected:?}"));
        assert_eq!(request.cluster_id, "cluster");
    }
    let mut stage = Stage::new();
    assert_eq!(stage.epoch(3), BrokerEpoch(9));
    let refused = stage.ask(&application(8).to_request(&"cluster".into()), 1);
    assert_eq!(wire::broker_epoch(&refused), Err(ErrorCode::INVALID_REGISTRATION));
}

/// A broker would believe that it may lead, or go, when it may not.
#[test]
fn a_heartbeat_and_its_answer_arrive() {
    let directories = vec![Uuid::from_u128(1)];
    let sent = Heartbeat {
        metadata_offset: Offset(4),
        wants_fence: true,
        wants_shut_down: true,
        offline_log_dirs: directories.clone(),
        cordoned_log_dirs: Some(directories),
        ..Heartbeat::of(NodeId(1), BrokerEpoch(2))
    };
    for version in 0..=2 {
        let mut expected = sent.clone();
        if version < 1 {
            expected.offline_log_dirs.clear();
        }
        if version < 2 {
            expected.cordoned_log_dirs = None;
        }
        assert_eq!(Heartbeat::in_request(&over_the_wire(&sent.to_request(), version)), expected);
    }
    let mut stage = Stage::new();
    for version in 0..=2 {
        let beat =
            Heartbeat { metadata_offset: Offset(6), ..Heartbeat::of(NodeId(1), stage.epoch(1)) };
        let answer = HeartbeatAnswer::in_response(&stage.ask(&beat.to_request(), version));
        let expected =
            HeartbeatAnswer { is_caught_up: true, is_fenced: false, should_shut_down: false };
        assert_eq!(answer, Ok(expected));
        let beat = Heartbeat { epoch: BrokerEpoch(99), ..beat };
        let answer = HeartbeatAnswer::in_response(&stage.ask(&beat.to_request(), version));
        assert_eq!(answer, Err(ErrorCode::STALE_BROKER_EPOCH));
    }
}

/// A leader would count whom the controller does not.
#[test]
fn proposals_and_what_became_of_them_arrive() {
    for version in 2..=3 {
        let mut stage = Stage::new();
        let known = |id: i32| (NodeId(id), Some(stage.epoch(id)));
        let good = IsrChange {
            topic_id: TOPIC,
            partition: PartitionIndex(0),
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
            isr: vec![known(1)],
            is_recovering: false,
        };
        let bad = IsrChange { topic_id: Uuid::from_u128(1), ..good.clone() };
        let unknown = IsrChange { partition: PartitionIndex(5), ..good.clone() };
        let request =
            wire::alter_partition_request(NodeId(1), stage.epoch(1), &[good, unknown, bad]);
        let answer = wire::altered(&stage.ask(&request, version)).unwrap();
        let altered = Altered {
            leader: NodeId(1),
            leader_epoch: LeaderEpoch(0),
            isr: vec![NodeId(1)],
            leader_recovery_state: 0,
            partition_epoch: 1,
        };
        assert_eq!(
            answer,
            [
                (TOPIC, PartitionIndex(0), Ok(altered)),
                (TOPIC, PartitionIndex(5), Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)),
                (Uuid::from_u128(1), PartitionIndex(0), Err(ErrorCode::UNKNOWN_TOPIC_ID)),
            ]
        );
        let same = request.decide(
            Now { instant: Instant(0), wall: Timestamp(0) },
            &Stage::new().controller,
            &mut stage.sessions,
        );
        assert_eq!(wire::altered(&same.answer).unwrap(), answer, "without a wire between");
        let stale = AlterPartitionRequest { broker_epoch: BrokerEpoch(1), ..request };
        let answer = wire::altered(&stage.ask(&stale, version));
        assert_eq!(answer, Err(ErrorCode::STALE_BROKER_EPOCH));
    }
}

/// Only version 3 has room for the epochs of replicas, which say that none was restarted.
#[test]
fn a_restarted_replica_is_refused_where_its_epoch_is_told() {
    let outcome = |version| {
        let mut stage = Stage::new();
        let replicas = [(NodeId(1), Some(stage.epoch(1))), (NodeId(2), Some(BrokerEpoch(1)))];
        let proposed = IsrChange {
            topic_id: TOPIC,
            partition: PartitionIndex(0),
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
            isr: replicas.to_vec(),
            is_recovering: false,
        };
        let request = wire::alter_partition_request(NodeId(1), stage.epoch(1), &[proposed]);
        let answer = wire::altered(&stage.ask(&request, version)).unwrap();
        answer[0].2.as_ref().map(|altered| altered.isr.len()).map_err(|code| *code)
    };
    assert_eq!(outcome(3), Err(ErrorCode::INELIGIBLE_REPLICA));
    assert_eq!(outcome(2), Ok(2));
}

/// Two brokers would hand out the same producer ids.
#[test]
fn blocks_of_producer_ids_arrive() {
    let mut stage = Stage::new();
    let request = wire::producer_ids_request(NodeId(1), stage.epoch(1));
    let mut block = || wire::producer_ids(&stage.ask(&request, 0));
    assert_eq!((block(), block()), (Ok((0, 1000)), Ok((1000, 2000))));
    let stale = wire::producer_ids_request(NodeId(1), BrokerEpoch(1));
    assert_eq!(wire::producer_ids(&stage.ask(&stale, 0)), Err(ErrorCode::STALE_BROKER_EPOCH));
    let mut damaged = stage.ask(&request, 0);
    damaged.producer_id_len = -1;
    assert_eq!(wire::producer_ids(&damaged), Err(ErrorCode::UNKNOWN_SERVER_ERROR));
}

/// Nobody would know where a controller listens, or a broker would never be forgotten.
#[test]
fn controllers_register_and_brokers_are_forgotten() {
    let mut stage = Stage::new();
    let sent = ControllerRegistration {
        id: NodeId(4),
        incarnation_id: Uuid::from_u128(44),
        endpoints: application(4).registration.endpoints,
        features: application(4).features,
    };
    let request = over_the_wire(&sent.to_request(), 0);
    assert_eq!(format!("{:?}", ControllerRegistration::of(&request)), format!("{sent:?}"));
    assert!(stage.ask(&request, 0).error_code.is_none());
    assert_eq!(stage.controller.image().controllers().count(), 1);
    let forget = UnregisterBrokerRequest { broker_id: NodeId(3) };
    assert!(stage.ask(&forget, 0).error_code.is_none());
    let again = stage.ask(&forget, 0);
    assert_eq!(again.error_code, ErrorCode::BROKER_ID_NOT_REGISTERED);
    assert!(again.error_message.is_some());
}

/// An election would be held of another kind than was asked for, or told of another partition.
#[test]
fn elections_are_asked_for_in_every_version() {
    for version in 0..=2 {
        let mut stage = Stage::new();
        let named = ElectLeadersTopicPartitions {
            topic: "t".into(),
            partitions: [0, 9].map(PartitionIndex).to_vec(),
        };
        let request =
            ElectLeadersRequest { topic_partitions: Some(vec![named]), ..Default::default() };
        let answer = stage.ask(&request, version);
        let [topic] = answer.replica_election_results.as_slice() else { panic!("{answer:?}") };
        let codes: Vec<(i32, ErrorCode)> =
            topic.partition_result.iter().map(|it| (it.partition_id.0, it.error_code)).collect();
        let expected =
            [(0, ErrorCode::ELECTION_NOT_NEEDED), (9, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)];
        assert_eq!(codes, expected);
        let all = ElectLeadersRequest { topic_partitions: None, ..Default::default() };
        assert!(stage.ask(&all, version).replica_election_results.is_empty());
        if version > 0 {
            let other = ElectLeadersRequest { election_type: 2, ..Default::default() };
            assert_eq!(stage.ask(&other, version).error_code, ErrorCode::INVALID_REQUEST);
        }
    }
}

/// A move would be begun with other replicas, or a move that goes on would not be seen.
#[test]
fn moves_are_asked_for_and_listed() {
    let move_to = |replicas: Option<Vec<NodeId>>, allow_replication_factor_change| {
        let partition = |index, replicas| AlterPartitionReassignmentsPartition {
            partition_index: PartitionIndex(index),
            replicas,
        };
        AlterPartitionReassignmentsRequest {
            allow_replication_factor_change,
            topics: vec![AlterPartitionReassignmentsTopic {
                name: "t".into(),
                partitions: vec![partition(7, None), partition(0, replicas)],
            }],
            ..Default::default()
        }
    };
    for version in 0..=1 {
        let mut stage = Stage::new();
        let mut codes = |request: &AlterPartitionReassignmentsRequest| {
            let answer = stage.ask(request, version);
            let codes: Vec<ErrorCode> =
                answer.responses[0].partitions.iter().map(|it| it.error_code).collect();
            let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
            assert_eq!((codes.len(), codes[0]), (2, unknown));
            codes[1]
        };
        let three = Some([3, 1, 2].map(NodeId).to_vec());
        if version > 0 {
            let fixed = codes(&move_to(three.clone(), false));
            assert_eq!(fixed, ErrorCode::INVALID_REPLICATION_FACTOR);
        }
        assert_eq!(codes(&move_to(three, true)), ErrorCode::NONE);
        let named = |topics| ListPartitionReassignmentsRequest { topics, ..Default::default() };
        let topic = |name: &str, index| ListPartitionReassignmentsTopic {
            name: name.into(),
            partition_indexes: vec![PartitionIndex(index)],
        };
        let list = |stage: &Stage, topics| {
            let request = over_the_wire(&named(topics), 0);
            over_the_wire(&wire::list_moving(stage.controller.image(), &request), 0)
        };
        let all = list(&stage, None);
        let [found] = all.topics.as_slice() else { panic!("{all:?}") };
        assert_eq!(found.partitions[0].replicas, [3, 1, 2].map(NodeId));
        assert_eq!(found.partitions[0].adding_replicas, [NodeId(3)]);
        assert!(found.partitions[0].removing_replicas.is_empty());
        assert_eq!(list(&stage, Some(vec![topic("t", 0)])), all);
        assert!(list(&stage, Some(vec![topic("t", 1), topic("u", 0)])).topics.is_empty());
        let mut stage = stage;
        let answer = stage.ask(&move_to(None, true), version);
        assert!(answer.responses[0].partitions[1].error_code.is_none());
        assert!(list(&stage, None).topics.is_empty());
    }
}

/// The controller would not know which replicas a failed disk takes along.
#[test]
fn places_of_replicas_arrive() {
    let mut stage = Stage::new();
    let known =
        Placed { directory: Uuid::from_u128(1001), topic_id: TOPIC, partition: PartitionIndex(0) };
    let unknown = Placed { topic_id: Uuid::from_u128(5), ..known };
    let sent = wire::assign_replicas_request(NodeId(1), stage.epoch(1), &[known, unknown]);
    let answer = wire::placed(&stage.ask(&sent, 0)).unwrap();
    assert_eq!(answer, [(unknown, ErrorCode::UNKNOWN_TOPIC_ID), (known, ErrorCode::NONE)]);
    let partition = stage.controller.image().partition(TOPIC, PartitionIndex(0)).unwrap();
    assert_eq!(partition.directory_of(NodeId(1)), Some(known.directory));
    let other = wire::assign_replicas_request(NodeId(3), stage.epoch(3), &[known]);
    let answer = wire::placed(&stage.ask(&other, 0)).unwrap();
    assert_eq!(answer, [(known, ErrorCode::NOT_LEADER_OR_FOLLOWER)]);
}

/// Whoever asks a controller that is none would take the answer for a decision.
#[test]
fn a_failure_is_an_answer_of_the_api() {
    let failed = BrokerHeartbeatRequest::fail(ErrorCode::NOT_CONTROLLER);
    assert_eq!(HeartbeatAnswer::in_response(&failed), Err(ErrorCode::NOT_CONTROLLER));
    let failed = UnregisterBrokerRequest::fail(ErrorCode::NOT_CONTROLLER);
    assert_eq!((failed.error_code, failed.error_message), (ErrorCode::NOT_CONTROLLER, None));
}
