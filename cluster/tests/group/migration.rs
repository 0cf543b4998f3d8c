//! Groups that change their protocol while they have members, as the coordinator sees it (facts
//! N14, N15).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use milena_cluster::coordinator::Ticket;
use milena_cluster::coordinator::record;
use milena_cluster::group::consumer::{self, Migration};
use milena_cluster::group::{Answer, Caller, Request, Settings};
use milena_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    ConsumerGroupHeartbeatTopicPartitions,
};
use milena_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use milena_protocol::api::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use milena_protocol::codec::{Reader, Text};
use milena_protocol::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolAssignmentTopicPartition,
    ConsumerProtocolSubscription, ConsumerProtocolSubscriptionTopicPartition,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, PartitionIndex};
use milena_protocol::message::Message;

use super::topics::{Topics, incarnation};
use super::world::{GROUP, Joiner, SESSION_MS, World};

const NONE: ErrorCode = ErrorCode::NONE;
pub const TOPIC: &str = "topic";
/// The new protocol's session is longer than the old one's here.
const NEW_SESSION_MS: u64 = 45_000;

fn world(migration: Migration) -> World {
    let settings = Settings {
        initial_rebalance_delay: Duration::ZERO,
        consumer: consumer::Settings { migration, ..Default::default() },
        ..Settings::default()
    };
    World::with_topics(settings, &[(TOPIC, 4)])
}

fn indexes(partitions: &[i32]) -> Vec<PartitionIndex> {
    partitions.iter().copied().map(PartitionIndex).collect()
}

pub fn part(partitions: &[i32]) -> Bytes {
    part_with(partitions, None)
}

fn part_with(partitions: &[i32], user_data: Option<Bytes>) -> Bytes {
    let partitions = indexes(partitions);
    let owned = ConsumerProtocolAssignmentTopicPartition { topic: TOPIC.into(), partitions };
    let assigned = ConsumerProtocolAssignment { assigned_partitions: vec![owned], user_data };
    record::value(1, &assigned).unwrap()
}

/// The partitions in a part that a SyncGroup answered.
pub fn partitions(part: &Bytes) -> Vec<i32> {
    let (version, rest) = record::split(part).unwrap();
    let part = ConsumerProtocolAssignment::read(&mut Reader::new(rest), version).unwrap();
    part.assigned_partitions.iter().flat_map(|it| &it.partitions).map(|it| it.0).collect()
}

/// What a member says that reads the topic and has these of its partitions.
pub fn owning(partitions: &[i32]) -> Bytes {
    let partitions = indexes(partitions);
    let owned = ConsumerProtocolSubscriptionTopicPartition { topic: TOPIC.into(), partitions };
    let said = ConsumerProtocolSubscription {
        topics: vec![TOPIC.into()],
        owned_partitions: vec![owned],
        ..Default::default()
    };
    record::value(1, &said).unwrap()
}

/// A stable classic group of two members that have two partitions each.
fn pair(world: &mut World) -> (Vec<Joiner>, i32) {
    world.stable_with(2, |place, _| part(&[[0, 1], [2, 3]][place]))
}

pub fn request(id: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: GROUP.into(),
        member_id: id.into(),
        member_epoch: epoch,
        ..Default::default()
    }
}

pub fn join(id: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        rebalance_timeout_ms: 10_000,
        subscribed_topic_names: Some(vec![TOPIC.into()]),
        topic_partitions: Some(Vec::new()),
        ..request(id, 0)
    }
}

pub fn assigned(answer: &ConsumerGroupHeartbeatResponse) -> Option<Vec<i32>> {
    let topics = &answer.assignment.as_ref()?.topic_partitions;
    Some(topics.iter().flat_map(|topic| &topic.partitions).map(|it| it.0).collect())
}

/// The type and state that the group is listed with.
pub fn listed(world: &mut World) -> String {
    match world.ask(Request::List { states: Vec::new(), types: Vec::new() }) {
        Answer::List(groups) => {
            let each = groups.iter().map(|it| format!("{} {}", it.group_type, it.group_state));
            each.collect::<Vec<_>>().join(", ")
        }
        other => panic!("{other:?}"),
    }
}

