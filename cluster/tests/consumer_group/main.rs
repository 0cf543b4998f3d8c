//! Consumer groups, fact by fact: one group, its log, and requests written by hand.

mod migration;
#[path = "../consumer_topics/mod.rs"]
mod topics;
mod world;

use std::time::Duration;

use milena_cluster::group::consumer::{Committer, MemberState};
use milena_protocol::api::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::PartitionIndex;

use world::{World, assigned, code, heartbeat, join, of, owning, topic_id};

const SECOND: Duration = Duration::from_secs(1);

/// Two members of a topic with four partitions, both with what they shall have.
fn pair() -> (World, i32) {
    let mut world = World::new(&[("t", 4)]);
    world.send(&join("a", &["t"])).unwrap();
    world.wait(SECOND);
    world.send(&join("b", &["t"])).unwrap();
    world.send(&heartbeat("a", 2)).unwrap();
    let answer = world.send(&owning("a", 2, &[("t", &[0, 1])])).unwrap();
    assert_eq!(answer.member_epoch, 3);
    assert_eq!(assigned(&world.send(&heartbeat("b", 3)).unwrap()), of("t", &[2, 3]));
    assert_eq!(world.state(), "Stable");
    (world, 3)
}

/// A lone consumer would wait for its partitions, or be told of them again and again.
#[test]
fn whoever_comes_first_gets_everything_at_once() {
    let mut world = World::new(&[("t", 3), ("other", 2)]);
    assert_eq!(code(world.send(&heartbeat("a", 2))), ErrorCode::GROUP_ID_NOT_FOUND);
    let answer = world.send(&join("a", &["t"])).unwrap();
    assert_eq!(answer.member_id.as_deref(), Some("a"));
    assert_eq!(answer.member_epoch, 2);
    assert_eq!(assigned(&answer), of("t", &[0, 1, 2]));
    assert_eq!(world.state(), "Stable");
    let before = world.log.len();
    assert_eq!(assigned(&world.send(&heartbeat("a", 2)).unwrap()), None);
    assert_eq!(world.log.len(), before, "nothing changes, nothing is written");
    // A full request is answered in full.
    let full = ConsumerGroupHeartbeatRequest {
        member_epoch: 2,
        topic_partitions: owning("a", 2, &[("t", &[0, 1, 2])]).topic_partitions,
        ..join("a", &["t"])
    };
    assert_eq!(assigned(&world.send(&full).unwrap()), of("t", &[0, 1, 2]));
    assert_eq!(world.log.len(), before);
}

/// What no batch can hold would take all groups of the coordinator down as soon as it is written.
#[test]
fn members_that_say_too_much_are_refused() {
    let mut world = World::new(&[("t", 1)]);
    world.settings.max_bytes = 2_000;
    let topics: Vec<String> = (0..200).map(|number| format!("topic-{number}")).collect();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    assert_eq!(code(world.send(&join("a", &topics))), ErrorCode::UNKNOWN_SERVER_ERROR);
    assert!(world.log.is_empty());
    world.send(&join("a", &topics[..100])).unwrap();
    let written = world.log.len();
    assert_eq!(code(world.send(&join("b", &topics[..100]))), ErrorCode::UNKNOWN_SERVER_ERROR);
    assert_eq!(world.log.len(), written);
    // What somebody says instead of something else counts alone.
    world.send(&join("a", &topics[50..100])).unwrap();
    world.send(&join("b", &topics[..1])).unwrap();
}

/// A client of version 0, which has no id of its own, could not join.
#[test]
fn version_0_is_given_an_id() {
    let mut world = World::new(&[("t", 1)]);
    assert_eq!(code(world.send(&join("", &["t"]))), ErrorCode::INVALID_REQUEST);
    let answer = world.send_as(0, &join("", &["t"])).unwrap();
    let id = answer.member_id.unwrap();
    assert_eq!(id.len(), 22);
    world.send_as(0, &heartbeat(&id, 2)).unwrap();
    assert_eq!(code(world.send_as(0, &heartbeat("", 1))), ErrorCode::INVALID_REQUEST);
}

