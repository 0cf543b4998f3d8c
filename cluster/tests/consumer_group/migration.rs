//! Groups that change their protocol while they have members, and both kinds of members in one.

use std::time::Duration;

use bytes::Bytes;
use milena_cluster::coordinator::record;
use milena_cluster::group::Caller;
use milena_cluster::group::consumer::{
    ClassicProtocol, Content, Decision, Group, Kip848, Migration, NeutralGroup, NeutralMember,
};
use milena_protocol::api::heartbeat::HeartbeatRequest;
use milena_protocol::api::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use milena_protocol::api::leave_group::LeaveGroupMember;
use milena_protocol::api::sync_group::SyncGroupRequest;
use milena_protocol::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolAssignmentTopicPartition,
    ConsumerProtocolSubscription, ConsumerProtocolSubscriptionTopicPartition,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{PartitionIndex, Uuid};

use crate::world::{World, assigned, code, heartbeat, join, of, owning};

const SECOND: Duration = Duration::from_secs(1);

fn subscription(owned: &[i32]) -> Bytes {
    let partitions = owned.iter().copied().map(PartitionIndex).collect();
    let owned = ConsumerProtocolSubscriptionTopicPartition { topic: "t".into(), partitions };
    let said = ConsumerProtocolSubscription {
        topics: vec!["t".into()],
        owned_partitions: vec![owned],
        ..Default::default()
    };
    record::value(1, &said).unwrap()
}

fn assignment(partitions: &[i32]) -> Bytes {
    let partitions: Vec<_> = partitions.iter().copied().map(PartitionIndex).collect();
    let owned = ConsumerProtocolAssignmentTopicPartition { topic: "t".into(), partitions };
    let assignment = ConsumerProtocolAssignment {
        assigned_partitions: if owned.partitions.is_empty() { vec![] } else { vec![owned] },
        user_data: None,
    };
    record::value(1, &assignment).unwrap()
}

fn classic_join(id: &str, owned: &[i32]) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol { name: "range".into(), metadata: subscription(owned) };
    JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 8_000,
        member_id: id.into(),
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        ..Default::default()
    }
}

fn send_join(
    world: &mut World,
    request: &JoinGroupRequest,
) -> Result<JoinGroupResponse, ErrorCode> {
    let fresh_id = Uuid::from_u128(u128::from(world.now) << 8);
    let caller = Caller { version: 5, fresh_id, ..Default::default() };
    let Decision { records, answer } = world.group.join_classic(
        world.now(),
        &caller,
        request,
        &world.topics.image,
        &world.settings,
    );
    world.append(records);
    answer.map_err(|refused| refused.code)
}

