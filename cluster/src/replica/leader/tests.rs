//! A leader, step by step.

use super::*;

const EPOCH: LeaderEpoch = LeaderEpoch(5);
const MAX_LAG: Duration = Duration::from_secs(30);

/// Replicas 1 to 3 with broker epochs 101 to 103, all active.
fn standing(isr: &[i32], partition_epoch: i32) -> Standing {
    let peer = |id: i32| Peer {
        epoch: BrokerEpoch(100 + i64::from(id)),
        is_active: true,
        rack: Some(format!("rack-{id}").into()),
    };
    Standing {
        leader_epoch: EPOCH,
        partition_epoch,
        replicas: [1, 2, 3].map(NodeId).to_vec(),
        isr: isr.iter().copied().map(NodeId).collect(),
        is_recovering: false,
        peers: (1..=3).map(|id| (NodeId(id), peer(id))).collect(),
    }
}

fn inactive(id: i32, mut standing: Standing) -> Standing {
    standing.peers.get_mut(&NodeId(id)).unwrap().is_active = false;
    standing
}

/// A case under test: a leader, its clock, and what it has asked for.
struct Case {
    leader: Leader,
    now: Instant,
    outputs: Vec<Output>,
}

impl Case {
    /// Node 1 leads from offset 5 on, where its log ends, and knows 3 as acknowledged.
    fn begin(isr: &[i32], min_insync_replicas: usize) -> Self {
        Self::on(standing(isr, 9), min_insync_replicas)
    }

    fn on(standing: Standing, min_insync_replicas: usize) -> Self {
        let begin = Begin {
            node: NodeId(1),
            standing,
            log_end_offset: Offset(5),
            high_watermark: Offset(3),
            settings: Settings { min_insync_replicas, max_lag: MAX_LAG },
        };
        let (now, mut outputs) = (Instant(1_000_000), Vec::new());
        let leader = Leader::begin(begin, now, &mut outputs);
        Self { leader, now, outputs }
    }

    /// Takes an input; answers the high watermark.
    fn step(&mut self, input: Input) -> Offset {
        self.leader.step(self.now, input, &mut self.outputs);
        self.leader.high_watermark()
    }

    fn appended(&mut self, end: i64) -> Offset {
        self.step(Input::Appended(Offset(end)))
    }

    fn fetched(&mut self, follower: i32, offset: i64) -> Offset {
        let fetch = self.fetch(follower, offset);
        assert_eq!(self.leader.admit_fetch(&fetch), Ok(()));
        self.step(Input::Fetched(fetch))
    }

    fn fetch(&self, follower: i32, offset: i64) -> Fetch {
        Fetch {
            follower: NodeId(follower),
            broker_epoch: Some(BrokerEpoch(100 + i64::from(follower))),
            leader_epoch: EPOCH,
            fetch_offset: Offset(offset),
            log_start_offset: Offset::ZERO,
            leader_end_offset: self.leader.log_end_offset,
        }
    }

    fn later(&mut self, span: Duration) {
        self.now = self.now.plus(span);
        self.step(Input::Tick);
    }

    /// What is proposed since it was last asked for; at most one.
    fn proposed(&mut self) -> Option<Proposal> {
        let proposals = std::mem::take(&mut self.outputs).into_iter().filter_map(|it| match it {
            Output::Propose(proposal) => Some(proposal),
            Output::AdvanceHighWatermark(_) => None,
        });
        let mut proposals: Vec<Proposal> = proposals.collect();
        assert!(proposals.len() <= 1, "{proposals:?}");
        proposals.pop()
    }

    fn proposed_isr(&mut self) -> Option<Vec<i32>> {
        self.proposed().map(|proposal| proposal.isr.iter().map(|(id, _)| id.0).collect())
    }

    fn answer(&mut self, to: &Proposal, answer: Result<Decided, ErrorCode>) -> Offset {
        self.step(Input::Answered { proposal: to.id, answer })
    }
}

