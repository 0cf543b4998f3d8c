//! Committing offsets and asking for them (facts O2–O9, O12).

use std::sync::Arc;
use std::time::Duration;

use milena_cluster::coordinator::Producer;
use milena_cluster::group::{Answer, Caller, Request, Settings};
use milena_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use milena_protocol::api::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use milena_protocol::api::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use milena_protocol::api::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, PartitionIndex, ProducerEpoch, ProducerId, Uuid};

use super::topics::{Topics, incarnation};
use super::world::{GROUP, World};

const NONE: ErrorCode = ErrorCode::NONE;
const TOPIC: &str = "topic";
const PARTITION: PartitionIndex = PartitionIndex(0);
const PRODUCER: Producer = Producer { id: ProducerId(7), epoch: ProducerEpoch(0) };

fn commit_of(offset: i64, member: &str, generation: i32) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: GROUP.into(),
        generation_id_or_member_epoch: generation,
        member_id: member.into(),
        topics: vec![OffsetCommitRequestTopic {
            name: TOPIC.into(),
            topic_id: Uuid::from_u128(1),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: PARTITION,
                committed_offset: Offset(offset),
                committed_metadata: Some("said".into()),
                ..Default::default()
            }],
        }],
        ..Default::default()
    }
}

fn commit(world: &mut World, request: OffsetCommitRequest, version: i16) -> ErrorCode {
    let caller = Caller { version, ..Default::default() };
    match world.ask(Request::Commit(caller, request)) {
        Answer::Commit(topics) => topics[0].1[0].1,
        other => panic!("{other:?}"),
    }
}

fn commit_in_transaction(world: &mut World, offset: i64) -> ErrorCode {
    let request = TxnOffsetCommitRequest {
        group_id: GROUP.into(),
        producer_id: PRODUCER.id,
        producer_epoch: PRODUCER.epoch,
        topics: vec![TxnOffsetCommitRequestTopic {
            name: TOPIC.into(),
            partitions: vec![TxnOffsetCommitRequestPartition {
                partition_index: PARTITION,
                committed_offset: Offset(offset),
                ..Default::default()
            }],
        }],
        ..Default::default()
    };
    match world.ask(Request::CommitInTransaction(request, vec![Uuid::from_u128(1)])) {
        Answer::Commit(topics) => topics[0].1[0].1,
        other => panic!("{other:?}"),
    }
}

fn fetch(world: &mut World, waits: bool, topic_id: u128) -> (i64, ErrorCode) {
    let group = OffsetFetchRequestGroup {
        group_id: GROUP.into(),
        topics: Some(vec![OffsetFetchRequestTopics {
            name: TOPIC.into(),
            topic_id: Uuid::from_u128(topic_id),
            partition_indexes: vec![PARTITION],
        }]),
        ..Default::default()
    };
    match world.ask(Request::Fetch(group, waits)) {
        Answer::Fetch(group) => {
            assert_eq!(group.error_code, NONE);
            let found = &group.topics[0].partitions[0];
            (found.committed_offset.0, found.error_code)
        }
        other => panic!("{other:?}"),
    }
}

fn committed(world: &mut World) -> i64 {
    fetch(world, false, 1).0
}

/// Consumers would begin at the wrong place, before or after a restart of the broker (O5).
#[test]
fn what_was_committed_last_is_found_again() {
    let mut world = World::new();
    assert_eq!(committed(&mut world), -1);
    assert_eq!(commit(&mut world, commit_of(5, "", -1), 9), NONE);
    assert_eq!(commit(&mut world, commit_of(6, "", -1), 9), NONE);
    assert_eq!(committed(&mut world), 6);
    world.crash();
    assert_eq!(committed(&mut world), 6);
    // A topic that was made again has nothing of the old one.
    assert_eq!(fetch(&mut world, false, 2).0, -1);
}

