//! The only voter, step by step. What several do together is in `cluster/tests`.

use bytes::Bytes;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, Uuid};

use super::*;
use crate::time::{Instant, Now};

fn restored(log_end_offset: i64, epoch: i32) -> Quorum {
    let me = Voter::bare(ReplicaKey { id: NodeId(1), directory_id: Uuid::from_u128(1000) });
    let epochs = vec![EpochStart { epoch: LeaderEpoch(epoch), start_offset: Offset::ZERO }];
    let restored = Restored {
        base: Membership { kraft_version: 0, voters: [me.clone()].into_iter().collect() },
        me,
        cluster_id: "cluster".into(),
        seed: 1,
        timing: Timing::default(),
        state: QuorumState { leader_epoch: LeaderEpoch(epoch), ..Default::default() },
        log: RestoredLog { snapshot: None, epochs, end_offset: Offset(log_end_offset) },
        control: Vec::new(),
        bootstrap_count: 0,
    };
    Quorum::restore(restored, Now::default())
}

fn step(quorum: &mut Quorum, input: Input) -> Vec<Output> {
    let mut outputs = Vec::new();
    quorum.step(Now::default(), input, &mut outputs);
    outputs
}

fn flushed(quorum: &mut Quorum, end_offset: i64) -> Vec<Output> {
    step(quorum, Input::Flushed(Generation(0), Offset(end_offset)))
}

/// The vote would count before it is durable, or an epoch begin without its first record.
#[test]
fn the_only_voter_persists_its_vote_then_leads() {
    let mut quorum = restored(10, 3);
    assert_eq!(quorum.deadline(), Some(Instant(0)));
    let outputs = step(&mut quorum, Input::Tick);
    assert_eq!(outputs.len(), 3);
    assert!(matches!(&outputs[0], Output::PersistQuorumState(state)
        if state.leader_epoch == LeaderEpoch(4)
            && state.voted_id == NodeId(1)
            && state.leader_id == NodeId(1)));
    assert!(matches!(outputs[1], Output::BecomeLeader { epoch: LeaderEpoch(4), .. }));
    assert!(matches!(&outputs[2], Output::Append(append)
        if append.base_offset == Offset(10)
            && matches!(append.content, Content::LeaderChange { .. })));
    assert!(step(&mut quorum, Input::Tick).is_empty());
    assert_eq!(quorum.deadline(), None, "it has nobody to wait for");
}

/// What is not on stable storage would be answered as done.
#[test]
fn nothing_commits_before_it_is_flushed_in_the_own_epoch() {
    let mut quorum = restored(10, 3);
    assert_eq!(step(&mut quorum, Input::Propose(vec![Bytes::new()])), [Output::Reject]);
    step(&mut quorum, Input::Tick);
    assert!(flushed(&mut quorum, 10).is_empty());
    step(&mut quorum, Input::Propose(vec![Bytes::new(), Bytes::new()]));
    assert_eq!(flushed(&mut quorum, 11), [Output::Commit(Offset(11))]);
    assert_eq!(flushed(&mut quorum, 99), [Output::Commit(Offset(13))]);
    assert!(flushed(&mut quorum, 12).is_empty());
}