fn decided(isr: &[i32], partition_epoch: i32) -> Decided {
    let isr = isr.iter().copied().map(NodeId).collect();
    Decided { leader_epoch: EPOCH, partition_epoch, isr, is_recovering: false }
}

/// Facts P3 and P4: a write would count that too few replicas have.
#[test]
fn too_few_replicas_in_sync_stop_acks_all_and_the_high_watermark() {
    let mut few = Case::begin(&[1], 2);
    assert_eq!(few.leader.admit(-1), Err(ErrorCode::NOT_ENOUGH_REPLICAS));
    assert_eq!(few.leader.admit(1), Ok(()));
    assert_eq!(few.appended(9), Offset(3));
    let settings = Settings { min_insync_replicas: 1, max_lag: MAX_LAG };
    assert_eq!(few.step(Input::Configured(settings)), Offset(9));
    assert_eq!(few.leader.acknowledgement(Offset(10)), None);
    assert_eq!(few.leader.acknowledgement(Offset(9)), Some(Ok(())));
    few.step(Input::Configured(Settings { min_insync_replicas: 2, ..settings }));
    let late = Some(Err(ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND));
    assert_eq!(few.leader.acknowledgement(Offset(9)), late);
}

/// Fact R1: a record would be acknowledged that a replica in sync does not have.
#[test]
fn the_high_watermark_waits_for_all_in_sync() {
    let mut pair = Case::begin(&[1, 2], 1);
    assert_eq!(pair.fetched(2, 4), Offset(4));
    assert_eq!(pair.appended(9), Offset(4));
    assert_eq!(pair.fetched(2, 99), Offset(9));
    assert_eq!(pair.appended(12), Offset(9));
    assert_eq!(pair.fetched(2, 1), Offset(9), "it never falls");
    let fenced = inactive(2, standing(&[1], 10));
    assert_eq!(pair.step(Input::Learned(fenced)), Offset(12));
}

/// A topic of one replica would refuse every write under a cluster-wide minimum of two.
#[test]
fn the_minimum_is_never_more_than_there_are() {
    let alone = Standing { replicas: vec![NodeId(1)], ..standing(&[1], 9) };
    let mut single = Case::on(alone, 2);
    assert_eq!(single.leader.admit(-1), Ok(()));
    assert_eq!(single.appended(7), Offset(7));
}

/// Fact R2: a new leader's high watermark lags, and a follower that only reached that would be in
/// sync without records that were acknowledged.
#[test]
fn who_joins_has_everything_before_the_epoch_began() {
    let mut case = Case::begin(&[1, 2], 1);
    case.fetched(3, 4);
    assert_eq!(case.proposed(), None);
    case.fetched(3, 5);
    let proposal = case.proposed().unwrap();
    assert_eq!((proposal.partition_epoch, proposal.is_recovering), (9, false));
    let named = proposal.isr.iter().map(|(id, epoch)| (id.0, epoch.map(|epoch| epoch.0)));
    // Of 2, which has not fetched, no epoch is known.
    assert_eq!(named.collect::<Vec<_>>(), [(1, Some(101)), (2, None), (3, Some(103))]);
}

/// Whoever is proposed may be elected before the answer arrives.
#[test]
fn who_is_proposed_counts_at_once() {
    let mut case = Case::begin(&[1, 2], 1);
    case.fetched(2, 5);
    case.fetched(3, 5);
    let proposal = case.proposed().unwrap();
    case.appended(9);
    assert_eq!(case.fetched(2, 9), Offset(5));
    assert_eq!(case.leader.maximal_isr(), [1, 2, 3].map(NodeId));
    case.answer(&proposal, Ok(decided(&[1, 2, 3], 10)));
    assert_eq!(case.leader.standing().isr, [1, 2, 3].map(NodeId));
    assert_eq!(case.fetched(3, 9), Offset(9));
}

