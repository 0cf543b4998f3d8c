//! Members of groups over a bare connection, for tests that look at groups from outside.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::ops::Range;

use bytes::Bytes;
use milena_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use milena_protocol::api::find_coordinator::FindCoordinatorRequest;
use milena_protocol::api::init_producer_id::InitProducerIdRequest;
use milena_protocol::api::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use milena_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use milena_protocol::api::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use milena_protocol::codec::Writer;
use milena_protocol::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolAssignmentTopicPartition,
    ConsumerProtocolSubscription,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence};
use milena_protocol::message::Message;
use milena_protocol::record::BatchOptions;

use crate::process::Connection;
use crate::process::broker::{batch_with, produce_request};

/// Members do not wait for others.
pub const NO_DELAY: &str = "group.initial.rebalance.delay.ms=0";

/// Finds a coordinator, which makes its topic: of a group (0) or of a transaction (1).
pub fn find(connection: &mut Connection, key: &str, key_type: i8) {
    let coordinator_keys = vec![key.into()];
    let request = FindCoordinatorRequest { key_type, coordinator_keys, ..Default::default() };
    assert!(connection.ask(&request, 6).coordinators[0].error_code.is_none());
}

/// Commits an offset of a partition, as a member or (with an empty name and −1) as nobody.
pub fn commit(
    connection: &mut Connection,
    group: &str,
    (topic, partition, offset): (&str, i32, i64),
    member: (&str, i32),
) {
    commit_each(connection, group, (topic, partition..partition + 1, offset), member);
}

/// Commits the same offset of several partitions.
pub fn commit_each(
    connection: &mut Connection,
    group: &str,
    (topic, partitions, offset): (&str, Range<i32>, i64),
    (member, epoch): (&str, i32),
) {
    let partition = |index| OffsetCommitRequestPartition {
        partition_index: PartitionIndex(index),
        committed_offset: Offset(offset),
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: group.into(),
        member_id: member.into(),
        generation_id_or_member_epoch: epoch,
        topics: vec![OffsetCommitRequestTopic {
            name: topic.into(),
            partitions: partitions.map(partition).collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer = connection.ask(&request, 9);
    assert!(answer.topics[0].partitions.iter().all(|one| one.error_code.is_none()));
}

/// Nobody in particular commits an offset.
pub fn commit_as_nobody(connection: &mut Connection, group: &str, to: (&str, i32, i64)) {
    find(connection, group, 0);
    commit(connection, group, to, ("", -1));
}

fn versioned<M: Message>(message: &M, version: i16) -> Bytes {
    let mut writer = Writer::new();
    writer.plain().extend_from_slice(&version.to_be_bytes());
    message.write(&mut writer, version);
    writer.into_bytes().expect("it can be written")
}

/// A static member that is alone in a classic group, reads all partitions of a topic, and says so:
/// its id.
pub fn join_classic(
    connection: &mut Connection,
    group: &str,
    instance: &str,
    (topic, partitions): (&str, i32),
) -> String {
    find(connection, group, 0);
    let subscription =
        ConsumerProtocolSubscription { topics: vec![topic.into()], ..Default::default() };
    let join = JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        group_instance_id: Some(instance.into()),
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: versioned(&subscription, 1),
        }],
        ..Default::default()
    };
    let joined = connection.ask(&join, 9);
    assert_eq!(joined.error_code, ErrorCode::NONE);
    let assigned = ConsumerProtocolAssignmentTopicPartition {
        topic: topic.into(),
        partitions: (0..partitions).map(PartitionIndex).collect(),
    };
    let assignment =
        ConsumerProtocolAssignment { assigned_partitions: vec![assigned], ..Default::default() };
    let sync = SyncGroupRequest {
        group_id: group.into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        group_instance_id: Some(instance.into()),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: joined.member_id.clone(),
            assignment: versioned(&assignment, 1),
        }],
    };
    assert_eq!(connection.ask(&sync, 5).error_code, ErrorCode::NONE);
    joined.member_id.to_string()
}

/// A member that is alone in a consumer group and reads a topic.
pub fn join_consumers(
    connection: &mut Connection,
    group: &str,
    member: &str,
    topic: &str,
) -> ConsumerGroupHeartbeatResponse {
    find(connection, group, 0);
    let request = ConsumerGroupHeartbeatRequest {
        group_id: group.into(),
        member_id: member.into(),
        rebalance_timeout_ms: 30_000,
        subscribed_topic_names: Some(vec![topic.into()]),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    };
    let answer = connection.ask(&request, 1);
    assert_eq!(answer.error_code, ErrorCode::NONE);
    answer
}

/// Leaves a record at partition 0 of a topic in a transaction that is open.
pub fn write_in_open_transaction(connection: &mut Connection, id: &str, topic: &str, at: i64) {
    let (producer, epoch) = init_producer(connection, id);
    let options = BatchOptions {
        producer_id: producer,
        producer_epoch: epoch,
        base_sequence: Sequence(0),
        is_transactional: true,
        ..Default::default()
    };
    let mut request = produce_request(topic, batch_with(options, &[at]), -1);
    request.transactional_id = Some(id.into());
    let answer = connection.ask(&request, 12);
    assert_eq!(answer.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
}

/// Becomes a producer of transactions; one that is open is aborted.
pub fn init_producer(connection: &mut Connection, id: &str) -> (ProducerId, ProducerEpoch) {
    find(connection, id, 1);
    let request = InitProducerIdRequest {
        transactional_id: Some(id.into()),
        transaction_timeout_ms: 60_000,
        ..Default::default()
    };
    let answer = connection.ask(&request, 5);
    assert_eq!(answer.error_code, ErrorCode::NONE);
    (answer.producer_id, answer.producer_epoch)
}
