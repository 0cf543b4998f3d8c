//! Groups and their offsets against a real broker process.

mod process;

use std::collections::BTreeMap;

use bytes::Bytes;
use milena_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    ConsumerGroupHeartbeatTopicPartitions,
};
use milena_protocol::api::find_coordinator::FindCoordinatorRequest;
use milena_protocol::api::heartbeat::HeartbeatRequest;
use milena_protocol::api::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use milena_protocol::api::list_groups::ListGroupsRequest;
use milena_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use milena_protocol::api::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use milena_protocol::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use milena_protocol::api::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, Offset, PartitionIndex, Uuid};
use process::Connection;
use process::broker::{Broker, create, until};

const GROUP: &str = "group";
const NO_DELAY: &str = "group.initial.rebalance.delay.ms=0";

fn find(broker: &mut Broker, key: &str, key_type: i8) -> (NodeId, ErrorCode) {
    let coordinator_keys = vec![key.into()];
    let request = FindCoordinatorRequest { key_type, coordinator_keys, ..Default::default() };
    let answer = broker.connection.ask(&request, 4).coordinators.remove(0);
    (answer.node_id, answer.error_code)
}

fn join(id: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: GROUP.into(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        member_id: id.into(),
        protocol_type: "anything".into(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "some".into(),
            metadata: Bytes::from_static(b"said"),
        }],
        ..Default::default()
    }
}

/// A member whose id it was told.
fn member(connection: &mut Connection) -> String {
    let told = connection.ask(&join(""), 9);
    assert_eq!(told.error_code, ErrorCode::MEMBER_ID_REQUIRED);
    told.member_id.to_string()
}

fn commit(broker: &mut Broker, topic: &str, offset: i64, member: (&str, i32)) -> ErrorCode {
    let request = OffsetCommitRequest {
        group_id: GROUP.into(),
        member_id: member.0.into(),
        generation_id_or_member_epoch: member.1,
        topics: vec![OffsetCommitRequestTopic {
            name: topic.into(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: PartitionIndex(0),
                committed_offset: Offset(offset),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    broker.connection.ask(&request, 9).topics[0].partitions[0].error_code
}

fn committed(broker: &mut Broker, topic: &str) -> i64 {
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: GROUP.into(),
            topics: Some(vec![OffsetFetchRequestTopics {
                name: topic.into(),
                partition_indexes: vec![PartitionIndex(0)],
                ..Default::default()
            }]),
            ..Default::default()
        }],
        ..Default::default()
    };
    broker.connection.ask(&request, 8).groups[0].topics[0].partitions[0].committed_offset.0
}

/// Clients would have to come again and again until the coordinators' topic is there.
#[test]
fn the_first_question_for_a_coordinator_makes_its_topic() {
    let mut broker = Broker::start(&[]);
    assert_eq!(find(&mut broker, GROUP, 0), (NodeId(1), ErrorCode::NONE));
    assert_eq!(find(&mut broker, "any", 7).1, ErrorCode::INVALID_REQUEST);
}

/// A group would forget its members or its offsets with the process.
#[test]
fn a_group_goes_on_after_kill_9() {
    let mut broker = Broker::start(&[NO_DELAY]);
    broker.create("topic", &[]);
    find(&mut broker, GROUP, 0);
    let mut second = broker.process.connect();
    let ids = [member(&mut broker.connection), member(&mut second)];
    broker.connection.send(&join(&ids[0]), 9);
    assert!(broker.connection.is_silent(), "another member is awaited");
    second.send(&join(&ids[1]), 9);
    let answers: [JoinGroupResponse; 2] =
        [broker.connection.receive::<JoinGroupRequest>(9), second.receive::<JoinGroupRequest>(9)];
    let leads = usize::from(answers[1].members.len() == 2);
    let leader = answers[0].leader.to_string();
    assert_eq!(leader, ids[leads]);
    let sync = |id: &str, parts: &[&str]| SyncGroupRequest {
        group_id: GROUP.into(),
        generation_id: 1,
        member_id: id.into(),
        protocol_type: Some("anything".into()),
        protocol_name: Some("some".into()),
        assignments: parts
            .iter()
            .map(|id| SyncGroupRequestAssignment {
                member_id: (*id).into(),
                assignment: Bytes::copy_from_slice(id.as_bytes()),
            })
            .collect(),
        ..Default::default()
    };
    let part = broker.connection.ask(&sync(&leader, &[&ids[0], &ids[1]]), 5);
    assert_eq!(part.assignment, leader.as_bytes());
    assert_eq!(commit(&mut broker, "topic", 42, (&ids[0], 1)), ErrorCode::NONE);
    assert_eq!(
        commit(&mut broker, "missing", 1, (&ids[0], 1)),
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    );

    let mut broker = broker.restart(&[NO_DELAY]);
    for id in &ids {
        let request = HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: 1,
            member_id: id.as_str().into(),
            ..Default::default()
        };
        assert!(broker.connection.ask(&request, 4).error_code.is_none());
        let part = broker.connection.ask(&sync(id, &[]), 5);
        assert_eq!(part.assignment, id.as_bytes());
    }
    assert_eq!(committed(&mut broker, "topic"), 42);
}