/// Two members would read the same partition while it changes hands.
#[test]
fn a_partition_changes_hands_after_it_is_given_up() {
    let mut world = World::new(&[("t", 4)]);
    world.send(&join("a", &["t"])).unwrap();
    world.wait(SECOND);
    let joined = world.send(&join("b", &["t"])).unwrap();
    assert_eq!(joined.member_epoch, 3, "a newcomer is in the new epoch at once");
    assert_eq!(assigned(&joined), Some(Vec::new()), "and owns nothing yet");
    assert_eq!(world.group.member("b").unwrap().state, MemberState::UnreleasedPartitions);
    assert_eq!(world.state(), "Reconciling");

    let told = world.send(&heartbeat("a", 2)).unwrap();
    assert_eq!(told.member_epoch, 2, "it stays in its epoch until it has given up");
    assert_eq!(assigned(&told), of("t", &[0, 1]));
    assert_eq!(world.group.member("a").unwrap().state, MemberState::UnrevokedPartitions);
    // Silence says nothing, and neither does a report that still has them.
    assert_eq!(world.send(&heartbeat("a", 2)).unwrap().member_epoch, 2);
    assert_eq!(world.send(&owning("a", 2, &[("t", &[0, 1, 2, 3])])).unwrap().member_epoch, 2);
    assert_eq!(assigned(&world.send(&heartbeat("b", 3)).unwrap()), None);

    assert_eq!(world.send(&owning("a", 2, &[("t", &[0, 1])])).unwrap().member_epoch, 3);
    assert_eq!(assigned(&world.send(&heartbeat("b", 3)).unwrap()), of("t", &[2, 3]));
    assert_eq!(world.state(), "Stable");
}

/// The first request of a member would be taken though it leaves out what it must say.
#[test]
fn contradictory_requests_are_refused() {
    let mut world = World::new(&[("t", 1)]);
    let full = join("a", &["t"]);
    let requests = [
        ConsumerGroupHeartbeatRequest { rebalance_timeout_ms: -1, ..full.clone() },
        ConsumerGroupHeartbeatRequest { subscribed_topic_names: None, ..full.clone() },
        ConsumerGroupHeartbeatRequest { topic_partitions: None, ..full.clone() },
        ConsumerGroupHeartbeatRequest {
            topic_partitions: owning("a", 0, &[("t", &[0])]).topic_partitions,
            ..full.clone()
        },
        ConsumerGroupHeartbeatRequest { group_id: "".into(), ..full.clone() },
        ConsumerGroupHeartbeatRequest { instance_id: Some("".into()), ..full.clone() },
        ConsumerGroupHeartbeatRequest { rack_id: Some("".into()), ..full.clone() },
        ConsumerGroupHeartbeatRequest { member_id: "m".repeat(40_000).into(), ..full.clone() },
        heartbeat("", 1),
        heartbeat("a", -2),
        heartbeat("a", -3),
    ];
    for request in requests {
        assert_eq!(code(world.send(&request)), ErrorCode::INVALID_REQUEST, "{request:?}");
    }
    let odd = ConsumerGroupHeartbeatRequest { server_assignor: Some("odd".into()), ..full.clone() };
    assert_eq!(code(world.send(&odd)), ErrorCode::UNSUPPORTED_ASSIGNOR);
    assert!(!world.group.is_recorded());
    world.send(&full).unwrap();
    let other = ConsumerGroupHeartbeatRequest { member_id: "x".into(), ..heartbeat("x", 2) };
    assert_eq!(code(world.send(&other)), ErrorCode::UNKNOWN_MEMBER_ID);
}

/// A member that was left behind would go on reading what is somebody else's by now.
#[test]
fn another_epoch_is_fenced_unless_an_answer_was_lost() {
    let (mut world, epoch) = pair();
    assert_eq!(code(world.send(&heartbeat("a", epoch + 1))), ErrorCode::FENCED_MEMBER_EPOCH);
    assert_eq!(code(world.send(&heartbeat("a", epoch - 1))), ErrorCode::FENCED_MEMBER_EPOCH);
    // It owns only what it was given, and does not know that it is in the next epoch.
    let answer = world.send(&owning("a", epoch - 1, &[("t", &[0, 1])])).unwrap();
    assert_eq!(answer.member_epoch, epoch);
    let more = owning("a", epoch - 1, &[("t", &[0, 1, 2])]);
    assert_eq!(code(world.send(&more)), ErrorCode::FENCED_MEMBER_EPOCH);
}