fn sync(world: &mut World, id: &str, generation_id: i32) -> Result<Bytes, ErrorCode> {
    let request = SyncGroupRequest {
        group_id: "g".into(),
        generation_id,
        member_id: id.into(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        ..Default::default()
    };
    let answer =
        world.group.sync_classic(world.now(), &request, &world.topics.image, &world.settings);
    answer.map(|answer| answer.assignment)
}

fn beat(world: &mut World, id: &str, generation_id: i32) -> ErrorCode {
    let request = HeartbeatRequest {
        group_id: "g".into(),
        generation_id,
        member_id: id.into(),
        group_instance_id: None,
    };
    world.group.heartbeat_classic(world.now(), &request, &world.settings)
}

fn member(id: &str, owned: &[i32]) -> NeutralMember {
    NeutralMember {
        id: id.into(),
        client_id: "client".into(),
        session_timeout: 10 * SECOND,
        rebalance_timeout: 8 * SECOND,
        protocols: vec![ClassicProtocol { name: "range".into(), metadata: subscription(&[]) }],
        assignment: assignment(owned),
        ..Default::default()
    }
}

/// A classic group of two, upgraded.
fn upgraded() -> World {
    let mut world = World::new(&[("t", 4)]);
    let classic = NeutralGroup {
        generation: 7,
        protocol: Some("range".into()),
        members: vec![member("a", &[0, 1]), member("b", &[2, 3])],
    };
    let records = Group::<Kip848>::from_classic(
        &"g".into(),
        &classic,
        world.now(),
        &world.topics.image,
        &world.settings,
    );
    world.append(records.unwrap());
    world.group.loaded(world.now(), &world.settings);
    world
}

/// A rolling restart to the new protocol would stop the group, or have partitions read twice.
#[test]
fn a_classic_group_goes_over_member_by_member() {
    let mut world = upgraded();
    assert_eq!((world.state(), world.group.epoch()), ("Stable", 7));
    assert_eq!(beat(&mut world, "a", 7), ErrorCode::NONE);
    assert_eq!(sync(&mut world, "a", 7), Ok(assignment(&[0, 1])));

    // Somebody of the new protocol joins.
    let answer = world.send(&join("n", &["t"])).unwrap();
    assert_eq!((answer.member_epoch, assigned(&answer)), (8, Some(vec![])));
    assert_eq!(beat(&mut world, "b", 7), ErrorCode::REBALANCE_IN_PROGRESS);
    // It joins again with what it owns, is told less, and gives it up.
    let answer = send_join(&mut world, &classic_join("b", &[2, 3])).unwrap();
    assert_eq!(answer.generation_id, 7, "it stays until it has given up");
    assert_eq!((answer.leader.as_str(), answer.members.len()), ("", 0), "nobody leads");
    assert_eq!(answer.protocol_name.as_deref(), Some("range"));
    assert_eq!(sync(&mut world, "b", 7), Ok(assignment(&[2])));
    assert_eq!(beat(&mut world, "b", 7), ErrorCode::REBALANCE_IN_PROGRESS);
    let answer = send_join(&mut world, &classic_join("b", &[2])).unwrap();
    assert_eq!(answer.generation_id, 8);
    assert_eq!(sync(&mut world, "b", 7), Err(ErrorCode::ILLEGAL_GENERATION));
    assert_eq!(sync(&mut world, "b", 8), Ok(assignment(&[2])));
    assert_eq!(beat(&mut world, "b", 8), ErrorCode::NONE);
    assert_eq!(assigned(&world.send(&heartbeat("n", 8)).unwrap()), of("t", &[3]));

    // The members of the old protocol go, and the rest is the new one's.
    let leaving =
        ["a", "x", "a"].map(|id| LeaveGroupMember { member_id: id.into(), ..Default::default() });
    let (records, answers) =
        world.group.leave_classic(world.now(), &leaving, &world.topics.image, &world.settings);
    world.append(records);
    let codes: Vec<ErrorCode> = answers.iter().map(|answer| answer.error_code).collect();
    let unknown = ErrorCode::UNKNOWN_MEMBER_ID;
    assert_eq!(codes, [ErrorCode::NONE, unknown, unknown]);
    world.wait(11 * SECOND);
    assert_eq!(world.group.member_count(), 1, "b was silent for its own session");
    let answer = world.send(&heartbeat("n", 8)).unwrap();
    assert_eq!(assigned(&answer), of("t", &[0, 1, 2, 3]));
    assert!(!world.group.wants_downgrade(&world.settings));
}

/// A group that goes back to the old protocol would lose its members.
#[test]
fn a_group_goes_back_when_the_last_new_member_has_gone() {
    let mut world = upgraded();
    world.send(&join("n", &["t"])).unwrap();
    assert!(!world.group.wants_downgrade(&world.settings));
    world.send(&heartbeat("n", -1)).unwrap();
    assert!(world.group.wants_downgrade(&world.settings));
    let classic = world.group.to_classic(&world.topics.image);
    assert_eq!((classic.generation, classic.protocol.as_deref()), (9, Some("range")));
    assert_eq!(classic.members, [member("a", &[0, 1]), member("b", &[2, 3])]);
    let settings = milena_cluster::group::consumer::Settings {
        migration: Migration::Upgrade,
        ..world.settings.clone()
    };
    assert!(!world.group.wants_downgrade(&settings));
    for record in world.group.tombstones() {
        let content = Content::read(&record.key, record.value.as_deref()).unwrap();
        assert!(content.is_tombstone());
        world.group.replay(&content);
    }
    assert!(!world.group.is_recorded());
}

/// A group would change its protocol that is not to, or that no consumers are in.
#[test]
fn not_every_classic_group_goes_over() {
    let world = World::new(&[("t", 4)]);
    let upgrade = |classic: &NeutralGroup, settings: &_| {
        let (now, topics) = (world.now(), &world.topics.image);
        Group::<Kip848>::from_classic(&"g".into(), classic, now, topics, settings)
    };
    let mut classic = NeutralGroup { members: vec![member("a", &[])], ..Default::default() };
    assert!(upgrade(&classic, &world.settings).is_ok());
    let mut settings = world.settings.clone();
    settings.max_size = 0;
    assert_eq!(code(upgrade(&classic, &settings)), ErrorCode::GROUP_ID_NOT_FOUND);
    settings = world.settings.clone();
    settings.migration = Migration::Downgrade;
    assert_eq!(code(upgrade(&classic, &settings)), ErrorCode::GROUP_ID_NOT_FOUND);
    classic.members[0].protocols[0].metadata = Bytes::from_static(b"?");
    assert_eq!(code(upgrade(&classic, &world.settings)), ErrorCode::GROUP_ID_NOT_FOUND);
}

/// An old client could not join a new group, or would with a protocol that the others lack.
#[test]
fn old_clients_join_new_groups() {
    let mut world = World::new(&[("t", 4)]);
    world.send(&join("n", &["t"])).unwrap();
    world.wait(SECOND);
    let named = send_join(&mut world, &classic_join("", &[])).unwrap();
    assert_eq!(named.error_code, ErrorCode::MEMBER_ID_REQUIRED);
    let id = named.member_id.to_string();
    assert!(world.group.member(&id).is_none());
    let answer = send_join(&mut world, &classic_join(&id, &[])).unwrap();
    assert_eq!((answer.generation_id, answer.error_code), (3, ErrorCode::NONE));
    assert_eq!(sync(&mut world, &id, 3), Ok(assignment(&[])), "nothing is free yet");
    assert_eq!(beat(&mut world, &id, 3), ErrorCode::NONE, "and nothing is to be had by joining");
    world.send(&heartbeat("n", 2)).unwrap();
    world.send(&owning("n", 2, &[("t", &[0, 1])])).unwrap();
    assert_eq!(beat(&mut world, &id, 3), ErrorCode::REBALANCE_IN_PROGRESS, "now there is");
    send_join(&mut world, &classic_join(&id, &[])).unwrap();
    assert_eq!(sync(&mut world, &id, 3), Ok(assignment(&[2, 3])));
    assert_eq!(world.state(), "Stable");
    assert_eq!(world.group.check_fetch(Some(&id), 2), Err(ErrorCode::ILLEGAL_GENERATION));

    // Who was let go and does not know gives up what it reads before it comes back.
    let lost = send_join(&mut world, &classic_join("lost", &[3])).unwrap_err();
    assert_eq!(lost, ErrorCode::UNKNOWN_MEMBER_ID);
    let mut other = classic_join("other", &[]);
    other.protocols[0].name = "odd".into();
    assert_eq!(send_join(&mut world, &other).unwrap_err(), ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    other = classic_join("other", &[]);
    other.protocol_type = "connect".into();
    assert_eq!(send_join(&mut world, &other).unwrap_err(), ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    // Members of the new protocol are none of the old.
    assert_eq!(beat(&mut world, "n", 3), ErrorCode::UNKNOWN_MEMBER_ID);
    world.settings.migration = Migration::Disabled;
    assert_eq!(
        send_join(&mut world, &classic_join("x", &[])).unwrap_err(),
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL
    );
}

/// An old client that joins and never asks for its part would hold partitions that nobody reads.
#[test]
fn a_member_that_does_not_sync_is_let_go() {
    let mut world = World::new(&[("t", 4)]);
    send_join(&mut world, &classic_join("a", &[])).unwrap();
    for _ in 0..7 {
        world.wait(SECOND);
        assert_eq!(beat(&mut world, "a", 2), ErrorCode::NONE);
    }
    world.wait(2 * SECOND);
    assert_eq!(beat(&mut world, "a", 2), ErrorCode::UNKNOWN_MEMBER_ID);
}

/// A static member that is restarted with the other protocol would be locked out.
#[test]
fn a_static_member_changes_its_protocol_in_a_restart() {
    let mut world = World::new(&[("t", 2)]);
    let mut old = classic_join("", &[]);
    old.group_instance_id = Some("i".into());
    let first = send_join(&mut world, &old).unwrap().member_id.to_string();
    let new = milena_protocol::api::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest {
        instance_id: Some("i".into()),
        ..join("n", &["t"])
    };
    let answer = world.send(&new).unwrap();
    assert_eq!(assigned(&answer), of("t", &[0, 1]));
    assert!(world.group.member(&first).is_none());
    world.now += 1;
    let back = send_join(&mut world, &old).unwrap().member_id.to_string();
    assert_eq!(world.group.member_count(), 1);
    assert_eq!(sync_static(&mut world, &back), Ok(assignment(&[0, 1])));
    assert!(world.group.wants_downgrade(&world.settings));
}

fn sync_static(world: &mut World, id: &str) -> Result<Bytes, ErrorCode> {
    let request = SyncGroupRequest {
        generation_id: world.group.member(id).unwrap().epoch,
        member_id: id.into(),
        group_instance_id: Some("i".into()),
        ..Default::default()
    };
    let answer =
        world.group.sync_classic(world.now(), &request, &world.topics.image, &world.settings);
    answer.map(|answer| answer.assignment)
}