/// Fact R3: one follower that stands still would hold back every write for ever; and before the
/// controller has agreed it may still be elected.
#[test]
fn who_lags_is_let_go_once_the_controller_agrees() {
    let mut case = Case::begin(&[1, 2, 3], 1);
    case.fetched(2, 5);
    case.fetched(3, 5);
    case.appended(9);
    let out_at = case.now.plus(MAX_LAG + Duration::from_millis(1));
    assert_eq!(case.leader.deadline(), Some(out_at));
    case.later(MAX_LAG);
    case.fetched(2, 9);
    assert_eq!(case.proposed(), None);
    case.later(Duration::from_millis(1));
    assert_eq!(case.leader.deadline(), None, "nothing is to be done before the answer");
    let proposal = case.proposed().unwrap();
    assert_eq!(proposal.isr.len(), 2);
    assert_eq!(case.appended(9), Offset(5));
    assert_eq!(case.answer(&proposal, Ok(decided(&[1, 2], 10))), Offset(9));
}

/// A follower that stands still would be let go and taken back as fast as the controller answers:
/// the high watermark has waited for it, so what it has is enough.
#[test]
fn who_was_let_go_joins_again_by_a_fetch() {
    let mut case = Case::begin(&[1, 2, 3], 1);
    case.fetched(2, 5);
    case.fetched(3, 5);
    case.appended(9);
    case.later(MAX_LAG / 2);
    case.fetched(3, 7);
    case.fetched(2, 9);
    case.later(MAX_LAG / 2 + Duration::from_millis(1));
    let proposal = case.proposed().unwrap();
    assert_eq!(proposal.isr.len(), 2);
    assert_eq!(case.answer(&proposal, Ok(decided(&[1, 2], 10))), Offset(9));
    assert_eq!(case.proposed_isr(), None, "nothing new is known of it");
    case.fetched(3, 9);
    assert_eq!(case.proposed_isr(), Some(vec![1, 2, 3]));
}

/// A follower that is one fetch behind a busy leader would be taken for one that stands still.
#[test]
fn who_has_what_there_was_at_its_fetch_before_was_caught_up_then() {
    let mut case = Case::begin(&[1, 2], 1);
    for end in 1..10_i64 {
        case.appended(5 + 10 * end);
        case.now = case.now.plus(MAX_LAG / 2);
        case.fetched(2, 5 + 10 * (end - 1));
    }
    assert_eq!(case.proposed(), None);
}

/// The controller would refuse whoever cannot be in an ISR, again and again (KIP-841).
#[test]
fn only_active_brokers_are_proposed() {
    let mut case = Case::on(inactive(3, standing(&[1, 2], 9)), 1);
    case.fetched(3, 5);
    assert_eq!(case.proposed(), None);
    case.step(Input::Learned(standing(&[1, 2], 9)));
    assert_eq!(case.proposed_isr(), Some(vec![1, 2, 3]), "its fetch was not long ago");
}

/// Fact KIP-903: what an earlier incarnation had may be lost, and its fetches may be late.
#[test]
fn a_fetch_counts_in_its_own_epoch_and_incarnation() {
    let mut case = Case::begin(&[1, 2, 3], 1);
    let fetch = case.fetch(2, 5);
    let refused = |case: &Case, fetch| case.leader.admit_fetch(&fetch).unwrap_err();
    let of_epoch = |epoch| Fetch { leader_epoch: LeaderEpoch(epoch), ..fetch };
    assert_eq!(refused(&case, of_epoch(4)), ErrorCode::FENCED_LEADER_EPOCH);
    assert_eq!(refused(&case, of_epoch(6)), ErrorCode::UNKNOWN_LEADER_EPOCH);
    let stranger = Fetch { follower: NodeId(9), ..fetch };
    assert_eq!(refused(&case, stranger), ErrorCode::UNKNOWN_LEADER_EPOCH);
    case.fetched(3, 5);
    case.fetched(2, 5);
    assert_eq!(case.leader.high_watermark(), Offset(5));
    // It registers anew, and what it fetched before counts no more.
    let mut anew = standing(&[1, 2, 3], 9);
    anew.peers.get_mut(&NodeId(2)).unwrap().epoch = BrokerEpoch(200);
    case.appended(6);
    case.step(Input::Learned(anew));
    let late = Fetch { fetch_offset: Offset(6), leader_end_offset: Offset(6), ..fetch };
    assert_eq!(refused(&case, late), ErrorCode::NOT_LEADER_OR_FOLLOWER);
    case.fetched(3, 6);
    assert_eq!(case.step(Input::Fetched(late)), Offset(5));
    let now = Fetch { broker_epoch: Some(BrokerEpoch(200)), ..late };
    assert_eq!(case.step(Input::Fetched(now)), Offset(6));
}

