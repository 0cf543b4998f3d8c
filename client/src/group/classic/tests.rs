//! A member of a classic group without a coordinator: what it asks, and what it tells.

use milena_protocol::api::heartbeat::HeartbeatResponse;
use milena_protocol::api::join_group::JoinGroupResponseMember;
use milena_protocol::ids::PartitionIndex;

use super::*;

/// A member, the time, and what came out of it.
struct Play {
    member: ClassicMember,
    now: Instant,
    outputs: Vec<Output>,
}

fn keys(partitions: &[i32]) -> BTreeSet<Key> {
    partitions.iter().map(|index| (Arc::from("t"), PartitionIndex(*index))).collect()
}

impl Play {
    fn new(assignors: &[ClassicAssignor]) -> Self {
        let options =
            GroupOptions { classic_assignors: assignors.to_vec(), ..GroupOptions::new("g") };
        let now = Instant::now();
        let wanted = Subscription::topics(["t"]);
        let member = ClassicMember::new(options, "", wanted, now).unwrap();
        Self { member, now, outputs: Vec::new() }
    }

    /// A follower that reads partitions in generation 1.
    fn reading(assignors: &[ClassicAssignor], partitions: &[i32]) -> Self {
        let mut play = Self::new(assignors);
        play.step(Input::Woke);
        play.join(1, "other");
        play.sync(ErrorCode::NONE, partitions);
        play.outputs.clear();
        play
    }

    fn step(&mut self, input: Input) {
        self.member.step(self.now, input, &mut self.outputs);
    }

    fn wait(&mut self) {
        self.now = self.member.deadline().expect("something is due");
        self.step(Input::Woke);
    }

    fn join(&mut self, generation_id: i32, leader: &str) {
        let metadata =
            embedded::write_subscription(&BTreeSet::from(["t".into()]), &keys(&[]), -1, None);
        let member = |id: &str| JoinGroupResponseMember {
            member_id: id.into(),
            group_instance_id: None,
            metadata: metadata.clone(),
        };
        self.step(Input::Answered(Reply::Join(JoinGroupResponse {
            generation_id,
            member_id: "me".into(),
            leader: leader.into(),
            protocol_name: Some("range".into()),
            members: vec![member("me"), member("other")],
            ..Default::default()
        })));
    }

    fn refuse_join(&mut self, error_code: ErrorCode) {
        let answer = JoinGroupResponse { error_code, member_id: "me".into(), ..Default::default() };
        self.step(Input::Answered(Reply::Join(answer)));
    }

    fn sync(&mut self, error_code: ErrorCode, partitions: &[i32]) {
        let assignment = embedded::write_assignment(&keys(partitions));
        let answer = SyncGroupResponse { error_code, assignment, ..Default::default() };
        self.step(Input::Answered(Reply::Sync(answer)));
    }

    fn beat(&mut self, error_code: ErrorCode) {
        let answer = HeartbeatResponse { error_code, ..Default::default() };
        self.step(Input::Answered(Reply::Beat(answer)));
    }

