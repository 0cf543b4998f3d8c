//! Traps of a pull-based quorum that people have walked into, one test each, with one machine and
//! the messages of the others written by hand.

use std::time::Duration;

use bytes::Bytes;
use milena_cluster::quorum::{
    AddVoterRequest, Batch, BeginQuorumEpochRequest, Control, CorrelationId, EndQuorumEpochRequest,
    Endpoint, Envelope, EpochStart, FetchRequest, Fetched, Generation, Input, Membership, Message,
    Output, Piece, Quorum, QuorumState, RemoveVoterRequest, ReplicaKey, Request, Response,
    ResponseBody, Restored, RestoredLog, SnapshotId, Timing, UpdateVoterRequest, VoteRequest,
    Voter, VoterSet,
};
use milena_cluster::time::{Instant, Now};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, Timestamp, Uuid};

/// A member under test and its clock.
struct Member {
    machine: Quorum,
    now: u64,
}

fn key(id: i32) -> ReplicaKey {
    ReplicaKey { id: NodeId(id), directory_id: Uuid::from_u128(1000 + id as u128) }
}

fn voters(ids: &[i32]) -> VoterSet {
    ids.iter().map(|id| Voter::bare(key(*id))).collect()
}

fn restored(id: i32, of: &[i32]) -> Restored {
    Restored {
        me: Voter::bare(key(id)),
        cluster_id: "cluster".into(),
        seed: id as u64,
        timing: Timing::default(),
        state: QuorumState::default(),
        log: RestoredLog::default(),
        base: Membership { kraft_version: 1, voters: voters(of) },
        control: Vec::new(),
        bootstrap_count: 0,
    }
}

/// A log of one epoch, as a restart finds it.
fn log(epoch: i32, end_offset: i64) -> RestoredLog {
    let epochs = vec![EpochStart { epoch: LeaderEpoch(epoch), start_offset: Offset::ZERO }];
    RestoredLog { snapshot: None, epochs, end_offset: Offset(end_offset) }
}

fn state(epoch: i32, leader: i32) -> QuorumState {
    QuorumState {
        leader_id: NodeId(leader),
        leader_epoch: LeaderEpoch(epoch),
        ..QuorumState::default()
    }
}

fn batch(base: i64, end: i64, epoch: i32) -> Batch {
    Batch {
        base_offset: Offset(base),
        end_offset: Offset(end),
        epoch: LeaderEpoch(epoch),
        control: Vec::new(),
        bytes: Bytes::from_static(b"records"),
    }
}

fn batches(high_watermark: i64, batches: Vec<Batch>) -> ResponseBody {
    ResponseBody::Fetch(Fetched::Batches { high_watermark: Some(Offset(high_watermark)), batches })
}

impl Member {
    fn new(restored: Restored) -> Self {
        Self { machine: Quorum::restore(restored, Now::default()), now: 0 }
    }

    fn step(&mut self, input: Input) -> Vec<Output> {
        let now = Now { instant: Instant(self.now), wall: Timestamp(self.now as i64) };
        let mut outputs = Vec::new();
        self.machine.step(now, input, &mut outputs);
        outputs
    }