/// An incarnation that the metadata here does not know yet would be refused by the controller, or
/// the one before it be taken in its place.
#[test]
fn who_is_newer_than_the_metadata_waits() {
    let mut case = Case::begin(&[1, 2], 1);
    let newer = Fetch { broker_epoch: Some(BrokerEpoch(200)), ..case.fetch(3, 5) };
    case.step(Input::Fetched(newer));
    assert_eq!(case.proposed(), None);
    let mut anew = standing(&[1, 2], 9);
    anew.peers.get_mut(&NodeId(3)).unwrap().epoch = BrokerEpoch(200);
    case.step(Input::Learned(anew));
    let proposal = case.proposed().unwrap();
    assert_eq!(proposal.isr.last(), Some(&(NodeId(3), Some(BrokerEpoch(200)))));
}

/// A copy of what was refused may be accepted later: taking it back at once loses records, never
/// taking it back stops every write if who was refused is gone.
#[test]
fn what_was_refused_counts_until_another_proposal_is_accepted() {
    let mut case = Case::begin(&[1, 2], 1);
    case.fetched(2, 5);
    case.fetched(3, 5);
    let proposal = case.proposed().unwrap();
    case.appended(9);
    case.answer(&proposal, Err(ErrorCode::INELIGIBLE_REPLICA));
    let withdrawal = case.proposed().unwrap();
    assert_eq!((withdrawal.isr.len(), withdrawal.partition_epoch), (2, 9));
    assert_eq!(case.fetched(2, 9), Offset(5), "it counts still");
    assert_eq!(case.answer(&withdrawal, Ok(decided(&[1, 2], 10))), Offset(9));
    assert_eq!(case.leader.maximal_isr(), [1, 2].map(NodeId));
    // The metadata here may be behind: nobody is proposed again at once.
    case.fetched(3, 9);
    assert_eq!(case.proposed(), None);
    case.later(Duration::from_millis(500));
    case.fetched(3, 9);
    assert_eq!(case.proposed_isr(), Some(vec![1, 2, 3]));
}

/// Silence says nothing, and one answer that is lost would stop every change of the ISR.
#[test]
fn a_proposal_without_an_answer_is_made_again() {
    let mut case = Case::begin(&[1, 2], 1);
    case.fetched(3, 5);
    let lost = case.proposed().unwrap();
    case.answer(&lost, Err(ErrorCode::REQUEST_TIMED_OUT));
    assert_eq!(case.proposed(), None);
    let retry_at = case.leader.deadline().unwrap();
    case.later(retry_at.since(case.now));
    let again = case.proposed().unwrap();
    assert_eq!((&again.isr, again.partition_epoch), (&lost.isr, 9));
    assert_ne!(again.id, lost.id);
    // The first one was accepted after all, and is answered last.
    case.answer(&again, Err(ErrorCode::INVALID_UPDATE_VERSION));
    assert_eq!(case.leader.maximal_isr(), [1, 2, 3].map(NodeId));
    case.answer(&lost, Ok(decided(&[1, 2, 3], 10)));
    assert_eq!(case.leader.standing().partition_epoch, 10);
}

