//! Joining, assigning, staying and leaving (facts A1–A18).

use std::time::Duration;

use bytes::Bytes;
use milena_cluster::group::{Answer, Caller, Request, Settings};
use milena_protocol::api::sync_group::SyncGroupRequest;
use milena_protocol::error_code::ErrorCode;

use super::world::{GROUP, Joiner, REBALANCE_MS, SESSION_MS, World, reads};

const NONE: ErrorCode = ErrorCode::NONE;

/// A client that asks again after a lost answer would be two members (A2).
#[test]
fn a_newcomer_is_told_its_id_first() {
    let mut world = World::new();
    let mut member = Joiner::new();
    let ticket = world.send_join(&member);
    let told = world.joined(ticket).unwrap();
    assert_eq!(told.error_code, ErrorCode::MEMBER_ID_REQUIRED);
    member.id = told.member_id.to_string();
    assert!(member.id.starts_with("client-"), "{}", member.id);
    let ticket = world.send_join(&member);
    let joined = world.joined(ticket).unwrap();
    assert_eq!((joined.error_code, joined.generation_id, joined.members.len()), (NONE, 1, 1));
    // Older clients do not know of it.
    let old = Joiner { version: 3, ..Joiner::new() };
    let mut world = World::new();
    let ticket = world.send_join(&old);
    assert_eq!(world.joined(ticket).unwrap().error_code, NONE);
}

/// One request would end the broker: an id is made of a client's name and more, and neither an
/// answer nor a record can say one of more than 32,767 bytes.
#[test]
fn an_id_that_cannot_be_said_is_refused() {
    let uuid_bytes = 37;
    let name = |bytes: usize| "n".repeat(bytes - uuid_bytes);
    for version in [3, 9] {
        let mut world = World::new();
        let too_long = Joiner { client_id: name(0x8000), version, ..Joiner::new() };
        let ticket = world.send_join(&too_long);
        assert_eq!(world.joined(ticket).unwrap().error_code, ErrorCode::INVALID_REQUEST);
        assert_eq!(world.written(), 0, "{GROUP} was never there");
        let longest = Joiner { client_id: name(0x7fff), ..too_long };
        let ticket = world.send_join(&longest);
        assert_eq!(world.joined(ticket).unwrap().member_id.len(), 0x7fff);
    }
    let mut world = World::new();
    let ticket = world.send_join(&Joiner::named(name(0x8000).leak()));
    assert_eq!(world.joined(ticket).unwrap().error_code, ErrorCode::INVALID_REQUEST);
}

/// An id that nobody was given would bring back members of a group that is gone (A3).
#[test]
fn an_id_that_nobody_gave_is_refused() {
    let mut world = World::new();
    let stranger = Joiner { id: "stranger".into(), ..Joiner::new() };
    let ticket = world.send_join(&stranger);
    assert_eq!(world.joined(ticket).unwrap().error_code, ErrorCode::UNKNOWN_MEMBER_ID);
    world.stable(1);
    let ticket = world.send_join(&stranger);
    assert_eq!(world.joined(ticket).unwrap().error_code, ErrorCode::UNKNOWN_MEMBER_ID);
}

/// Every member of a group that starts would rebalance it once more (A4).
#[test]
fn the_first_generation_waits_for_more_members() {
    let mut world = World::with(Settings {
        initial_rebalance_delay: Duration::from_secs(3),
        ..Settings::default()
    });
    let old = || Joiner { version: 3, ..Joiner::new() };
    let first = world.send_join(&old());
    world.pass(2_900);
    let second = world.send_join(&old());
    world.pass(200);
    assert!(world.joined(first).is_none(), "someone came, so it waits on");
    world.pass(3_000);
    let (first, second) = (world.joined(first).unwrap(), world.joined(second).unwrap());
    assert_eq!((first.generation_id, second.generation_id), (1, 1));
    assert_eq!(first.members.len() + second.members.len(), 2, "only the leader is told of all");
}

/// Members would consume the same partitions, or none (A6, A8).
#[test]
fn everyone_gets_the_part_that_the_leader_assigned() {
    let mut world = World::new();
    let (members, generation) = world.stable(3);
    for member in &members {
        let ticket = world.send_sync(&member.id, generation, &[]);
        let part = world.synced(ticket).unwrap();
        assert_eq!(part.assignment, format!("of {}", member.id).as_bytes());
        assert_eq!(world.heartbeat(&member.id, generation), NONE);
    }
}