    /// Ticks whenever it wants to, until the time has gone by.
    fn wait(&mut self, span: Duration) -> Vec<Output> {
        let end = Instant(self.now).plus(span);
        let mut outputs = Vec::new();
        while let Some(at) = self.machine.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at.0);
            outputs.extend(self.step(Input::Tick));
        }
        self.now = end.0;
        outputs
    }

    fn request(&mut self, from: i32, request: Request) -> Vec<Output> {
        let message = Message::Request(request);
        let correlation = CorrelationId(7);
        self.step(Input::Receive(Envelope { peer: NodeId(from), correlation, message }))
    }

    fn answer(
        &mut self,
        sent: &(NodeId, CorrelationId),
        epoch: i32,
        leader: i32,
        error: ErrorCode,
        body: ResponseBody,
    ) -> Vec<Output> {
        let response = Response {
            error,
            epoch: LeaderEpoch(epoch),
            leader: NodeId(leader),
            leader_endpoints: Vec::new(),
            body,
        };
        let message = Message::Response(response);
        self.step(Input::Receive(Envelope { peer: sent.0, correlation: sent.1, message }))
    }

    fn flush(&mut self) -> Vec<Output> {
        let (generation, end) = (self.machine.log().generation(), self.machine.log_end_offset());
        self.step(Input::Flushed(generation, end))
    }

    fn role(&self) -> &'static str {
        self.machine.role().name()
    }

    /// Stands, and is elected with the votes of these.
    fn elect(&mut self, by: &[i32]) -> Vec<Output> {
        let mut outputs = self.wait(Duration::from_secs(4));
        for is_real in [false, true] {
            let sent = votes(&outputs);
            let asked: Vec<_> = sent.iter().filter(|(to, _)| by.contains(&to.0)).copied().collect();
            assert!(!asked.is_empty(), "nobody was asked, real: {is_real}");
            let epoch = self.machine.epoch().0;
            outputs = Vec::new();
            for sent in asked.iter().rev().take(by.len()) {
                let granted = ResponseBody::Vote { granted: true };
                outputs.extend(self.answer(sent, epoch, -1, ErrorCode::NONE, granted));
            }
        }
        assert_eq!(self.role(), "leader");
        outputs
    }

    /// A replica fetches from this leader.
    fn fetched(&mut self, from: i32, end: i64, last_epoch: i32) -> Vec<Output> {
        let request = FetchRequest {
            replica: key(from),
            epoch: self.machine.epoch(),
            fetch_offset: Offset(end),
            last_epoch: LeaderEpoch(last_epoch),
            high_watermark: None,
            max_wait: Duration::from_millis(500),
            max_bytes: 1 << 20,
        };
        self.request(from, Request::Fetch(request))
    }
}

fn sent(outputs: &[Output], is_it: impl Fn(&Request) -> bool) -> Vec<(NodeId, CorrelationId)> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Send(Envelope { peer, correlation, message: Message::Request(request) })
                if is_it(request) =>
            {
                Some((*peer, *correlation))
            }
            _ => None,
        })
        .collect()
}

fn votes(outputs: &[Output]) -> Vec<(NodeId, CorrelationId)> {
    sent(outputs, |request| matches!(request, Request::Vote(_)))
}

fn fetches(outputs: &[Output]) -> Vec<(NodeId, CorrelationId)> {
    sent(outputs, |request| matches!(request, Request::Fetch(_)))
}

fn errors(outputs: &[Output]) -> Vec<ErrorCode> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Send(Envelope { message: Message::Response(response), .. }) => {
                Some(response.error)
            }
            _ => None,
        })
        .collect()
}

/// A follower of node 1 in epoch 5 that holds 0–9 of epoch 5, and its fetch.
fn follower() -> (Member, (NodeId, CorrelationId)) {
    let found = Restored { state: state(5, 1), log: log(5, 10), ..restored(2, &[1, 2, 3]) };
    let mut member = Member::new(found);
    let fetch = fetches(&member.step(Input::Tick))[0];
    (member, fetch)
}

/// A doubled answer of long ago would cut records that are committed by now.
#[test]
fn a_stale_answer_cuts_nothing() {
    let (mut member, first) = follower();
    let diverging =
        ResponseBody::Fetch(Fetched::Diverging { epoch: LeaderEpoch(4), end_offset: Offset(6) });
    let taken = member.answer(&first, 5, 1, ErrorCode::NONE, batches(4, vec![batch(10, 12, 5)]));
    assert!(
        matches!(taken[..], [Output::Commit(Offset(4)), Output::AppendReplicated(_)])
            || matches!(taken[..], [Output::AppendReplicated(_), Output::Commit(Offset(4))])
    );
    let second = fetches(&member.flush())[0];
    assert!(member.answer(&first, 5, 1, ErrorCode::NONE, diverging.clone()).is_empty());
    assert_eq!(member.machine.log_end_offset(), Offset(12));
    let other_peer = (NodeId(3), second.1);
    assert!(member.answer(&other_peer, 5, 1, ErrorCode::NONE, diverging).is_empty());
}