/// A member whose answers are lost one after the other would be fenced.
#[test]
fn several_answers_may_be_lost() {
    let mut world = World::new(&[("t", 4)]);
    world.send(&join("a", &["t"])).unwrap();
    world.wait(SECOND);
    world.send(&join("b", &["t"])).unwrap();
    world.send(&heartbeat("a", 2)).unwrap();
    world.wait(SECOND);
    world.send(&join("c", &["t"])).unwrap();
    // It gives up, moves on, and does not hear of it, three times.
    for _ in 0..3 {
        let answer = world.send(&owning("a", 2, &[("t", &[0, 1])])).unwrap();
        assert_eq!(answer.member_epoch, 4);
        world.wait(Duration::from_millis(10));
    }
    world.send(&heartbeat("a", 4)).unwrap();
}

/// A fenced client, which comes back with the id it had, could not come back at all.
#[test]
fn a_member_may_join_again_with_its_id() {
    let (mut world, epoch) = pair();
    let answer = world.send(&join("a", &["t"])).unwrap();
    assert_eq!(answer.member_epoch, epoch);
    assert_eq!(assigned(&answer), of("t", &[0, 1]));
    // Also in the middle of giving up.
    world.wait(SECOND);
    world.send(&join("c", &["t"])).unwrap();
    world.send(&heartbeat("b", epoch)).unwrap();
    assert_eq!(world.group.member("b").unwrap().state, MemberState::UnrevokedPartitions);
    let answer = world.send(&join("b", &["t"])).unwrap();
    assert_eq!(answer.member_epoch, epoch + 1, "who joins owns nothing");
}