/// A member that was left behind would take the group back to where it was (O2, O3).
#[test]
fn only_members_of_the_generation_commit() {
    let mut world = World::new();
    let absent = commit_of(1, "someone", 3);
    assert_eq!(commit(&mut world, absent.clone(), 8), ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(commit(&mut world, absent, 9), ErrorCode::GROUP_ID_NOT_FOUND);
    let (members, generation) = world.stable(2);
    let id = members[1].id.clone();
    assert_eq!(commit(&mut world, commit_of(1, &id, generation), 9), NONE);
    let stale = commit_of(2, &id, generation - 1);
    assert_eq!(commit(&mut world, stale, 9), ErrorCode::ILLEGAL_GENERATION);
    let nobody = commit_of(2, "", -1);
    assert_eq!(commit(&mut world, nobody, 9), ErrorCode::UNKNOWN_MEMBER_ID);
    // Before it joins again a member may still commit what it has read.
    world.send_join(&members[0]);
    assert_eq!(commit(&mut world, commit_of(3, &id, generation), 9), NONE);
    world.send_join(&members[1]);
    let assigning = commit_of(4, &id, generation + 1);
    assert_eq!(commit(&mut world, assigning, 9), ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!(committed(&mut world), 3);
}

/// The log would fill with whatever clients want to keep there (O4).
#[test]
fn metadata_has_a_bound() {
    let mut world = World::new();
    let mut request = commit_of(1, "", -1);
    let metadata = &mut request.topics[0].partitions[0].committed_metadata;
    *metadata = Some("x".repeat(world.settings.offset_metadata_max_bytes + 1).into());
    assert_eq!(commit(&mut world, request, 9), ErrorCode::OFFSET_METADATA_TOO_LARGE);
    assert_eq!(world.written(), 0);
}

/// Offsets would move although their records are aborted, or be read before it is decided (O6).
#[test]
fn offsets_of_a_transaction_wait_for_its_end() {
    for (is_commit, after) in [(true, 9), (false, 5)] {
        for crashes in [false, true] {
            let mut world = World::new();
            commit(&mut world, commit_of(5, "", -1), 9);
            assert_eq!(commit_in_transaction(&mut world, 9), NONE);
            if crashes {
                world.crash();
            }
            assert_eq!(committed(&mut world), 5);
            let unstable = ErrorCode::UNSTABLE_OFFSET_COMMIT;
            assert_eq!(fetch(&mut world, true, 1), (-1, unstable));
            world.decide(PRODUCER, is_commit);
            if crashes {
                world.crash();
            }
            assert_eq!(fetch(&mut world, true, 0), (after, NONE));
        }
    }
}

/// A commit that came after that of a transaction would be undone when that ends.
#[test]
fn a_later_commit_outlives_a_transaction() {
    let mut world = World::new();
    commit_in_transaction(&mut world, 9);
    commit(&mut world, commit_of(12, "", -1), 9);
    world.decide(PRODUCER, true);
    assert_eq!(committed(&mut world), 12);
}

/// Offsets of groups that nobody uses would stay for ever, or go while somebody does (O7).
#[test]
fn offsets_expire_when_nobody_has_used_the_group() {
    let minute = 60_000;
    let settings = || Settings {
        initial_rebalance_delay: Duration::ZERO,
        offsets_retention: Duration::from_secs(3600),
        offsets_retention_check_interval: Duration::from_secs(60),
        ..Settings::default()
    };
    let mut world = World::with(settings());
    commit(&mut world, commit_of(5, "", -1), 9);
    world.pass(59 * minute);
    assert_eq!(committed(&mut world), 5);
    world.pass(2 * minute);
    assert_eq!(committed(&mut world), -1);

    let mut world = World::with(settings());
    let (members, generation) = world.stable(1);
    let id = &members[0].id;
    commit(&mut world, commit_of(5, id, generation), 9);
    for _ in 0..70 * 12 {
        world.pass(5_000);
        assert_eq!(world.heartbeat(id, generation), NONE);
    }
    assert_eq!(committed(&mut world), 5, "the group has a member that reads the topic");
    world.leave(id);
    world.pass(59 * minute);
    assert_eq!(committed(&mut world), 5, "the time counts from when the group became empty");
    world.pass(2 * minute);
    assert_eq!(committed(&mut world), -1);
    world.crash();
    assert_eq!(world.heartbeat(id, generation), ErrorCode::UNKNOWN_MEMBER_ID);
}

/// A reset would be undone by the members that read the topic (O12).
#[test]
fn offsets_of_topics_that_are_read_cannot_be_deleted() {
    let mut world = World::new();
    let (members, generation) = world.stable(1);
    commit(&mut world, commit_of(5, &members[0].id, generation), 9);
    let delete = || OffsetDeleteRequest {
        group_id: GROUP.into(),
        topics: vec![OffsetDeleteRequestTopic {
            name: TOPIC.into(),
            partitions: vec![OffsetDeleteRequestPartition { partition_index: PARTITION }],
        }],
    };
    let mut deleted = || match world.ask(Request::DeleteOffsets(delete())) {
        Answer::DeleteOffsets(response) => response.topics[0].partitions[0].error_code,
        other => panic!("{other:?}"),
    };
    assert_eq!(deleted(), ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC);
    world.leave(&members[0].id);
    let mut deleted = || match world.ask(Request::DeleteOffsets(delete())) {
        Answer::DeleteOffsets(response) => response.topics[0].partitions[0].error_code,
        other => panic!("{other:?}"),
    };
    assert_eq!(deleted(), NONE);
    assert_eq!(committed(&mut world), -1);
}

/// A topic that is made again would be read from where the old one was left (O9).
#[test]
fn the_offsets_of_a_deleted_topic_go_with_it() {
    let mut world = World::new();
    commit(&mut world, commit_of(5, "", -1), 9);
    world.ask(Request::TopicsDeleted(vec!["other".into()]));
    assert_eq!(committed(&mut world), 5);
    world.ask(Request::TopicsDeleted(vec![TOPIC.into()]));
    assert_eq!(committed(&mut world), -1);
}

/// A consumer that reads exactly once would skip records of a topic that was made again.
#[test]
fn what_a_transaction_committed_is_of_one_topic() {
    let mut world = World::new();
    assert_eq!(commit_in_transaction(&mut world, 5), NONE);
    world.decide(PRODUCER, true);
    assert_eq!(committed(&mut world), 5);
    assert_eq!(fetch(&mut world, false, 2).0, -1);
    world.crash();
    assert_eq!(fetch(&mut world, false, 2).0, -1);
}

/// What was committed for a topic would be kept for ever, and be handed out to whoever does not
/// know its id, if the broker died before it wrote down that the topic is gone.
#[test]
fn offsets_of_a_topic_that_was_deleted_before_the_start_go() {
    let mut topics = Topics::new(&[(TOPIC, 1), ("other", 1)]);
    let mut world = World::new();
    world.topics = Arc::new(topics.image.clone());
    for name in [TOPIC, "other"] {
        let mut request = commit_of(5, "", -1);
        request.topics[0].name = name.into();
        request.topics[0].topic_id = incarnation(name, 0);
        assert_eq!(commit(&mut world, request, 9), NONE);
    }
    topics.remove(TOPIC);
    let mut all = || {
        let group = OffsetFetchRequestGroup { group_id: GROUP.into(), ..Default::default() };
        match world.ask(Request::Fetch(group, false)) {
            Answer::Fetch(group) => group.topics.iter().map(|t| t.name.to_string()).collect(),
            other => panic!("{other:?}"),
        }
    };
    let found: Vec<String> = all();
    assert_eq!(found, ["other", TOPIC]);
    world.topics = Arc::new(topics.image.clone());
    world.crash();
    assert_eq!(fetch(&mut world, false, 0).0, -1);
}