    /// What came out, in words.
    fn said(&mut self) -> Vec<String> {
        let shown = |keys: &BTreeSet<Key>| {
            keys.iter().map(|key| key.1.to_string()).collect::<Vec<_>>().join(",")
        };
        let word = |output: &Output| match output {
            Output::Tell(Notice::Assigned(keys)) => Some(format!("assigned {}", shown(keys))),
            Output::Tell(Notice::Revoking(number, keys)) => {
                Some(format!("revoking {} #{number}", shown(keys)))
            }
            Output::Tell(Notice::Lost(keys)) => Some(format!("lost {}", shown(keys))),
            Output::Tell(Notice::Failed(error)) => Some(format!("failed {:?}", error.code())),
            Output::Tell(Notice::Troubled(_)) | Output::Stand(_) | Output::Name(_) => None,
            Output::Ask(Question::Join(join)) => Some(format!("join as {:?}", &*join.member_id)),
            Output::Ask(Question::Sync(sync)) => {
                // Kafka refuses who does not say what was agreed on.
                assert_eq!(sync.protocol_type.as_deref(), Some("consumer"));
                assert_eq!(sync.protocol_name.as_deref(), Some("range"));
                Some(format!("sync {}", sync.assignments.len()))
            }
            Output::Ask(Question::Beat(beat)) => Some(format!("beat {}", beat.generation_id)),
            Output::Ask(Question::Leave(_)) => Some("leave".to_owned()),
            Output::Ask(Question::Report(_)) => Some("report".to_owned()),
            Output::Count(_) => Some("count".to_owned()),
            Output::Seek => Some("seek".to_owned()),
            Output::HangUp => Some("hang up".to_owned()),
            Output::End => Some("end".to_owned()),
        };
        std::mem::take(&mut self.outputs).iter().filter_map(word).collect()
    }
}

const EAGER: &[ClassicAssignor] = &[ClassicAssignor::Range, ClassicAssignor::CooperativeSticky];
const COOPERATIVE: &[ClassicAssignor] = &[ClassicAssignor::CooperativeSticky];

/// A group without this member would never learn its shares, or the member never its own.
#[test]
fn a_leader_counts_and_assigns() {
    let mut play = Play::new(EAGER);
    play.step(Input::Woke);
    assert_eq!(play.said(), ["join as \"\""]);
    play.refuse_join(ErrorCode::MEMBER_ID_REQUIRED);
    assert_eq!(play.said(), ["join as \"me\""]);
    play.join(1, "me");
    assert_eq!(play.said(), ["count"]);
    play.step(Input::Counted(BTreeMap::from([("t".into(), 3)])));
    assert_eq!(play.said(), ["sync 2"]);
    play.sync(ErrorCode::NONE, &[0, 1]);
    assert_eq!(play.said(), ["assigned 0,1"]);
    play.wait();
    assert_eq!(play.said(), ["beat 1"]);
    // A topic that grows is noticed later.
    play.beat(ErrorCode::NONE);
    play.step(Input::Counted(BTreeMap::from([("t".into(), 4)])));
    assert_eq!(play.said(), ["revoking 0,1 #1"]);
}