/// Partitions of a member that is gone would be read by nobody, or by two.
#[test]
fn what_a_leaver_had_is_free_at_once() {
    let (mut world, _) = pair();
    world.wait(SECOND);
    let answer = world.send(&heartbeat("a", -1)).unwrap();
    assert_eq!((answer.member_epoch, answer.member_id.as_deref()), (-1, Some("a")));
    assert_eq!(code(world.send(&heartbeat("a", -1))), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(code(world.send(&heartbeat("a", 3))), ErrorCode::UNKNOWN_MEMBER_ID);
    let answer = world.send(&heartbeat("b", 3)).unwrap();
    assert_eq!(assigned(&answer), of("t", &[0, 1, 2, 3]));
    assert_eq!(answer.member_epoch, 4);
    world.send(&heartbeat("b", -1)).unwrap();
    assert_eq!(world.state(), "Empty");
    let tombstones = world.group.tombstones();
    world.append(tombstones);
    assert!(!world.group.is_recorded() && world.group.deadline().is_none());
}

/// A member that died would keep its partitions for ever.
#[test]
fn a_silent_member_is_let_go_after_its_session() {
    let (mut world, _) = pair();
    world.wait(44 * SECOND);
    world.send(&heartbeat("b", 3)).unwrap();
    world.wait(2 * SECOND);
    assert_eq!(world.group.member_count(), 1);
    assert_eq!(code(world.send(&heartbeat("a", 3))), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(assigned(&world.send(&heartbeat("b", 3)).unwrap()), of("t", &[0, 1, 2, 3]));
    // A new coordinator gives everyone the whole time again.
    world.restart();
    world.wait(44 * SECOND);
    assert_eq!(world.group.member_count(), 1);
    world.wait(2 * SECOND);
    assert_eq!(world.state(), "Empty");
}

/// One member that never gives up its partitions would stop the whole group.
#[test]
fn a_member_that_does_not_give_up_in_time_is_fenced() {
    for restarts in [false, true] {
        let (mut world, epoch) = pair();
        world.wait(SECOND);
        world.send(&join("c", &["t"])).unwrap();
        let told = world.send(&heartbeat("b", epoch)).unwrap();
        let kept = assigned(&told).unwrap_or_else(|| of("t", &[2, 3]).unwrap());
        assert_eq!(kept.len(), 1, "one of two goes to the newcomer");
        let late = if restarts { 11 } else { 5 };
        world.wait(Duration::from_secs(5));
        if restarts {
            world.restart();
        }
        for _ in 0..late {
            world.wait(SECOND);
            let _ = world.send(&heartbeat("b", epoch));
        }
        assert!(world.group.member("b").is_none(), "heartbeats alone do not help");
    }
}

/// What a member leaves out of a heartbeat would be taken back.
#[test]
fn what_is_left_out_stays() {
    let mut world = World::new(&[("t", 2), ("u", 2)]);
    let first = ConsumerGroupHeartbeatRequest {
        rack_id: Some("r".into()),
        server_assignor: Some("range".into()),
        ..join("a", &["t"])
    };
    world.send(&first).unwrap();
    world.send(&heartbeat("a", 2)).unwrap();
    let member = world.group.member("a").unwrap();
    assert_eq!(member.rack_id.as_deref(), Some("r"));
    assert_eq!(member.assignor.as_deref(), Some("range"));
    assert_eq!(member.rebalance_timeout_ms, 10_000);
    assert!(member.topics.contains("t"));
    world.wait(SECOND);
    // Another subscription is another group epoch.
    let other = ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: Some(vec!["u".into()]),
        ..heartbeat("a", 2)
    };
    let answer = world.send(&other).unwrap();
    assert_eq!((answer.member_epoch, assigned(&answer)), (2, Some(Vec::new())));
    let answer = world.send(&owning("a", 2, &[])).unwrap();
    assert_eq!((answer.member_epoch, assigned(&answer)), (3, of("u", &[0, 1])));
}

/// New partitions of a topic would be read by nobody until somebody joins or leaves.
#[test]
fn topics_that_change_are_noticed() {
    let mut world = World::new(&[("t", 1)]);
    world.send(&join("a", &["t", "later"])).unwrap();
    world.wait(SECOND);
    world.topics.grow("t", 3);
    let answer = world.send(&heartbeat("a", 2)).unwrap();
    assert_eq!((answer.member_epoch, assigned(&answer)), (3, of("t", &[0, 1, 2])));
    world.wait(SECOND);
    world.topics.grow("unrelated", 3);
    assert_eq!(world.send(&heartbeat("a", 3)).unwrap().member_epoch, 3);
    world.topics.grow("later", 1);
    let records = world.group.metadata_changed(world.now(), &world.topics.image, &world.settings);
    world.append(records);
    assert_eq!(world.group.epoch(), 4, "also without a heartbeat");
    let answer = world.send(&heartbeat("a", 3)).unwrap();
    assert_eq!(assigned(&answer).unwrap().len(), 4);
    world.wait(SECOND);
    world.topics.remove("t");
    let answer = world.send(&heartbeat("a", 4)).unwrap();
    assert_eq!(assigned(&answer), of("later", &[0]));
    assert_eq!(world.send(&owning("a", 4, &[("later", &[0])])).unwrap().member_epoch, 5);
}

/// A subscription by expression would miss topics, or keep those that are gone.
#[test]
fn expressions_follow_the_topics() {
    let mut world = World::new(&[("orders-1", 1), ("my-orders-1", 1)]);
    let by = |expression: &str, epoch| ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some(expression.into()),
        member_epoch: epoch,
        ..join("a", &[])
    };
    assert_eq!(code(world.send(&by("[", 0))), ErrorCode::INVALID_REGULAR_EXPRESSION);
    assert!(!world.group.is_recorded());
    let answer = world.send(&by("orders-.*", 0)).unwrap();
    assert_eq!(assigned(&answer), of("orders-1", &[0]));
    assert!(world.group.subscribes("orders-1") && !world.group.subscribes("my-orders-1"));
    world.wait(SECOND);
    world.topics.grow("orders-2", 2);
    assert_eq!(assigned(&world.send(&heartbeat("a", 2)).unwrap()).unwrap().len(), 3);
    world.restart();
    assert!(world.group.subscribes("orders-2"));
    // An empty expression takes it back.
    world.wait(SECOND);
    let other = ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: Some(vec!["my-orders-1".into()]),
        topic_partitions: Some(Vec::new()),
        ..by("", 2)
    };
    let answer = world.send(&other).unwrap();
    assert_eq!(assigned(&answer), of("my-orders-1", &[0]));
    assert!(!world.group.subscribes("orders-1"));
}