fn sync(world: &mut World, id: &str, generation: i32) -> Result<Vec<i32>, ErrorCode> {
    let ticket = world.send_sync(id, generation, &[]);
    let answer = world.synced(ticket).expect("nobody waits in a consumer group");
    if answer.error_code.is_none() {
        Ok(partitions(&answer.assignment))
    } else {
        Err(answer.error_code)
    }
}

fn commit(world: &mut World, id: &str, generation: i32) -> ErrorCode {
    let partition = OffsetCommitRequestPartition {
        partition_index: PartitionIndex(0),
        committed_offset: Offset(5),
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: GROUP.into(),
        generation_id_or_member_epoch: generation,
        member_id: id.into(),
        topics: vec![OffsetCommitRequestTopic {
            name: TOPIC.into(),
            topic_id: incarnation(TOPIC, 0),
            partitions: vec![partition],
        }],
        ..Default::default()
    };
    // Older clients of the classic protocol speak older versions.
    match world.ask(Request::Commit(Caller { version: 8, ..Default::default() }, request)) {
        Answer::Commit(topics) => topics[0].1[0].1,
        other => panic!("{other:?}"),
    }
}

fn fetch(world: &mut World, id: &str, epoch: i32) -> Result<i64, ErrorCode> {
    let group = OffsetFetchRequestGroup {
        group_id: GROUP.into(),
        member_id: Some(id.into()),
        member_epoch: epoch,
        topics: Some(vec![OffsetFetchRequestTopics {
            name: TOPIC.into(),
            topic_id: incarnation(TOPIC, 0),
            partition_indexes: vec![PartitionIndex(0)],
        }]),
    };
    match world.ask(Request::Fetch(group, false)) {
        Answer::Fetch(group) if group.error_code.is_none() => {
            Ok(group.topics[0].partitions[0].committed_offset.0)
        }
        Answer::Fetch(group) => Err(group.error_code),
        other => panic!("{other:?}"),
    }
}

/// A group of two old members and a new one, who has joined last; its epoch.
fn mixed(world: &mut World) -> (Vec<Joiner>, i32) {
    let (members, generation) = pair(world);
    assert_eq!(listed(world), "classic Stable");
    let answer = world.beat(join("new"));
    assert_eq!((answer.error_code, answer.member_epoch), (NONE, generation + 1));
    (members, answer.member_epoch)
}

/// A rolling restart to the new protocol would stop at its first member, or have partitions read
/// twice, also when the coordinator moves meanwhile (N14).
#[test]
fn a_group_with_members_goes_over_to_the_new_protocol() {
    for crashes in [false, true] {
        let mut world = world(Migration::Bidirectional);
        let crash = |world: &mut World| {
            if crashes {
                world.crash()
            }
        };
        let (mut members, epoch) = mixed(&mut world);
        crash(&mut world);
        assert_eq!(listed(&mut world), "consumer Reconciling");
        // Everyone keeps what it has until it is told to give some of it up.
        let generation = epoch - 1;
        assert_eq!(commit(&mut world, &members[0].id, generation), NONE);
        let mut owned = Vec::new();
        for (member, had) in members.iter_mut().zip([[0, 1], [2, 3]]) {
            let told = world.heartbeat(&member.id, generation);
            assert_eq!(told, ErrorCode::REBALANCE_IN_PROGRESS);
            member.metadata = owning(&had);
            let ticket = world.send_join(member);
            let joined = world.joined(ticket).expect("nobody waits");
            assert_eq!((joined.error_code, joined.leader.as_str()), (NONE, ""));
            crash(&mut world);
            let mine = sync(&mut world, &member.id, joined.generation_id).unwrap();
            assert!(mine.iter().all(|index| had.contains(index)), "{mine:?}");
            if joined.generation_id < epoch {
                let told = world.heartbeat(&member.id, joined.generation_id);
                assert_eq!(told, ErrorCode::REBALANCE_IN_PROGRESS, "it has given some up");
                member.metadata = owning(&mine);
                let ticket = world.send_join(member);
                assert_eq!(world.joined(ticket).unwrap().generation_id, epoch);
                assert_eq!(sync(&mut world, &member.id, epoch), Ok(mine.clone()));
            }
            owned.extend(mine);
        }
        crash(&mut world);
        let answer = world.beat(request("new", epoch));
        owned.extend(assigned(&answer).unwrap());
        owned.sort_unstable();
        assert_eq!(owned, [0, 1, 2, 3], "each is read by one");
        assert_eq!(listed(&mut world), "consumer Stable");
    }
}

