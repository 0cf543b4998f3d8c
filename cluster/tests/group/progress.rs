//! How far all groups have read, page by page.

use milena_cluster::group::{Answer, Caller, Page, Progress, Request};
use milena_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use milena_protocol::ids::{Offset, PartitionIndex};

use super::world::{GROUP, World};

fn commit(world: &mut World, group: &str, topic: &str, partitions: i32) {
    let partition = |index| OffsetCommitRequestPartition {
        partition_index: PartitionIndex(index),
        committed_offset: Offset(10 + i64::from(index)),
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: group.into(),
        topics: vec![OffsetCommitRequestTopic {
            name: topic.into(),
            partitions: (0..partitions).map(partition).collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    world.ask(Request::Commit(Caller::default(), request));
}

fn page(world: &mut World, behind: Option<Progress>, max_rows: usize) -> Page {
    match world.ask(Request::Progress { behind, max_rows }) {
        Answer::Progress(page) => page,
        other => panic!("{other:?}"),
    }
}

fn shown(row: &Progress) -> String {
    let committed = row.committed.as_ref().map(|position| {
        format!(" {}-{} at {}", position.topic, position.partition, position.offset)
    });
    format!("{} {}{}", row.group, row.members, committed.unwrap_or_default())
}

/// Dashboards would not see a group, or see an offset twice, depending on how large a page is.
#[test]
fn pages_together_are_everything() {
    let mut world = World::new();
    assert_eq!(page(&mut world, None, 5), Page::default());
    // Its name is between those of the others, and it has members and no offset.
    world.stable(2);
    commit(&mut world, "a", "t", 2);
    commit(&mut world, "a", "u", 1);
    commit(&mut world, "z", "t", 1);
    let group = format!("{GROUP} 2");
    let expected = ["a 0 t-0 at 10", "a 0 t-1 at 11", "a 0 u-0 at 10", &group, "z 0 t-0 at 10"];
    for max_rows in 1..=6 {
        let mut rows: Vec<String> = Vec::new();
        let mut behind = None;
        loop {
            let page = page(&mut world, behind, max_rows);
            assert!(page.rows.len() <= max_rows);
            rows.extend(page.rows.iter().map(shown));
            assert_eq!(rows.len() + page.left, expected.len(), "{max_rows}");
            if page.left == 0 {
                break;
            }
            behind = page.rows.last().cloned();
        }
        assert_eq!(rows, expected, "{max_rows}");
    }
    assert_eq!(page(&mut world, None, 0).left, expected.len());
}