/// A static member would lose its partitions over a restart, or two would share a name.
#[test]
fn a_static_member_comes_back_to_what_it_had() {
    let named = |id: &str, epoch| ConsumerGroupHeartbeatRequest {
        instance_id: Some("i".into()),
        ..if epoch == 0 { join(id, &["t"]) } else { heartbeat(id, epoch) }
    };
    let (mut world, _) = pair();
    world.wait(SECOND);
    world.send(&named("s", 0)).unwrap();
    for (id, owned) in [("a", vec![0, 1]), ("b", vec![2, 3])] {
        let answer = world.send(&heartbeat(id, 3)).unwrap();
        let owned = assigned(&answer).map_or(owned, |it| it.iter().map(|it| it.1).collect());
        world.send(&owning(id, 3, &[("t", &owned)])).unwrap();
    }
    let mine = assigned(&world.send(&named("s", 4)).unwrap()).unwrap();
    assert!(!mine.is_empty());
    assert_eq!(world.state(), "Stable");
    // While it is there, nobody else is it.
    assert_eq!(code(world.send(&named("s2", 0))), ErrorCode::UNRELEASED_INSTANCE_ID);
    assert_eq!(code(world.send(&named("s2", 4))), ErrorCode::FENCED_INSTANCE_ID);
    assert_eq!(code(world.send(&named("s2", -2))), ErrorCode::FENCED_INSTANCE_ID);
    // Its answer to the join was lost: it is still the same process.
    assert_eq!(assigned(&world.send(&named("s", 0)).unwrap()), Some(mine.clone()));

    let epoch = world.group.epoch();
    assert_eq!(world.send(&named("s", -2)).unwrap().member_epoch, -2);
    assert_eq!(code(world.send(&named("s", 4))), ErrorCode::FENCED_MEMBER_EPOCH);
    assert!(world.group.owner(mine[0].0, PartitionIndex(mine[0].1)).is_some(), "it is kept");
    world.restart();
    let back = world.send(&named("s2", 0)).unwrap();
    assert_eq!((back.member_epoch, assigned(&back)), (4, Some(mine)));
    assert_eq!(world.group.epoch(), epoch, "nothing is assigned anew");
    assert!(world.group.member("s").is_none());
    assert_eq!(world.state(), "Stable");
    assert_eq!(code(world.send(&named("s", 4))), ErrorCode::FENCED_INSTANCE_ID);
    // It leaves for a while, and does not come back in time.
    world.send(&named("s2", -2)).unwrap();
    world.wait(Duration::from_secs(40));
    for id in ["a", "b"] {
        world.send(&heartbeat(id, 4)).unwrap();
    }
    world.wait(Duration::from_secs(10));
    assert_eq!(world.group.member_count(), 2);
    assert_eq!(code(world.send(&named("s2", 4))), ErrorCode::UNKNOWN_MEMBER_ID);
}

/// A group would grow beyond what it may.
#[test]
fn a_full_group_takes_nobody_else() {
    let (mut world, epoch) = pair();
    world.settings.max_size = 2;
    assert_eq!(code(world.send(&join("c", &["t"]))), ErrorCode::GROUP_MAX_SIZE_REACHED);
    world.send(&heartbeat("a", epoch)).unwrap();
    world.send(&join("a", &["t"])).unwrap();
}

/// Offsets of a former owner would overwrite those of the present one.
#[test]
fn commits_of_an_older_epoch_count_only_for_what_the_member_has_had_since() {
    let (mut world, _) = pair();
    let by = |member_id, epoch| Committer {
        member_id,
        instance_id: None,
        epoch,
        in_transaction: false,
        version: 9,
    };
    let of_t = |world: &World, committer: &Committer<'_>, index| {
        world.group.check_commit_of(committer, topic_id("t"), PartitionIndex(index))
    };
    let stale = Err(ErrorCode::STALE_MEMBER_EPOCH);
    let (current, older) = (by("a", 3), by("a", 2));
    for committer in [&current, &older] {
        assert_eq!(world.group.check_commit(committer), Ok(()));
        assert_eq!(of_t(&world, committer, 1), Ok(()));
    }
    assert_eq!(of_t(&world, &current, 3), Ok(()), "the client is trusted in its own epoch");
    assert_eq!(of_t(&world, &older, 3), stale, "it has been given away");
    assert_eq!(of_t(&world, &by("b", 2), 3), stale, "it was given in epoch 3");
    assert_eq!(code(world.group.check_commit(&by("a", 4))), ErrorCode::STALE_MEMBER_EPOCH);
    assert_eq!(code(world.group.check_commit(&by("x", 3))), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(code(world.group.check_commit(&by("", -1))), ErrorCode::UNKNOWN_MEMBER_ID);
    let old_client = Committer { version: 8, ..by("a", 3) };
    assert_eq!(code(world.group.check_commit(&old_client)), ErrorCode::UNSUPPORTED_VERSION);
    let in_transaction = Committer { in_transaction: true, version: 3, ..by("", -1) };
    assert_eq!(world.group.check_commit(&in_transaction), Ok(()));
    assert_eq!(of_t(&world, &in_transaction, 0), Ok(()));

    assert_eq!(world.group.check_fetch(None, -1), Ok(()));
    assert_eq!(world.group.check_fetch(Some("a"), 3), Ok(()));
    assert_eq!(world.group.check_fetch(Some("a"), 2), stale);
    assert_eq!(world.group.check_fetch(Some("x"), 1), Err(ErrorCode::UNKNOWN_MEMBER_ID));
    // Tools may set the offsets of a group that nobody is in.
    world.send(&heartbeat("a", -1)).unwrap();
    world.send(&heartbeat("b", -1)).unwrap();
    assert_eq!(world.group.check_commit(&by("", -1)), Ok(()));
}