/// The ISR would go back to what it was before the answer, and acknowledge without a replica.
#[test]
fn metadata_that_is_older_than_an_answer_is_not_heard() {
    let mut case = Case::begin(&[1, 2], 1);
    case.fetched(3, 5);
    let proposal = case.proposed().unwrap();
    case.answer(&proposal, Ok(decided(&[1, 2, 3], 10)));
    case.step(Input::Learned(standing(&[1, 2], 9)));
    assert_eq!(case.leader.standing().isr, [1, 2, 3].map(NodeId));
    let other = Standing { leader_epoch: LeaderEpoch(6), ..standing(&[1], 11) };
    case.step(Input::Learned(other));
    assert_eq!(case.leader.leader_epoch(), EPOCH);
    assert_eq!(case.leader.standing().partition_epoch, 10);
}

/// Fact R10: the partition would stay marked as one whose records are lost.
#[test]
fn a_leader_elected_unclean_says_that_it_has_recovered() {
    let mut case = Case::on(Standing { is_recovering: true, ..standing(&[1], 9) }, 1);
    let proposal = case.proposed().unwrap();
    assert_eq!((proposal.isr.len(), proposal.is_recovering), (1, false));
    case.answer(&proposal, Ok(decided(&[1], 10)));
    case.later(MAX_LAG);
    assert_eq!(case.proposed(), None);
}

/// Fact R15: replicas that a reassignment adds would never catch up, or those that it removed
/// would hold writes back.
#[test]
fn a_reassignment_changes_who_follows() {
    let with = |replicas: &[i32], isr: &[i32], partition_epoch| Standing {
        replicas: replicas.iter().copied().map(NodeId).collect(),
        ..standing(isr, partition_epoch)
    };
    let mut case = Case::on(with(&[1, 2], &[1, 2], 9), 2);
    let stranger = case.fetch(3, 5);
    assert!(case.leader.admit_fetch(&stranger).is_err());
    case.step(Input::Learned(with(&[1, 2, 3], &[1, 2], 10)));
    case.fetched(3, 5);
    assert_eq!(case.proposed_isr(), Some(vec![1, 2, 3]));
    case.appended(9);
    case.fetched(3, 9);
    assert_eq!(case.step(Input::Learned(with(&[1, 3], &[1, 3], 11))), Offset(9));
    assert_eq!(case.leader.followers().map(|(id, _)| id).collect::<Vec<_>>(), [NodeId(3)]);
}

/// The high watermark would run away from who could join, so that it never does; or wait for one
/// that has stopped, for ever.
#[test]
fn the_high_watermark_waits_a_while_for_who_could_join() {
    let mut case = Case::begin(&[1], 1);
    case.fetched(2, 3);
    assert_eq!(case.appended(9), Offset(9));
    case.fetched(2, 5);
    assert_eq!(case.proposed(), None, "it lacks what is acknowledged");
    let mut other = case.leader.clone();
    assert_eq!(case.appended(10), Offset(9));
    let out_at = case.now.plus(MAX_LAG + Duration::from_millis(1));
    assert_eq!(case.leader.deadline(), Some(out_at));
    case.later(MAX_LAG + Duration::from_millis(1));
    assert_eq!(case.leader.high_watermark(), Offset(10));
    // One that is fenced is not waited for.
    let fenced = inactive(2, standing(&[1], 9));
    other.step(Instant(1_000_000), Input::Learned(fenced), &mut Vec::new());
    other.step(Instant(1_000_000), Input::Appended(Offset(10)), &mut Vec::new());
    assert_eq!(other.high_watermark(), Offset(10));
}

/// A consumer would be sent to a replica that lacks what it asks for (KIP-392).
#[test]
fn only_who_is_in_sync_and_has_the_offset_is_read_from() {
    let mut case = Case::begin(&[1, 2, 3], 1);
    case.fetched(2, 4);
    case.fetched(3, 5);
    let nodes = |offset| {
        let found = case.leader.read_replicas(Offset(offset)).into_iter();
        found.map(|it| (it.node.0, it.rack.unwrap().to_string())).collect::<Vec<_>>()
    };
    assert_eq!(nodes(5), [(3, "rack-3".to_owned())]);
    assert_eq!(nodes(4).len(), 2);
    let mut case = Case::begin(&[1, 2], 2);
    case.fetched(3, 2);
    assert!(case.leader.read_replicas(Offset(1)).is_empty());
}