/// What was committed for a topic would be taken for another that has its name later.
#[test]
fn offsets_go_with_their_topic() {
    let mut broker = Broker::start(&[]);
    broker.create("topic", &[]);
    find(&mut broker, GROUP, 0);
    assert_eq!(commit(&mut broker, "topic", 7, ("", -1)), ErrorCode::NONE);
    assert_eq!(committed(&mut broker, "topic"), 7);
    broker.delete_topic("topic");
    create(&mut broker.connection, "topic", 1, &[]);
    assert_eq!(committed(&mut broker, "topic"), -1);
    // By name they go as well, once the coordinator has heard of it.
    let groups =
        |broker: &mut Broker| broker.connection.ask(&ListGroupsRequest::default(), 5).groups.len();
    until("the group has nothing left", || groups(&mut broker) == 0);
}

fn report(
    connection: &mut Connection,
    member: &str,
    epoch: i32,
    owned: Option<Vec<i32>>,
    topic_id: Uuid,
) -> ConsumerGroupHeartbeatResponse {
    let request = ConsumerGroupHeartbeatRequest {
        group_id: GROUP.into(),
        member_id: member.into(),
        member_epoch: epoch,
        rebalance_timeout_ms: if epoch == 0 { 30_000 } else { -1 },
        subscribed_topic_names: (epoch == 0).then(|| vec!["topic".into()]),
        topic_partitions: owned.map(|partitions| {
            let owned = ConsumerGroupHeartbeatTopicPartitions {
                topic_id,
                partitions: partitions.into_iter().map(PartitionIndex).collect(),
            };
            if owned.partitions.is_empty() { Vec::new() } else { vec![owned] }
        }),
        ..Default::default()
    };
    connection.ask(&request, 1)
}

/// A tool would be told that offsets are forgotten which there were never any of.
#[test]
fn offsets_of_what_is_not_there_cannot_be_deleted() {
    let mut broker = Broker::start(&[]);
    broker.create("topic", &[]);
    find(&mut broker, GROUP, 0);
    assert_eq!(commit(&mut broker, "topic", 7, ("", -1)), ErrorCode::NONE);
    let topic = |name: &str, partitions: &[i32]| OffsetDeleteRequestTopic {
        name: name.into(),
        partitions: partitions
            .iter()
            .map(|index| OffsetDeleteRequestPartition { partition_index: PartitionIndex(*index) })
            .collect(),
    };
    let request = OffsetDeleteRequest {
        group_id: GROUP.into(),
        topics: vec![topic("topic", &[1, 0]), topic("other", &[0])],
    };
    let answer = broker.connection.ask(&request, 0);
    let mut codes = BTreeMap::new();
    for topic in &answer.topics {
        for partition in &topic.partitions {
            let place = (topic.name.to_string(), partition.partition_index.0);
            assert!(codes.insert(place, partition.error_code).is_none(), "each once");
        }
    }
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    let expected =
        [(("other", 0), unknown), (("topic", 0), ErrorCode::NONE), (("topic", 1), unknown)];
    let expected = expected.map(|((name, index), code)| ((name.to_owned(), index), code));
    assert_eq!((answer.error_code, codes), (ErrorCode::NONE, BTreeMap::from(expected)));
    assert_eq!(committed(&mut broker, "topic"), -1);
}

/// A member of a consumer group would lose what it has with the process, or two have the same.
#[test]
fn a_consumer_group_converges_and_goes_on_after_kill_9() {
    let mut broker = Broker::start(&[]);
    create(&mut broker.connection, "topic", 2, &[]);
    find(&mut broker, GROUP, 0);
    let first = report(&mut broker.connection, "one", 0, Some(vec![]), Uuid::ZERO);
    assert!(first.error_code.is_none(), "{first:?}");
    let given = first.assignment.unwrap().topic_partitions.remove(0);
    assert_eq!(given.partitions.len(), 2);
    let topic_id = given.topic_id;
    let owned = |of: &ConsumerGroupHeartbeatResponse| -> Option<Vec<i32>> {
        let assignment = of.assignment.as_ref()?;
        let topics = assignment.topic_partitions.iter();
        Some(topics.flat_map(|topic| topic.partitions.iter().map(|index| index.0)).collect())
    };
    // Another comes: the first is to give up one, and only then the second gets it.
    let mut ones = (first.member_epoch, vec![0, 1]);
    let second = report(&mut broker.connection, "two", 0, Some(vec![]), topic_id);
    let mut twos = (second.member_epoch, owned(&second).unwrap_or_default());
    assert!(twos.1.is_empty(), "nobody has given up anything yet");
    until("both have one", || {
        for (name, member) in [("one", &mut ones), ("two", &mut twos)] {
            let told =
                report(&mut broker.connection, name, member.0, Some(member.1.clone()), topic_id);
            assert!(told.error_code.is_none(), "{told:?}");
            member.0 = told.member_epoch;
            member.1 = owned(&told).unwrap_or(std::mem::take(&mut member.1));
        }
        assert!(ones.1.iter().all(|index| !twos.1.contains(index)), "one partition, two owners");
        ones.1.len() == 1 && twos.1.len() == 1
    });
    let mut broker = broker.restart(&[]);
    for (name, member) in [("one", &ones), ("two", &twos)] {
        let told = report(&mut broker.connection, name, member.0, None, topic_id);
        assert_eq!((told.error_code, told.member_epoch), (ErrorCode::NONE, member.0));
    }
}