/// Members that wait for the next generation of a group that is gone would wait for ever (N14).
#[test]
fn whoever_waits_in_the_classic_group_asks_again() {
    let mut world = world(Migration::Bidirectional);
    let (members, generation) = pair(&mut world);
    let waits = world.send_join(&members[0]);
    assert!(world.joined(waits).is_none());
    assert_eq!(world.beat(join("new")).error_code, NONE);
    assert_eq!(world.joined(waits).unwrap().error_code, ErrorCode::REBALANCE_IN_PROGRESS);
    let ticket = world.send_join(&members[0]);
    assert_eq!(world.joined(ticket).unwrap().error_code, NONE);

    // And so would those who wait for their part.
    let mut world = self::world(Migration::Bidirectional);
    let (members, _) = pair(&mut world);
    let tickets: Vec<Ticket> = members.iter().map(|member| world.send_join(member)).collect();
    let joined: Vec<_> = tickets.into_iter().map(|it| world.joined(it).unwrap()).collect();
    let follower = &members[1].id;
    assert_ne!(joined[0].leader.as_str(), follower);
    let waits = world.send_sync(follower, generation + 1, &[]);
    assert!(world.synced(waits).is_none());
    assert_eq!(world.beat(join("new")).member_epoch, generation + 2);
    assert_eq!(world.synced(waits).unwrap().error_code, ErrorCode::REBALANCE_IN_PROGRESS);
}