/// Tools would show a group other than it is.
#[test]
fn a_description_says_who_has_what() {
    let (mut world, _) = pair();
    world.wait(SECOND);
    world.send(&join("c", &["t"])).unwrap();
    let group = world.group.describe(&world.topics.image, &world.settings);
    assert_eq!((group.group_id.as_str(), group.group_state.as_str()), ("g", "Reconciling"));
    assert_eq!((group.group_epoch, group.assignment_epoch), (4, 4));
    assert_eq!(group.assignor_name.as_str(), "uniform");
    let ids: Vec<&str> = group.members.iter().map(|member| member.member_id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    let member = &group.members[0];
    assert_eq!((member.client_id.as_str(), member.client_host.as_str()), ("client", "/127.0.0.1"));
    assert_eq!(member.assignment.topic_partitions[0].topic_name.as_str(), "t");
    assert_eq!(member.assignment.topic_partitions[0].partitions.len(), 2);
    assert_eq!((member.member_type, member.member_epoch), (1, 3));
    assert!(group.members[2].assignment.topic_partitions.is_empty());
    assert_eq!(group.members[2].target_assignment.topic_partitions.len(), 1);
    // Something has changed and is not assigned yet.
    world.send(&join("d", &["t"])).unwrap();
    assert_eq!(world.state(), "Assigning");
}

/// The assignor would be another one than most members want.
#[test]
fn most_members_choose_the_assignor() {
    let mut world = World::new(&[("t", 4)]);
    let with = |id: &str, name: &str| ConsumerGroupHeartbeatRequest {
        server_assignor: Some(name.into()),
        ..join(id, &["t"])
    };
    for (id, name) in [("a", "range"), ("b", "uniform"), ("c", "range")] {
        world.send(&with(id, name)).unwrap();
    }
    assert_eq!(world.group.assignor(&world.settings).name(), "range");
    world.send(&with("d", "uniform")).unwrap();
    assert_eq!(world.group.assignor(&world.settings).name(), "uniform", "the first configured");
}

/// What was decided and could not be written would be half in force: a new partition forgotten, or
/// somebody waited for who never joined, for ever and at once.
#[test]
fn a_refused_append_leaves_nothing_behind() {
    let mut world = World::new(&[("t", 2)]);
    world.refuse(&join("a", &["t"]));
    assert!(!world.group.is_recorded());
    world.wait(60 * SECOND);
    assert_eq!(world.group.deadline(), None);

    world.send(&join("a", &["t"])).unwrap();
    world.wait(SECOND);
    world.topics.grow("t", 3);
    world.refuse(&heartbeat("a", 2));
    world.refuse(&join("b", &["t"]));
    assert_eq!((world.group.epoch(), world.group.member_count()), (2, 1));
    world.wait(SECOND);
    let answer = world.send(&heartbeat("a", 2)).unwrap();
    assert_eq!((answer.member_epoch, assigned(&answer)), (3, of("t", &[0, 1, 2])));
    world.wait(60 * SECOND);
    assert_eq!((world.state(), world.group.deadline()), ("Empty", None));
}

/// A static member that leaves while it is to give up partitions would be waited for over and over.
#[test]
fn who_leaves_for_a_while_is_not_asked_to_give_up() {
    let mut world = World::new(&[("t", 2)]);
    let named = |request: ConsumerGroupHeartbeatRequest| ConsumerGroupHeartbeatRequest {
        instance_id: Some("i".into()),
        ..request
    };
    world.send(&named(join("b", &["t"]))).unwrap();
    world.wait(SECOND);
    world.send(&join("c", &["t"])).unwrap();
    world.send(&named(heartbeat("b", 2))).unwrap();
    assert_eq!(world.group.member("b").unwrap().state, MemberState::UnrevokedPartitions);
    world.send(&named(heartbeat("b", -2))).unwrap();
    assert_eq!(assigned(&world.send(&heartbeat("c", 3)).unwrap()), of("t", &[1]));
    world.wait(20 * SECOND);
    assert!(world.group.member("b").is_some(), "its session is not over");
    world.wait(30 * SECOND);
    assert!(world.group.member("b").is_none());
}

/// A group of fifty would take as long to be assigned as it does elsewhere.
#[test]
fn fifty_members_and_one_more_are_assigned_within_half_a_second() {
    let mut world = World::new(&[("t", 100)]);
    let mut consumers: Vec<Consumer> = Vec::new();
    // They come within a tenth of a second.
    for at in 0..50 {
        world.wait(Duration::from_millis(2));
        consumers.push(Consumer::join(&mut world, &format!("m{at:02}")));
    }
    let began = world.now - 100;
    let took = converge(&mut world, &mut consumers) - began;
    assert!(took <= 500, "fifty members took {took} ms");
    world.wait(Duration::from_secs(1));
    for consumer in &mut consumers {
        // Their heartbeats are spread over the interval, as they are in life.
        consumer.next_at = world.now + consumer.number * 6;
    }
    let began = world.now;
    consumers.push(Consumer::join(&mut world, "one-more"));
    let took = converge(&mut world, &mut consumers) - began;
    assert!(took <= 500, "one more took {took} ms");
    let counts: Vec<usize> = consumers.iter().map(|it| it.owned.len()).collect();
    assert!(counts.iter().all(|count| (1..=2).contains(count)), "{counts:?}");
}

/// A client that does what it is told, and answers at once when it has given up partitions.
struct Consumer {
    id: String,
    number: u64,
    epoch: i32,
    owned: Vec<i32>,
    has_news: bool,
    next_at: u64,
}

impl Consumer {
    fn join(world: &mut World, id: &str) -> Self {
        let answer = world.send(&join(id, &["t"])).unwrap();
        let number = world.group.member_count() as u64;
        let mut consumer = Self {
            id: id.into(),
            number,
            epoch: 0,
            owned: Vec::new(),
            has_news: false,
            next_at: 0,
        };
        consumer.hear(world.now, &answer);
        consumer
    }

    fn hear(
        &mut self,
        now: u64,
        answer: &milena_protocol::api::consumer_group_heartbeat::ConsumerGroupHeartbeatResponse,
    ) {
        self.epoch = answer.member_epoch;
        self.next_at = now + answer.heartbeat_interval_ms as u64;
        self.has_news = false;
        if let Some(assigned) = assigned(answer) {
            self.owned = assigned.iter().map(|(_, index)| *index).collect();
            self.has_news = true;
            // Giving up partitions and committing takes a moment.
            self.next_at = now + 5;
        }
    }

    fn beat(&mut self, world: &mut World) {
        let request = if self.has_news {
            owning(&self.id, self.epoch, &[("t", &self.owned)])
        } else {
            heartbeat(&self.id, self.epoch)
        };
        let answer = world.send(&request).unwrap();
        self.hear(world.now, &answer);
    }
}

/// Lets everyone ask when it shall, until all is as it shall be; says when that was.
fn converge(world: &mut World, consumers: &mut [Consumer]) -> u64 {
    while world.state() != "Stable" || consumers.iter().any(|it| it.has_news) {
        let next = consumers.iter_mut().min_by_key(|it| it.next_at).unwrap();
        let wait = next.next_at.saturating_sub(world.now);
        world.wait(Duration::from_millis(wait));
        next.beat(world);
    }
    world.now
}