/// A follower without a leader would follow the dead one again and again, as long as somebody
/// remembers it.
#[test]
fn votes_of_others_do_not_lead_back_to_a_dead_leader() {
    let (mut member, _) = follower();
    let asked = votes(&member.wait(Duration::from_millis(2400)));
    assert_eq!(member.role(), "prospective");
    assert_eq!(asked.iter().map(|(to, _)| to.0).collect::<Vec<_>>(), [1, 3]);
    let refused = ResponseBody::Vote { granted: false };
    let outputs = member.answer(&asked[1], 5, 1, ErrorCode::NONE, refused);
    assert!(outputs.is_empty());
    assert_eq!(member.role(), "prospective", "one refusal of three decides nothing");
}

/// Where the first to notice that the leader is gone is refused by one that has not noticed yet,
/// and that one's log is the shorter, nobody would be elected until the trial's time is over.
#[test]
fn who_still_heard_of_the_leader_is_asked_again_before_the_next_turn() {
    let (mut member, fetch) = follower();
    member.answer(&fetch, 5, 1, ErrorCode::NONE, batches(10, Vec::new()));
    member.step(Input::Gone(NodeId(1)));
    let slot = Timing::default().slot();
    let mut asked = votes(&member.wait(slot * 3));
    asked.retain(|(to, _)| *to == NodeId(3));
    assert_eq!(member.role(), "prospective");
    let no = || ResponseBody::Vote { granted: false };
    assert!(member.answer(asked.last().unwrap(), 5, 1, ErrorCode::NONE, no()).is_empty());
    let mut again = votes(&member.wait(slot * 3 / 4));
    again.retain(|(to, _)| *to == NodeId(3));
    assert_eq!(again.len(), 1, "it is asked again, once so far");
    let yes = ResponseBody::Vote { granted: true };
    let mut asked = votes(&member.answer(&again[0], 5, -1, ErrorCode::NONE, yes));
    assert_eq!(member.role(), "candidate");
    asked.retain(|(to, _)| *to == NodeId(3));
    member.answer(&asked[0], 6, -1, ErrorCode::NONE, no());
    let mut again = votes(&member.wait(slot * 3 / 4));
    again.retain(|(to, _)| *to == NodeId(3));
    assert!(again.is_empty(), "a vote was given to another, and is not given twice");
}

/// A broker would never hear of metadata again after its leader died.
#[test]
fn an_observer_looks_for_the_leader_that_it_lost() {
    let found = Restored { state: state(5, 1), log: log(5, 10), ..restored(9, &[1, 2, 3]) };
    let mut member = Member::new(found);
    let asked = fetches(&member.step(Input::Tick))[0];
    let refused = ResponseBody::Fetch(Fetched::Nothing);
    let not_leader = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    let outputs = member.answer(&asked, 5, 1, not_leader, refused.clone());
    assert_eq!(fetches(&outputs)[0].0, NodeId(1), "it follows whom it was told of");
    // The leader never answers.
    let asked: Vec<i32> =
        fetches(&member.wait(Duration::from_secs(6))).iter().map(|(to, _)| to.0).collect();
    assert!(asked.contains(&2) && asked.contains(&3), "asked {asked:?}");
    let now = fetches(&member.wait(Duration::from_secs(1)));
    let last = now.last().copied().expect("it goes on asking");
    let outputs = member.answer(&last, 6, 3, ErrorCode::FENCED_LEADER_EPOCH, refused);
    assert_eq!(member.machine.leader(), Some(NodeId(3)));
    assert_eq!(fetches(&outputs)[0].0, NodeId(3));
}

/// The new leader could not reach it while it was down, and would try again only after a while:
/// until then a broker that is back has no controller.
#[test]
fn a_leader_that_was_restarted_asks_who_leads_now() {
    let found = Restored { state: state(5, 1), log: log(5, 10), ..restored(1, &[1, 2, 3]) };
    let mut member = Member::new(found);
    let asked = fetches(&member.step(Input::Tick))[0];
    assert_eq!((member.role(), asked.0), ("resigned", NodeId(2)));
    let refused = ResponseBody::Fetch(Fetched::Nothing);
    let outputs = member.answer(&asked, 6, 3, ErrorCode::FENCED_LEADER_EPOCH, refused);
    assert_eq!(member.role(), "follower");
    assert_eq!(fetches(&outputs)[0].0, NodeId(3));
}