/// Members would not notice that the group shares anew, or be sent away for nothing (A11).
#[test]
fn heartbeats_say_what_to_do() {
    let mut world = World::new();
    assert_eq!(world.heartbeat("anyone", 1), ErrorCode::UNKNOWN_MEMBER_ID);
    let (members, generation) = world.stable(2);
    let id = &members[1].id;
    assert_eq!(world.heartbeat(id, generation - 1), ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(world.heartbeat("anyone", generation), ErrorCode::UNKNOWN_MEMBER_ID);
    let ticket = world.send_join(&members[0]);
    assert!(world.joined(ticket).is_none());
    assert_eq!(world.heartbeat(id, generation), ErrorCode::REBALANCE_IN_PROGRESS);
    let ticket = world.send_sync(id, generation, &[]);
    let refused = world.synced(ticket).unwrap().error_code;
    assert_eq!(refused, ErrorCode::REBALANCE_IN_PROGRESS);
}

/// The partitions of a member that died would be read by nobody (A5, A12).
#[test]
fn a_member_that_is_not_heard_of_is_left_behind() {
    let mut world = World::new();
    let (members, generation) = world.stable(2);
    world.pass(SESSION_MS as u64 - 1);
    assert_eq!(world.heartbeat(&members[0].id, generation), NONE);
    world.pass(1);
    let stays = &members[0];
    assert_eq!(world.heartbeat(&stays.id, generation), ErrorCode::REBALANCE_IN_PROGRESS);
    let ticket = world.send_join(stays);
    let joined = world.joined(ticket).unwrap();
    assert_eq!((joined.generation_id, joined.members.len()), (generation + 1, 1));
    assert_eq!(world.heartbeat(&members[1].id, generation), ErrorCode::UNKNOWN_MEMBER_ID);
}

/// One member that hangs would hold up the others for ever (A5, A9).
#[test]
fn a_rebalance_does_not_wait_for_ever() {
    let mut world = World::new();
    let (members, generation) = world.stable(2);
    let ticket = world.send_join(&members[0]);
    for _ in 0..REBALANCE_MS / 5_000 {
        world.pass(5_000);
        // It lives, but does not join.
        world.heartbeat(&members[1].id, generation);
    }
    let joined = world.joined(ticket).unwrap();
    assert_eq!((joined.generation_id, joined.members.len()), (generation + 1, 1));
    // The leader does not assign: it is gone when the time to do so is over.
    let leader = &members[0].id;
    for _ in 0..REBALANCE_MS / 5_000 {
        assert_eq!(world.heartbeat(leader, generation + 1), NONE);
        world.pass(5_000);
    }
    assert_eq!(world.heartbeat(leader, generation + 1), ErrorCode::UNKNOWN_MEMBER_ID);
}

/// Every lost answer of a join would make all members join again (A10).
#[test]
fn a_follower_that_asks_again_disturbs_nobody() {
    let mut world = World::new();
    let (members, generation) = world.stable(2);
    let ticket = world.send_join(&members[1]);
    assert_eq!(world.joined(ticket).unwrap().generation_id, generation);
    // What it reads has changed: the leader must assign anew.
    let changed = Joiner { metadata: reads(&["other"]), ..members[1].clone() };
    let follower = world.send_join(&changed);
    assert!(world.joined(follower).is_none());
    let leader = world.send_join(&members[0]);
    assert_eq!(world.joined(leader).unwrap().generation_id, generation + 1);
    assert_eq!(world.joined(follower).unwrap().generation_id, generation + 1);
}

/// The partitions of a consumer that was closed would rest until its session ends (A13).
#[test]
fn leaving_lets_the_others_share_at_once() {
    let mut world = World::new();
    let (members, generation) = world.stable(2);
    assert_eq!(world.leave(&members[0].id), NONE);
    let left = &members[1];
    assert_eq!(world.heartbeat(&left.id, generation), ErrorCode::REBALANCE_IN_PROGRESS);
    let ticket = world.send_join(left);
    let joined = world.joined(ticket).unwrap();
    assert_eq!((joined.leader.as_str(), joined.members.len()), (left.id.as_str(), 1));
    assert_eq!(world.leave(&left.id), NONE);
    assert_eq!(world.leave(&left.id), ErrorCode::UNKNOWN_MEMBER_ID);
}

/// A restart of a static member would rebalance the group, and the one that hangs would go on
/// committing (A14).
#[test]
fn a_static_member_that_comes_back_takes_its_place() {
    let mut world = World::new();
    let ticket = world.send_join(&Joiner::named("one"));
    let first = world.joined(ticket).unwrap();
    assert_eq!((first.error_code, first.generation_id), (NONE, 1));
    let old = first.member_id.to_string();
    let ticket = world.send_sync(&old, 1, &[(&old, "all")]);
    assert_eq!(world.synced(ticket).unwrap().assignment, "all");

    let ticket = world.send_join(&Joiner::named("one"));
    let again = world.joined(ticket).unwrap();
    assert_eq!((again.generation_id, again.skip_assignment), (1, true));
    let new = again.member_id.to_string();
    assert_ne!(new, old);
    let ticket = world.send_sync(&new, 1, &[]);
    assert_eq!(world.synced(ticket).unwrap().assignment, "all");
    let stale = Joiner { id: old, ..Joiner::named("one") };
    let ticket = world.send_join(&stale);
    assert_eq!(world.joined(ticket).unwrap().error_code, ErrorCode::FENCED_INSTANCE_ID);
    // An older client must not take itself for the leader: nobody would look at what it assigns.
    let older = Joiner { version: 8, ..Joiner::named("one") };
    let ticket = world.send_join(&older);
    let told = world.joined(ticket).unwrap();
    assert_eq!(told.leader.as_str(), new);
    assert!(told.members.is_empty());
}

/// Java writes its generation into what it says: each restart would rebalance the group (A14).
#[test]
fn a_static_member_may_say_something_else() {
    let mut world = World::new();
    let ticket = world.send_join(&Joiner::named("one"));
    let old = world.joined(ticket).unwrap().member_id.to_string();
    let ticket = world.send_sync(&old, 1, &[(&old, "all")]);
    assert_eq!(world.synced(ticket).unwrap().error_code, NONE);
    let other = || Joiner { metadata: reads(&["other"]), ..Joiner::named("one") };
    let ticket = world.send_join(&other());
    let again = world.joined(ticket).unwrap();
    assert_eq!((again.generation_id, again.skip_assignment), (1, true));
    // With another protocol the group begins anew.
    let ticket = world.send_join(&Joiner { protocols: vec!["sticky".into()], ..other() });
    assert_eq!(world.joined(ticket).unwrap().error_code, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    let both = vec!["sticky".into(), "range".into()];
    let ticket = world.send_join(&Joiner { protocols: both, ..other() });
    let joined = world.joined(ticket).unwrap();
    assert_eq!((joined.generation_id, joined.protocol_name.as_deref()), (2, Some("sticky")));
}

/// A part of another protocol would be taken for one's own (KIP-559).
#[test]
fn a_sync_names_its_protocol() {
    let mut world = World::new();
    let (members, generation) = world.stable(1);
    let mut sync = |names: [Option<&str>; 2], version| {
        let caller = Caller { version, ..Caller::default() };
        let request = SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: generation,
            member_id: members[0].id.as_str().into(),
            protocol_type: names[0].map(Into::into),
            protocol_name: names[1].map(Into::into),
            ..Default::default()
        };
        match world.ask(Request::Sync(caller, request)) {
            Answer::Sync(answer) => answer.error_code,
            other => panic!("{other:?}"),
        }
    };
    let inconsistent = ErrorCode::INCONSISTENT_GROUP_PROTOCOL;
    assert_eq!(sync([None, None], 4), NONE);
    assert_eq!(sync([None, None], 5), inconsistent);
    assert_eq!(sync([Some("consumer"), None], 5), inconsistent);
    assert_eq!(sync([Some("consumer"), Some("sticky")], 5), inconsistent);
    assert_eq!(sync([Some("consumer"), Some("range")], 5), NONE);
}

/// A restart of the broker would make every group in the cluster rebalance (A17).
#[test]
fn a_group_survives_its_coordinator() {
    let mut world = World::new();
    let (members, generation) = world.stable(3);
    world.pass(SESSION_MS as u64 - 1);
    world.crash();
    // Nobody was heard of, but nobody could be: each has a whole session anew.
    world.pass(SESSION_MS as u64 - 1);
    for member in &members {
        assert_eq!(world.heartbeat(&member.id, generation), NONE);
        let ticket = world.send_sync(&member.id, generation, &[]);
        let part = world.synced(ticket).unwrap();
        assert_eq!(part.assignment, format!("of {}", member.id).as_bytes());
    }
    let ticket = world.send_join(&members[0]);
    assert!(world.joined(ticket).is_none(), "the leader shares anew");
}

/// A group could grow beyond what its operator allows (A16), and members hang with sessions that
/// end before their heartbeats come, or never (A15).
#[test]
fn groups_and_sessions_have_bounds() {
    let settings =
        Settings { max_size: 1, initial_rebalance_delay: Duration::ZERO, ..Settings::default() };
    let mut world = World::with(settings);
    world.stable(1);
    let late = world.send_join(&Joiner { version: 3, ..Joiner::new() });
    assert_eq!(world.joined(late).unwrap().error_code, ErrorCode::GROUP_MAX_SIZE_REACHED);
    let mut world = World::with(Settings {
        min_session_timeout: Duration::from_millis(SESSION_MS as u64 + 1),
        ..Settings::default()
    });
    let short = world.send_join(&Joiner::new());
    assert_eq!(world.joined(short).unwrap().error_code, ErrorCode::INVALID_SESSION_TIMEOUT);
    assert_eq!(world.written(), 0, "{GROUP} was never there");
}

/// Two members with many protocols each would keep everyone else from the coordinator while these
/// are compared, and a protocol that is named twice would count as that of two members.
#[test]
fn protocols_are_few_and_count_once() {
    let mut world = World::new();
    let old = || Joiner { version: 3, ..Joiner::new() };
    let many = |count: usize| (0..count).map(|number| format!("p{number}")).collect();
    let ticket = world.send_join(&Joiner { protocols: many(1_001), ..old() });
    assert_eq!(world.joined(ticket).unwrap().error_code, ErrorCode::INVALID_REQUEST);
    let ticket = world.send_join(&Joiner { protocols: many(1_000), ..old() });
    let first = world.joined(ticket).unwrap();
    assert_eq!(first.error_code, NONE);
    let twice = || vec!["other".into(), "other".into(), "p7".into()];
    let second = world.send_join(&Joiner { protocols: twice(), ..old() });
    let ticket = world.send_join(&Joiner {
        id: first.member_id.to_string(),
        protocols: many(1_000),
        ..old()
    });
    assert_eq!(world.joined(ticket).unwrap().protocol_name.as_deref(), Some("p7"));
    assert_eq!(world.joined(second).unwrap().protocol_name.as_deref(), Some("p7"));
    // Whoever has none of them in common with all is refused, however often it names one.
    let ticket = world.send_join(&Joiner { protocols: vec!["other".into(); 2], ..old() });
    let refused = world.joined(ticket).unwrap().error_code;
    assert_eq!(refused, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
}

/// A group that no record can hold would take all others of its coordinator down, for nothing can
/// be appended for it.
#[test]
fn a_group_that_is_too_large_is_refused_alone() {
    let mut world = World::with(Settings {
        max_group_bytes: 10_000,
        initial_rebalance_delay: Duration::ZERO,
        ..Settings::default()
    });
    let large = |bytes: usize| Bytes::from(vec![0; bytes]);
    let old = |metadata| Joiner { metadata, version: 3, ..Joiner::new() };
    let ticket = world.send_join(&old(large(10_000)));
    assert_eq!(world.joined(ticket).unwrap().error_code, ErrorCode::UNKNOWN_SERVER_ERROR);
    assert_eq!(world.written(), 0, "{GROUP} was never there");
    let ticket = world.send_join(&old(large(6_000)));
    let leader = world.joined(ticket).unwrap();
    assert_eq!(leader.error_code, NONE);
    let ticket = world.send_join(&old(large(6_000)));
    assert_eq!(world.joined(ticket).unwrap().error_code, ErrorCode::UNKNOWN_SERVER_ERROR);
    // What it assigns counts too, and only what it assigns to members.
    let (id, generation) = (leader.member_id.as_str(), leader.generation_id);
    let written = world.written();
    let ticket = world.send_parts(id, generation, vec![(id, large(6_000))]);
    assert_eq!(world.synced(ticket).unwrap().error_code, ErrorCode::UNKNOWN_SERVER_ERROR);
    assert_eq!(world.written(), written);
    assert_eq!(world.heartbeat(id, generation), ErrorCode::REBALANCE_IN_PROGRESS);
    let ticket = world.send_join(&Joiner { id: id.to_owned(), ..old(large(6_000)) });
    let generation = world.joined(ticket).unwrap().generation_id;
    let parts = vec![(id, large(3_000)), ("nobody", large(6_000))];
    let ticket = world.send_parts(id, generation, parts);
    assert_eq!(world.synced(ticket).unwrap().error_code, NONE);
}

/// A client whose connection broke asks on another: the first request would be waited for for ever.
#[test]
fn an_older_request_of_a_member_is_answered() {
    let mut world = World::new();
    let (members, _) = world.stable(2);
    let first = world.send_join(&members[0]);
    let second = world.send_join(&members[0]);
    let older = world.joined(first).unwrap();
    assert_eq!(older.error_code, ErrorCode::REBALANCE_IN_PROGRESS);
    assert!(world.joined(second).is_none());
}
