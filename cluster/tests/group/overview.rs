//! Groups as operators see them (facts D15–D17).

use milena_cluster::group::{Answer, Caller, Request};
use milena_protocol::api::describe_groups::DescribeGroupsGroup;
use milena_protocol::error_code::ErrorCode;

use super::world::{GROUP, World, reads};

fn describe(world: &mut World, version: i16) -> DescribeGroupsGroup {
    let caller = Caller { version, ..Default::default() };
    match world.ask(Request::Describe(caller, GROUP.into())) {
        Answer::Describe(group) => group,
        other => panic!("{other:?}"),
    }
}

fn list(world: &mut World, states: &[&str], types: &[&str]) -> Vec<String> {
    let texts = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
    match world.ask(Request::List { states: texts(states), types: texts(types) }) {
        Answer::List(groups) => {
            let shown = |group: &milena_protocol::api::list_groups::ListGroupsGroup| {
                format!("{} {} {}", group.group_id, group.group_state, group.group_type)
            };
            groups.iter().map(shown).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn delete(world: &mut World) -> ErrorCode {
    match world.ask(Request::Delete(GROUP.into())) {
        Answer::Delete(result) => result.error_code,
        other => panic!("{other:?}"),
    }
}

/// Tools would show a group that is not there, or not what its members have (D16).
#[test]
fn a_group_is_described_as_it_is() {
    let mut world = World::new();
    let absent = describe(&mut world, 5);
    assert_eq!((absent.error_code, absent.group_state.as_str()), (ErrorCode::NONE, "Dead"));
    let absent = describe(&mut world, 6);
    assert_eq!(absent.error_code, ErrorCode::GROUP_ID_NOT_FOUND);
    let (members, _) = world.stable(2);
    let group = describe(&mut world, 6);
    assert_eq!((group.group_state.as_str(), group.protocol_data.as_str()), ("Stable", "range"));
    for member in &group.members {
        assert_eq!(member.member_metadata, reads(&["topic"]));
        assert_eq!(member.member_assignment, format!("of {}", member.member_id).as_bytes());
    }
    world.send_join(&members[0]);
    let group = describe(&mut world, 6);
    assert_eq!(group.group_state.as_str(), "PreparingRebalance");
    assert!(group.members.iter().all(|member| member.member_assignment.is_empty()));
}

/// Lists that are filtered would leave out what was asked for (D17).
#[test]
fn lists_are_filtered_by_state_and_type() {
    let mut world = World::new();
    world.stable(1);
    let shown = [format!("{GROUP} Stable classic")];
    assert_eq!(list(&mut world, &[], &[]), shown);
    assert_eq!(list(&mut world, &["stable"], &["Classic"]), shown);
    assert!(list(&mut world, &["Empty"], &[]).is_empty());
    assert!(list(&mut world, &[], &["consumer"]).is_empty());
}

/// A group with members would lose its offsets, or one without would come back (D15).
#[test]
fn only_groups_without_members_are_deleted() {
    let mut world = World::new();
    assert_eq!(delete(&mut world), ErrorCode::GROUP_ID_NOT_FOUND);
    let (members, _) = world.stable(1);
    assert_eq!(delete(&mut world), ErrorCode::NON_EMPTY_GROUP);
    world.leave(&members[0].id);
    assert_eq!(list(&mut world, &[], &[]), [format!("{GROUP} Empty classic")]);
    assert_eq!(delete(&mut world), ErrorCode::NONE);
    world.crash();
    assert!(list(&mut world, &[], &[]).is_empty());
    // A group may be called nothing, as those of clients were that name none.
    match world.ask(Request::Delete("".into())) {
        Answer::Delete(result) => assert_eq!(result.error_code, ErrorCode::GROUP_ID_NOT_FOUND),
        other => panic!("{other:?}"),
    }
}