/// An observer's question would count as a follower's position, with records that a power cut
/// takes.
#[test]
fn a_fetch_never_claims_what_is_not_synced() {
    let found = Restored { state: state(5, 1), log: log(5, 10), ..restored(9, &[1, 2, 3]) };
    let mut member = Member::new(found);
    let asked = fetches(&member.step(Input::Tick))[0];
    let nothing = ResponseBody::Fetch(Fetched::Nothing);
    let outputs = member.answer(&asked, 5, 1, ErrorCode::NOT_LEADER_OR_FOLLOWER, nothing);
    let fetch = fetches(&outputs)[0];
    let outputs = member.answer(&fetch, 5, 1, ErrorCode::NONE, batches(4, vec![batch(10, 12, 5)]));
    assert!(fetches(&outputs).is_empty(), "not before the sync");
    let outputs = member.wait(Duration::from_secs(10));
    assert!(!fetches(&outputs).is_empty());
    for output in outputs {
        if let Output::Send(Envelope {
            message: Message::Request(Request::Fetch(request)), ..
        }) = output
        {
            assert_eq!(request.fetch_offset, Offset(10));
        }
    }
}

/// A voter that was removed while it was away would ask for votes for ever.
#[test]
fn a_removed_voter_learns_that_it_observes() {
    let (mut member, _) = follower();
    let asked = votes(&member.wait(Duration::from_millis(2400)));
    assert_eq!(member.role(), "prospective");
    let refused = ResponseBody::Vote { granted: false };
    let outputs = member.answer(&asked[1], 6, 3, ErrorCode::FENCED_LEADER_EPOCH, refused);
    assert_eq!((member.role(), member.machine.leader()), ("follower", Some(NodeId(3))));
    let fetch = fetches(&outputs)[0];
    let removal =
        Batch { control: vec![(Offset(10), Control::Voters(voters(&[1, 3])))], ..batch(10, 11, 6) };
    member.answer(&fetch, 6, 3, ErrorCode::NONE, batches(10, vec![removal]));
    let fetch = fetches(&member.flush())[0];
    assert_eq!(member.role(), "follower", "its removal may yet be taken back");
    member.answer(&fetch, 6, 3, ErrorCode::NONE, batches(11, Vec::new()));
    assert_eq!(member.role(), "observer");
    member.wait(Duration::from_secs(30));
    assert_eq!(member.role(), "observer");
}

/// The others could need the end of the log of a leader that removed itself and crashed, and nobody
/// would ever be elected.
#[test]
fn a_removed_leader_stands_until_its_removal_is_committed() {
    let removal = (Offset(9), Control::Voters(voters(&[2])));
    let found = Restored {
        state: state(5, 1),
        log: log(5, 10),
        control: vec![removal],
        ..restored(1, &[1, 2])
    };
    let mut member = Member::new(found);
    assert_eq!(member.role(), "resigned");
    member.elect(&[2]);
    member.flush();
    assert_eq!(member.machine.high_watermark(), None, "its own log no longer counts");
    let outputs = member.fetched(2, 11, 6);
    assert!(outputs.contains(&Output::Commit(Offset(11))));
    assert_eq!(member.role(), "observer", "now it is gone");
}

/// A snapshot would hold what a power cut takes from the log.
#[test]
#[should_panic(expected = "a snapshot of what is not committed")]
fn no_snapshot_ends_above_what_is_committed() {
    let (mut member, fetch) = follower();
    member.answer(&fetch, 5, 1, ErrorCode::NONE, batches(12, vec![batch(10, 12, 5)]));
    assert_eq!(member.machine.high_watermark(), Some(Offset(10)), "the rest is not synced");
    let snapshot = SnapshotId { end_offset: Offset(12), epoch: LeaderEpoch(5) };
    member.step(Input::SnapshotTaken(snapshot));
}