/// Two members would read a partition during a rebalance of ranges.
#[test]
fn an_eager_member_gives_all_up_before_it_joins_again() {
    let mut play = Play::reading(EAGER, &[0, 1]);
    play.wait();
    play.beat(ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!(play.said(), ["beat 1", "revoking 0,1 #1"]);
    play.wait();
    assert_eq!(play.said(), ["beat 1"], "it lives while the application takes its time");
    play.beat(ErrorCode::REBALANCE_IN_PROGRESS);
    play.step(Input::Released(1));
    assert_eq!(play.said(), ["join as \"me\""]);
    play.join(2, "other");
    play.sync(ErrorCode::NONE, &[1]);
    assert_eq!(play.said(), ["sync 0", "assigned 1"]);
}

/// A cooperative member would stop reading at every rebalance, or never let go of what others get.
#[test]
fn a_cooperative_member_reads_on() {
    let mut play = Play::reading(COOPERATIVE, &[0, 1]);
    play.wait();
    play.beat(ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!(play.said(), ["beat 1", "join as \"me\""]);
    play.join(2, "other");
    play.sync(ErrorCode::NONE, &[1, 2]);
    assert_eq!(play.said(), ["sync 0", "assigned 2", "revoking 0 #1"]);
    play.step(Input::Released(1));
    assert_eq!(play.said(), ["join as \"me\""], "so that others get what it gave up");
    play.join(3, "other");
    play.sync(ErrorCode::NONE, &[1, 2]);
    assert_eq!(play.said(), ["sync 0"]);
}

/// A member that was thrown out would read on what others read, or stay away for ever.
#[test]
fn who_is_thrown_out_begins_anew() {
    for (code, id) in [(ErrorCode::UNKNOWN_MEMBER_ID, ""), (ErrorCode::ILLEGAL_GENERATION, "me")] {
        let mut play = Play::reading(EAGER, &[0]);
        play.wait();
        play.beat(code);
        play.wait();
        assert_eq!(play.said(), ["beat 1", "lost 0", format!("join as {id:?}").as_str()]);
    }
    let mut play = Play::reading(EAGER, &[0]);
    play.wait();
    play.beat(ErrorCode::FENCED_INSTANCE_ID);
    let failed = "failed Some(FENCED_INSTANCE_ID)";
    assert_eq!(play.said(), ["beat 1", "lost 0", failed, "end"]);
}

/// A generation that goes on without its member would be waited for.
#[test]
fn a_share_that_was_not_learned_is_asked_for_again() {
    let mut play = Play::new(EAGER);
    play.step(Input::Woke);
    play.join(1, "other");
    play.sync(ErrorCode::REBALANCE_IN_PROGRESS, &[]);
    assert_eq!(play.said(), ["join as \"\"", "sync 0", "join as \"me\""]);
    play.join(2, "other");
    play.step(Input::Unanswered);
    play.wait();
    assert_eq!(play.said(), ["sync 0", "join as \"me\""]);
    play.refuse_join(ErrorCode::NOT_COORDINATOR);
    play.wait();
    assert_eq!(play.said(), ["seek", "join as \"me\""]);
}

/// A subscription that changes while a rebalance is under way would be forgotten.
#[test]
fn a_new_subscription_joins_again() {
    let mut play = Play::new(EAGER);
    play.step(Input::Woke);
    play.step(Input::Subscribed(Subscription::topics(["t", "u"])));
    play.join(1, "other");
    play.sync(ErrorCode::NONE, &[]);
    assert_eq!(play.said(), ["join as \"\"", "sync 0", "join as \"me\""]);
}

/// Others would wait for the session of who has left, and a static member lose its place.
#[test]
fn who_leaves_says_so_unless_it_is_static() {
    let mut play = Play::reading(EAGER, &[0]);
    play.step(Input::Leave);
    assert_eq!(play.said(), ["leave"]);
    play.step(Input::Answered(Reply::Left));
    assert_eq!(play.said(), ["lost 0", "end"]);
    let mut play = Play::reading(EAGER, &[0]);
    play.member.options.instance_id = Some("one".to_owned());
    play.step(Input::Leave);
    assert_eq!(play.said(), ["end"]);
}

/// A member would wait to leave until others have joined, who may never do.
#[test]
fn who_leaves_waits_for_no_join() {
    let mut play = Play::reading(EAGER, &[0]);
    play.wait();
    play.beat(ErrorCode::REBALANCE_IN_PROGRESS);
    play.step(Input::Released(1));
    play.said();
    play.step(Input::Leave);
    assert_eq!(play.said(), ["hang up", "leave"]);
    play.step(Input::Answered(Reply::Left));
    assert_eq!(play.said(), ["end"]);
    let mut play = Play::new(EAGER);
    play.step(Input::Woke);
    play.step(Input::Leave);
    assert_eq!(play.said(), ["join as \"\"", "hang up", "end"], "it has no name to leave by");
}

/// A member whose application hangs would keep its partitions for ever.
#[test]
fn who_does_not_poll_leaves_and_comes_back() {
    let mut play = Play::reading(EAGER, &[0]);
    let mut said = Vec::new();
    while !said.iter().any(|word| word == "lost 0") {
        play.wait();
        said = play.said();
        if said == ["beat 1"] {
            play.beat(ErrorCode::NONE);
        }
    }
    assert_eq!(said, ["lost 0", "leave"]);
    play.step(Input::Answered(Reply::Left));
    play.step(Input::Polled);
    assert_eq!(play.said(), ["join as \"\""]);
}