/// A group would change its protocol that is not to, or whose members the broker cannot read; and
/// an operator could not keep both apart (N14).
#[test]
fn not_every_classic_group_goes_over() {
    for migration in [Migration::Disabled, Migration::Downgrade] {
        let mut world = world(migration);
        let (members, generation) = pair(&mut world);
        let written = world.written();
        assert_eq!(world.beat(join("new")).error_code, ErrorCode::GROUP_ID_NOT_FOUND);
        assert_eq!(world.written(), written, "nothing has changed");
        assert_eq!(world.heartbeat(&members[0].id, generation), NONE);
        // One that nobody is in goes over whatever the policy.
        members.iter().for_each(|member| assert_eq!(world.leave(&member.id), NONE));
        assert_eq!(world.beat(join("new")).error_code, NONE);
        assert_eq!(listed(&mut world), "consumer Stable");
        world.crash();
        assert_eq!(listed(&mut world), "consumer Stable");
    }
    // What these were assigned is nothing that a consumer writes.
    let mut world = world(Migration::Bidirectional);
    let (members, generation) = world.stable(2);
    assert_eq!(world.beat(join("new")).error_code, ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(world.heartbeat(&members[0].id, generation), NONE);
    // Whoever is refused by the group that would be leaves the classic one as it is.
    let mut world = self::world(Migration::Bidirectional);
    let (members, generation) = pair(&mut world);
    let written = world.written();
    let invalid = ConsumerGroupHeartbeatRequest { rebalance_timeout_ms: -1, ..join("new") };
    assert_eq!(world.beat(invalid).error_code, ErrorCode::INVALID_REQUEST);
    assert_eq!(world.written(), written, "nothing has changed");
    assert_eq!(world.heartbeat(&members[0].id, generation), NONE);
    // Nor is what an assignor of their own tells them besides, as in Kafka Streams.
    let mut world = self::world(Migration::Bidirectional);
    let (streams, at) = world.stable_with(1, |_, _| part_with(&[0, 1, 2, 3], Some("tasks".into())));
    assert_eq!(world.beat(join("new")).error_code, ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(world.heartbeat(&streams[0].id, at), NONE);
    // And groups that do something else than consume.
    let mut world = self::world(Migration::Bidirectional);
    let connect = Joiner { protocol_type: "connect", version: 3, ..Joiner::new() };
    let ticket = world.send_join(&connect);
    assert_eq!(world.joined(ticket).unwrap().error_code, NONE);
    assert_eq!(world.beat(join("new")).error_code, ErrorCode::GROUP_ID_NOT_FOUND);
    // Whoever does not join has no group to be in.
    assert_eq!(world.beat(request("new", 3)).error_code, ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(world.beat(request("new", -1)).error_code, ErrorCode::GROUP_ID_NOT_FOUND);
}

/// Members would be told to read a topic that there is no more, or its namesake (N14).
#[test]
fn a_deleted_topic_is_left_behind() {
    let mut world = world(Migration::Bidirectional);
    let (members, generation) = pair(&mut world);
    let mut topics = Topics::new(&[(TOPIC, 4)]);
    topics.remove(TOPIC);
    topics.grow(TOPIC, 1);
    world.topics = Arc::new(topics.image);
    let joins = join("new");
    let joined = world.beat(joins);
    assert_eq!((joined.error_code, joined.member_epoch), (NONE, generation + 1));
    let mut owned = assigned(&joined).unwrap();
    for member in &members {
        let ticket = world.send_join(&Joiner { metadata: owning(&[]), ..member.clone() });
        let at = world.joined(ticket).unwrap().generation_id;
        assert_eq!(at, generation + 1, "there is nothing to give up");
        owned.extend(sync(&mut world, &member.id, at).unwrap());
    }
    assert_eq!(owned, [0]);
}

/// A consumer that has not been restarted yet, or is restarted with the old version, would be
/// locked out of its group (N14, N15).
#[test]
fn a_classic_member_joins_a_consumer_group() {
    let mut world = world(Migration::Bidirectional);
    let epoch = world.beat(join("new")).member_epoch;
    world.pass(1_000);
    let mut old = Joiner { metadata: owning(&[]), ..Joiner::new() };
    let ticket = world.send_join(&old);
    let told = world.joined(ticket).unwrap();
    assert_eq!(told.error_code, ErrorCode::MEMBER_ID_REQUIRED);
    old.id = told.member_id.to_string();
    let ticket = world.send_join(&old);
    let joined = world.joined(ticket).unwrap();
    assert_eq!((joined.error_code, joined.generation_id), (NONE, epoch + 1));
    let generation = joined.generation_id;
    assert_eq!(sync(&mut world, &old.id, generation), Ok(vec![]));
    assert_eq!(world.heartbeat(&old.id, generation), NONE);
    world.crash();
    // The other gives up two, and there is something to be had by joining.
    let has: Vec<i32> = assigned(&world.beat(request("new", epoch))).unwrap();
    let owned = ConsumerGroupHeartbeatTopicPartitions {
        topic_id: incarnation(TOPIC, 0),
        partitions: indexes(&has),
    };
    world.beat(ConsumerGroupHeartbeatRequest {
        topic_partitions: Some(vec![owned]),
        ..request("new", epoch)
    });
    assert_eq!(world.heartbeat(&old.id, generation), ErrorCode::REBALANCE_IN_PROGRESS);
    let ticket = world.send_join(&old);
    assert_eq!(world.joined(ticket).unwrap().generation_id, generation);
    let mine = sync(&mut world, &old.id, generation).unwrap();
    assert_eq!((mine.len(), has.len()), (2, 2));
    assert!(mine.iter().all(|index| !has.contains(index)), "each is read by one");

    // Its generation is what its offsets are stored and shown with.
    assert_eq!(commit(&mut world, &old.id, generation), NONE);
    assert_eq!(commit(&mut world, &old.id, generation + 1), ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(fetch(&mut world, &old.id, generation), Ok(5));
    assert_eq!(fetch(&mut world, &old.id, generation - 1), Err(ErrorCode::ILLEGAL_GENERATION));

    // Whoever does something else is none of theirs, nor are strangers.
    let connect = Joiner { protocol_type: "connect", version: 3, ..Joiner::new() };
    let ticket = world.send_join(&connect);
    let refused = world.joined(ticket).unwrap().error_code;
    assert_eq!(refused, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    assert_eq!(world.heartbeat("new", epoch), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(sync(&mut world, "who", 1), Err(ErrorCode::UNKNOWN_MEMBER_ID));
    assert_eq!(world.leave("who"), ErrorCode::UNKNOWN_MEMBER_ID);
    // It goes, and the rest stays what it is.
    assert_eq!(world.leave(&old.id), NONE);
    assert_eq!(world.heartbeat(&old.id, generation), ErrorCode::UNKNOWN_MEMBER_ID);
    assert!(listed(&mut world).starts_with("consumer "));
    // An operator removes members of either protocol in this way.
    assert_eq!(world.leave("new"), NONE);
    assert_eq!(world.leave("new"), ErrorCode::UNKNOWN_MEMBER_ID);
}

/// An operator who keeps the protocols apart would find them mixed (N14).
#[test]
fn nobody_joins_with_the_other_protocol_where_that_is_disabled() {
    let mut world = world(Migration::Disabled);
    assert_eq!(world.beat(join("new")).error_code, NONE);
    let written = world.written();
    let ticket = world.send_join(&Joiner { version: 3, ..Joiner::new() });
    let refused = world.joined(ticket).unwrap().error_code;
    assert_eq!(refused, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    assert_eq!(world.written(), written);
}

/// The members of the old protocol would be led by nobody when a restart to the new one is taken
/// back, and what the last of the new ones read would be read by nobody (N14).
#[test]
fn a_group_goes_back_when_its_last_new_member_has_gone() {
    for (crashes, leaves) in [(false, true), (true, true), (false, false)] {
        let mut world = world(Migration::Bidirectional);
        let (mut members, epoch) = mixed(&mut world);
        if leaves {
            assert_eq!(world.beat(request("new", -1)).error_code, NONE);
        } else {
            // It is not heard of any more. The others are, whatever they are told.
            for _ in 0..NEW_SESSION_MS / 5_000 {
                members.iter().for_each(|member| {
                    let ticket = world.send_join(member);
                    let at = world.joined(ticket).map_or(epoch, |joined| joined.generation_id);
                    let ticket = world.send_sync(&member.id, at, &[]);
                    world.synced(ticket);
                });
                world.pass(5_000);
            }
        }
        assert_eq!(listed(&mut world), "classic PreparingRebalance");
        if crashes {
            world.crash();
            assert_eq!(listed(&mut world), "classic PreparingRebalance");
        }
        let told = world.heartbeat(&members[0].id, epoch - 1);
        assert_eq!(told, ErrorCode::ILLEGAL_GENERATION, "they join again");
        members.iter_mut().for_each(|member| member.metadata = owning(&[]));
        let tickets: Vec<Ticket> = members.iter().map(|member| world.send_join(member)).collect();
        let joined: Vec<_> = tickets.into_iter().map(|it| world.joined(it).unwrap()).collect();
        assert!(joined.iter().all(|it| it.error_code.is_none() && it.generation_id > epoch));
        assert_eq!(joined.iter().map(|it| it.members.len()).sum::<usize>(), 2, "one leads");
        world.crash();
        assert!(listed(&mut world).starts_with("classic "));
        assert_eq!(world.beat(request("new", epoch)).error_code, ErrorCode::GROUP_ID_NOT_FOUND);
    }
}

/// In epoch 0 a consumer would ask as if it had not joined, without what is asked of it then, and
/// be refused for good. No assignment is due: there was one just now, but it could not be written.
#[test]
fn the_first_member_is_assigned_at_once_also_when_the_disk_was_full_before() {
    let mut world = world(Migration::Bidirectional);
    let vain = world.beating(join("first"));
    assert_eq!(world.ask_in_vain(vain), None);
    let first = world.beat(join("first"));
    assert_eq!((first.error_code, first.member_epoch > 0), (NONE, true));
}

/// A disk that is full while a group changes its protocol would leave its members in none, or in
/// one that is gone with the next coordinator (N14).
#[test]
fn a_change_that_cannot_be_written_has_not_happened() {
    let mut world = world(Migration::Bidirectional);
    let vain = world.beating(join("new"));
    assert_eq!(world.ask_in_vain(vain), None);
    // One that was to begin is forgotten in time.
    world.pass(NEW_SESSION_MS);
    assert_eq!(listed(&mut world), "");
    let (members, generation) = pair(&mut world);
    let vain = world.beating(join("new"));
    assert_eq!(world.ask_in_vain(vain), None);
    assert_eq!(listed(&mut world), "classic Stable");
    members.iter().for_each(|member| assert_eq!(world.heartbeat(&member.id, generation), NONE));
    let epoch = world.beat(join("new")).member_epoch;
    let vain = world.beating(request("new", -1));
    assert_eq!(world.ask_in_vain(vain), None);
    assert_eq!(listed(&mut world), "consumer Reconciling");
    assert_eq!(world.beat(request("new", epoch)).error_code, NONE);
    assert_eq!(world.beat(request("new", -1)).error_code, NONE);
    assert_eq!(listed(&mut world), "classic PreparingRebalance");
}

/// A group would go back to the old protocol where that is not wanted, and not where it is wanted
/// since the last coordinator (N14).
#[test]
fn the_policy_says_whether_a_group_goes_back() {
    let mut world = world(Migration::Upgrade);
    let (members, epoch) = mixed(&mut world);
    assert_eq!(world.beat(request("new", -1)).error_code, NONE);
    assert!(listed(&mut world).starts_with("consumer "));
    world.crash();
    assert!(listed(&mut world).starts_with("consumer "));
    assert_eq!(world.heartbeat(&members[0].id, epoch - 1), ErrorCode::REBALANCE_IN_PROGRESS);
    let settings = Settings::clone(&world.settings);
    let consumer = consumer::Settings::default();
    world.settings = Arc::new(Settings { consumer, ..settings });
    world.crash();
    assert_eq!(listed(&mut world), "classic PreparingRebalance");
    let written = world.written();
    world.crash();
    assert_eq!(listed(&mut world), "classic PreparingRebalance");
    assert_eq!(world.written(), written, "it does so once");
}

/// A static member that is restarted with the old version, as the last one, would find a group
/// that cannot be led by it (N14).
#[test]
fn a_group_goes_back_when_its_last_new_member_is_replaced() {
    let mut world = world(Migration::Bidirectional);
    let new = ConsumerGroupHeartbeatRequest {
        instance_id: Some(Text::from_static("one")),
        ..join("new")
    };
    assert_eq!(world.beat(new).error_code, NONE);
    let old = Joiner { metadata: owning(&[]), ..Joiner::named("one") };
    let ticket = world.send_join(&old);
    let joined = world.joined(ticket).unwrap();
    assert_eq!(joined.error_code, NONE);
    assert_eq!(listed(&mut world), "classic PreparingRebalance");
    world.crash();
    let ticket = world.send_join(&old);
    let joined = world.joined(ticket).unwrap();
    assert_eq!((joined.error_code, joined.members.len()), (NONE, 1));
}

/// The partitions of a consumer that joins and dies at once, or of classic members that die in a
/// consumer group, would be read by nobody (N8, N9).
#[test]
fn sessions_end_in_groups_that_have_just_begun() {
    let mut world = world(Migration::Bidirectional);
    assert_eq!(world.beat(join("new")).error_code, NONE);
    world.pass(NEW_SESSION_MS);
    assert_eq!(listed(&mut world), "consumer Empty");

    let mut world = self::world(Migration::Bidirectional);
    let (members, epoch) = mixed(&mut world);
    world.pass(SESSION_MS as u64);
    for member in &members {
        assert_eq!(world.heartbeat(&member.id, epoch - 1), ErrorCode::UNKNOWN_MEMBER_ID);
    }
    world.pass(1_000);
    assert_eq!(assigned(&world.beat(request("new", epoch))), Some(vec![0, 1, 2, 3]));
}