/// A sync that began before a cut would make records count that were written after it.
#[test]
fn a_sync_from_before_a_cut_does_not_count_after_it() {
    let (mut member, fetch) = follower();
    member.answer(&fetch, 5, 1, ErrorCode::NONE, batches(4, vec![batch(10, 14, 5)]));
    let before = member.machine.log().generation();
    let begin = BeginQuorumEpochRequest {
        voter: key(2),
        leader: NodeId(3),
        epoch: LeaderEpoch(6),
        endpoints: Vec::new(),
    };
    member.request(3, Request::BeginQuorumEpoch(begin));
    let fetch = fetches(&member.flush())[0];
    let diverging =
        ResponseBody::Fetch(Fetched::Diverging { epoch: LeaderEpoch(5), end_offset: Offset(8) });
    let outputs = member.answer(&fetch, 6, 3, ErrorCode::NONE, diverging);
    assert!(outputs.contains(&Output::Truncate(Offset(8), Generation(before.0 + 1))));
    let fetch = fetches(&outputs)[0];
    member.answer(&fetch, 6, 3, ErrorCode::NONE, batches(4, vec![batch(8, 14, 6)]));
    let outputs = member.step(Input::Flushed(before, Offset(14)));
    assert!(fetches(&outputs).is_empty());
    assert_eq!(member.machine.log().flushed(), Offset(8));
    assert_eq!(fetches(&member.flush()).len(), 1);
}

/// A voter could give its vote twice over a restart.
#[test]
fn a_vote_is_durable_before_the_answer() {
    let mut member = Member::new(Restored { log: log(5, 10), ..restored(2, &[1, 2, 3]) });
    let ask = |candidate: i32, end: i64| {
        Request::Vote(VoteRequest {
            voter: key(2),
            candidate: key(candidate),
            epoch: LeaderEpoch(6),
            last_epoch: LeaderEpoch(5),
            end_offset: Offset(end),
            pre_vote: false,
        })
    };
    let is_granted = |outputs: &[Output]| {
        outputs.iter().any(|output| {
            matches!(
                output,
                Output::Send(Envelope {
                    message: Message::Response(Response {
                        body: ResponseBody::Vote { granted: true },
                        ..
                    }),
                    ..
                })
            )
        })
    };
    assert!(!is_granted(&member.request(1, ask(1, 9))), "its log is shorter");
    let outputs = member.request(3, ask(3, 10));
    assert!(matches!(&outputs[0], Output::PersistQuorumState(state)
        if state.voted_id == NodeId(3) && state.leader_epoch == LeaderEpoch(6)));
    assert!(is_granted(&outputs[1..]));
    assert!(!is_granted(&member.request(1, ask(1, 12))), "it has voted");
    assert!(is_granted(&member.request(3, ask(3, 10))), "the answer may have been lost");
}

/// A trial would raise the epoch of everybody and depose a healthy leader.
#[test]
fn a_trial_changes_nothing() {
    let (mut member, fetch) = follower();
    member.answer(&fetch, 5, 1, ErrorCode::NONE, batches(10, Vec::new()));
    let trial = Request::Vote(VoteRequest {
        voter: key(2),
        candidate: key(3),
        epoch: LeaderEpoch(5),
        last_epoch: LeaderEpoch(5),
        end_offset: Offset(10),
        pre_vote: true,
    });
    let outputs = member.request(3, trial.clone());
    let Some(Output::Send(Envelope { message: Message::Response(response), .. })) = outputs.first()
    else {
        panic!("no answer: {outputs:?}");
    };
    assert_eq!(response.body, ResponseBody::Vote { granted: false }, "it hears of its leader");
    member.wait(Duration::from_millis(2400));
    assert_eq!(member.role(), "prospective");
    let outputs = member.request(3, trial);
    assert_eq!(outputs.len(), 1, "nothing is persisted");
    assert_eq!(member.machine.epoch(), LeaderEpoch(5));
}

