//! A run that chance meets too rarely, step by step.

use std::collections::BTreeMap;
use std::time::Duration;

use milena_cluster::replica::{
    Begin, Decided, Fetch, Input, Leader, Output, Peer, ProposalId, Rules, Settings, Standing,
};
use milena_cluster::time::Instant;
use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset};

use crate::checks::{Violation, ensure};

const EPOCH: LeaderEpoch = LeaderEpoch(5);
const LEADER: NodeId = NodeId(1);
const FOLLOWER: NodeId = NodeId(2);

fn standing(partition_epoch: i32, isr: &[NodeId], follower_epoch: i64) -> Standing {
    let peer = |epoch| Peer { epoch: BrokerEpoch(epoch), is_active: true, rack: None };
    Standing {
        leader_epoch: EPOCH,
        partition_epoch,
        replicas: vec![LEADER, FOLLOWER],
        isr: isr.to_vec(),
        is_recovering: false,
        peers: BTreeMap::from([(LEADER, peer(1)), (FOLLOWER, peer(follower_epoch))]),
    }
}

fn fetched(broker_epoch: i64, fetch_offset: i64) -> Input {
    Input::Fetched(Fetch {
        follower: FOLLOWER,
        broker_epoch: Some(BrokerEpoch(broker_epoch)),
        leader_epoch: EPOCH,
        fetch_offset: Offset(fetch_offset),
        log_start_offset: Offset::ZERO,
        leader_end_offset: Offset(9),
    })
}

/// Two of two have to be in sync. The follower has all nine records, and says so in a fetch that is
/// late. It loses power, has seven left, and comes back; that is enough to be in sync again, since
/// only five are acknowledged. Then the late fetch arrives.
pub fn earlier_incarnation<R: Rules>() -> Result<(), Violation> {
    let settings = Settings { min_insync_replicas: 2, max_lag: Duration::from_secs(30) };
    let begin = Begin {
        node: LEADER,
        standing: standing(1, &[LEADER, FOLLOWER], 2),
        log_end_offset: Offset(5),
        high_watermark: Offset(5),
        settings,
    };
    let (now, mut outputs) = (Instant(1), Vec::new());
    let mut leader = Leader::<R>::begin(begin, now, &mut outputs);
    leader.step(now, Input::Appended(Offset(9)), &mut outputs);
    leader.step(now, fetched(2, 5), &mut outputs);
    leader.step(now, Input::Learned(standing(2, &[LEADER], 3)), &mut outputs);
    leader.step(now, fetched(3, 7), &mut outputs);
    let proposed = outputs.iter().any(|output| matches!(output, Output::Propose(_)));
    ensure(proposed, || "the follower is not proposed".to_owned())?;
    let decided = Decided {
        leader_epoch: EPOCH,
        partition_epoch: 3,
        isr: vec![LEADER, FOLLOWER],
        is_recovering: false,
    };
    let proposal = ProposalId { leader_epoch: EPOCH, attempt: 1 };
    leader.step(now, Input::Answered { proposal, answer: Ok(decided) }, &mut outputs);
    leader.step(now, fetched(2, 9), &mut outputs);
    let known = leader.high_watermark();
    ensure(known == Offset(7), || format!("{known} is acknowledged, and the follower has seven"))
}