/// What an older leader wrote would be called committed and be overwritten by the next.
#[test]
fn records_of_an_older_epoch_commit_with_one_of_the_own() {
    let mut member = Member::new(Restored { log: log(5, 10), ..restored(1, &[1, 2, 3]) });
    member.elect(&[2]);
    member.flush();
    let outputs = member.fetched(2, 10, 5);
    assert!(!outputs.iter().any(|output| matches!(output, Output::Commit(_))));
    assert!(outputs.iter().any(|output| matches!(output, Output::SendBatches(..))));
    let outputs = member.fetched(2, 11, 6);
    assert!(outputs.contains(&Output::Commit(Offset(11))));
}

/// Two leaders would make two majorities that share nobody.
#[test]
fn voters_change_one_at_a_time_and_after_a_commit_of_the_own_epoch() {
    let mut member = Member::new(Restored { log: log(5, 10), ..restored(1, &[1, 2, 3]) });
    member.elect(&[2]);
    member.flush();
    let remove = |id| Request::RemoveVoter(RemoveVoterRequest { voter: key(id) });
    let add = || {
        let voter = Voter::bare(key(4));
        Request::AddVoter(AddVoterRequest { voter, ack_when_committed: true })
    };
    let early = member.request(-1, remove(3));
    assert_eq!(errors(&early), [ErrorCode::REQUEST_TIMED_OUT], "nothing of its own is committed");
    // Its epoch begins with the voters' own records, which come from the configuration.
    let end = member.machine.log_end_offset().0;
    member.fetched(2, end, 6);
    let behind = member.request(-1, add());
    assert_eq!(errors(&behind), [ErrorCode::REQUEST_TIMED_OUT], "it has not caught up");
    member.fetched(4, end, 6);
    let added = member.request(-1, add());
    assert!(errors(&added).is_empty(), "the answer waits for the commit");
    assert_eq!(member.machine.voters().len(), 4, "it counts at once");
    let second = member.request(-1, remove(3));
    assert_eq!(errors(&second), [ErrorCode::REQUEST_TIMED_OUT], "the one before is not committed");
    member.flush();
    member.fetched(2, end + 1, 6);
    assert_eq!(member.machine.voters().len(), 4);
    let committed = member.fetched(4, end + 1, 6);
    assert!(committed.contains(&Output::Commit(Offset(end + 1))), "three of four have it");
    assert!(errors(&committed).contains(&ErrorCode::NONE));
    let again = member.request(-1, add());
    assert_eq!(errors(&again), [ErrorCode::DUPLICATE_VOTER]);
    let unknown = member.request(-1, remove(8));
    assert_eq!(errors(&unknown), [ErrorCode::VOTER_NOT_FOUND]);
}

/// A leader that nobody hears would go on taking proposals.
#[test]
fn a_leader_without_a_majority_steps_down() {
    let mut member = Member::new(Restored { log: log(5, 10), ..restored(1, &[1, 2, 3]) });
    member.elect(&[2]);
    let outputs = member.wait(Duration::from_millis(3100));
    assert!(outputs.contains(&Output::ResignLeader));
    assert_eq!(member.role(), "resigned");
    assert_eq!(member.step(Input::Propose(vec![Bytes::new()])), [Output::Reject]);
}

/// A leader that stops in order would cost a whole fetch timeout.
#[test]
fn the_end_of_an_epoch_lets_its_successor_stand_at_once() {
    let (mut member, _) = follower();
    let end = EndQuorumEpochRequest {
        leader: NodeId(1),
        epoch: LeaderEpoch(5),
        preferred: vec![key(2), key(3)],
    };
    member.request(1, Request::EndQuorumEpoch(end));
    assert_eq!(member.machine.deadline(), Some(Instant(0)));
    assert_eq!(votes(&member.step(Input::Tick)).len(), 2);
}

/// A replica that is too far behind would ask for records for ever that are gone.
#[test]
fn a_snapshot_takes_the_place_of_a_log_that_is_too_short() {
    let (mut member, fetch) = follower();
    let snapshot = SnapshotId { end_offset: Offset(50), epoch: LeaderEpoch(5) };
    let needed = ResponseBody::Fetch(Fetched::Snapshot(snapshot));
    let outputs = member.answer(&fetch, 5, 1, ErrorCode::NONE, needed);
    let is_piece = |request: &Request| matches!(request, Request::FetchSnapshot(_));
    let mut piece = sent(&outputs, is_piece)[0];
    let body = |position: u64, bytes: &'static [u8]| {
        let bytes = Bytes::from_static(bytes);
        ResponseBody::FetchSnapshot(Piece { snapshot, size: 7, position, bytes })
    };
    let outputs = member.answer(&piece, 5, 1, ErrorCode::NONE, body(0, b"snap"));
    assert!(matches!(outputs[0], Output::WriteSnapshot(_, 0, _)));
    piece = sent(&outputs, is_piece)[0];
    let outputs = member.answer(&piece, 5, 1, ErrorCode::NONE, body(4, b"hot"));
    assert!(matches!(outputs[0], Output::WriteSnapshot(_, 4, _)));
    assert_eq!(outputs[1], Output::InstallSnapshot(snapshot));
    let membership = Membership { kraft_version: 1, voters: voters(&[1, 2]) };
    let outputs = member.step(Input::SnapshotInstalled(snapshot, Some(membership)));
    assert_eq!(outputs[0], Output::Commit(Offset(50)));
    assert_eq!(fetches(&outputs).len(), 1);
    assert_eq!((member.machine.log_end_offset(), member.machine.voters().len()), (Offset(50), 2));
}

/// A cluster that began with configured voters could never change them.
#[test]
fn configured_voters_move_into_the_log() {
    let bare = |id| Voter::bare(ReplicaKey { directory_id: Uuid::ZERO, ..key(id) });
    let configured = [bare(1), bare(2), bare(3)].into_iter().collect();
    let mut member = Member::new(Restored {
        log: log(5, 10),
        base: Membership { kraft_version: 0, voters: configured },
        ..restored(1, &[])
    });
    member.elect(&[2]);
    member.flush();
    assert_eq!(member.step(Input::UpgradeKraftVersion(1)), [Output::Reject], "nothing committed");
    member.fetched(2, 11, 6);
    let early = member.step(Input::UpgradeKraftVersion(1));
    assert_eq!(early, [Output::Reject], "the directory of node 3 is not known");
    member.fetched(3, 11, 6);
    let outputs = member.step(Input::UpgradeKraftVersion(1));
    let control = [Control::KraftVersion(1), Control::Voters(voters(&[1, 2, 3]))];
    assert!(matches!(&outputs[0], Output::Append(append) if append.content.control() == control));
    assert_eq!(member.machine.kraft_version(), 1);
    assert_eq!(member.step(Input::UpgradeKraftVersion(1)), [Output::Reject], "it is there");
}

/// Nobody would find a voter that moved.
#[test]
fn a_voter_says_where_it_listens_now() {
    let (mut member, fetch) = follower();
    member.answer(&fetch, 5, 1, ErrorCode::NONE, batches(10, Vec::new()));
    let moved = Voter {
        endpoints: vec![Endpoint { name: "C".into(), host: "new".into(), port: 9093 }],
        ..Voter::bare(key(2))
    };
    let found = Restored {
        me: moved.clone(),
        state: state(5, 1),
        log: log(5, 10),
        ..restored(2, &[1, 2, 3])
    };
    let mut moving = Member::new(found);
    let outputs = moving.step(Input::Tick);
    let is_update = |request: &Request| match request {
        Request::UpdateVoter(update) => update.voter == moved,
        _ => false,
    };
    assert_eq!(sent(&outputs, is_update).len(), 1);

    let mut leader = Member::new(Restored { log: log(5, 10), ..restored(1, &[1, 2, 3]) });
    leader.elect(&[2]);
    leader.flush();
    let end = leader.machine.log_end_offset().0;
    leader.fetched(2, end, 6);
    let update = UpdateVoterRequest { epoch: LeaderEpoch(6), voter: moved.clone() };
    leader.request(2, Request::UpdateVoter(update));
    assert_eq!(leader.machine.endpoints(NodeId(2)), moved.endpoints);
}
