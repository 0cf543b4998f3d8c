//! A member of a consumer group without a coordinator: what it asks, and what it tells.

use milena_protocol::api::consumer_group_heartbeat::ConsumerGroupHeartbeatResponseTopicPartitions;

use super::*;

const TOPIC: Uuid = Uuid::from_u128(1000);
const INTERVAL: Duration = Duration::from_secs(5);

/// A member, the time, and what came out of it.
struct Play {
    member: Member,
    now: Instant,
    outputs: Vec<Output>,
}

impl Play {
    fn new(options: GroupOptions) -> Self {
        let (wanted, now) = (Subscription::topics(["t"]), Instant::now());
        let member = Member::new(options, "rack", wanted, "me".to_owned(), now);
        Self { member, now, outputs: Vec::new() }
    }

    /// A member that owns partitions.
    fn owning(partitions: &[i32]) -> Self {
        let mut play = Self::new(GroupOptions::new("g"));
        play.report(Input::Woke);
        play.answer(1, Some(partitions));
        play.step(Input::Named(BTreeMap::from([(TOPIC, "t".into())])));
        play.answer(1, None);
        play.outputs.clear();
        play
    }

    fn step(&mut self, input: Input) {
        self.member.step(self.now, input, &mut self.outputs);
    }

    /// Steps, and gives the report that this leads to.
    fn report(&mut self, input: Input) -> ConsumerGroupHeartbeatRequest {
        self.step(input);
        self.asked().expect("a report")
    }

    fn asked(&mut self) -> Option<ConsumerGroupHeartbeatRequest> {
        let is_question = |output: &Output| matches!(output, Output::Ask(_));
        let at = self.outputs.iter().position(is_question)?;
        match self.outputs.remove(at) {
            Output::Ask(Question::Report(request)) => Some(request),
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, epoch: i32, partitions: Option<&[i32]>) {
        let assignment = partitions.map(|partitions| ConsumerGroupHeartbeatAssignment {
            topic_partitions: vec![ConsumerGroupHeartbeatResponseTopicPartitions {
                topic_id: TOPIC,
                partitions: partitions.iter().copied().map(PartitionIndex).collect(),
            }],
        });
        self.step(Input::Answered(Reply::Report(ConsumerGroupHeartbeatResponse {
            member_epoch: epoch,
            heartbeat_interval_ms: INTERVAL.as_millis() as i32,
            assignment,
            ..Default::default()
        })));
    }

    fn refuse(&mut self, error_code: ErrorCode) {
        let answer = ConsumerGroupHeartbeatResponse { error_code, ..Default::default() };
        self.step(Input::Answered(Reply::Report(answer)));
    }

    /// Lets the time pass until something is due.
    fn wait(&mut self) {
        self.now = self.member.deadline().expect("something is due");
        self.step(Input::Woke);
    }

    /// What the application is told, in words.
    fn told(&mut self) -> Vec<String> {
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
            Output::Seek => Some("seek".to_owned()),
            Output::End => Some("end".to_owned()),
            _ => None,
        };
        std::mem::take(&mut self.outputs).iter().filter_map(word).collect()
    }
}

fn owned(request: &ConsumerGroupHeartbeatRequest) -> Option<Vec<i32>> {
    let topics = request.topic_partitions.as_ref()?;
    Some(topics.iter().flat_map(|topic| topic.partitions.iter().map(|one| one.0)).collect())
}

/// The coordinator would refuse who joins, or read everything anew with every heartbeat.
#[test]
fn the_first_report_says_all_and_the_next_one_what_is_new() {
    let mut play = Play::new(GroupOptions::new("g"));
    let first = play.report(Input::Woke);
    assert_eq!((first.member_epoch, &*first.member_id), (0, "me"));
    assert_eq!(first.rebalance_timeout_ms, 300_000);
    assert_eq!(first.rack_id.as_deref(), Some("rack"));
    assert_eq!(first.subscribed_topic_names.as_ref().unwrap().len(), 1);
    assert_eq!(owned(&first), Some(vec![]));
    play.answer(1, Some(&[]));
    assert!(play.asked().is_none(), "nothing is due");
    play.wait();
    let next = play.asked().unwrap();
    assert_eq!((next.member_epoch, next.rebalance_timeout_ms), (1, -1));
    assert!(next.subscribed_topic_names.is_none() && owned(&next).is_none());
}

/// Partitions would be read under a name that nobody knows, or the coordinator would wait for ever
/// for a word that they are read.
#[test]
fn what_is_assigned_is_taken_and_reported() {
    let mut play = Play::new(GroupOptions::new("g"));
    play.report(Input::Woke);
    play.answer(1, Some(&[0, 1]));
    assert!(play.outputs.iter().any(|output| matches!(output, Output::Name(_))));
    assert!(play.told().is_empty(), "nobody knows how the topic is called");
    let report = play.report(Input::Named(BTreeMap::from([(TOPIC, "t".into())])));
    assert_eq!(owned(&report), Some(vec![0, 1]));
    assert_eq!(play.told(), ["assigned 0,1"]);
    play.answer(1, None);
    assert!(play.asked().is_none(), "it is said once");
}

/// Two members would read one partition: it must be given up before that is said.
#[test]
fn what_is_revoked_is_reported_when_it_is_given_up() {
    let mut play = Play::owning(&[0, 1]);
    play.wait();
    play.asked().unwrap();
    play.answer(1, Some(&[1, 2]));
    assert_eq!(play.told(), ["revoking 0 #1"]);
    play.wait();
    let meanwhile = play.asked().unwrap();
    assert_eq!(owned(&meanwhile), None, "it still owns what the coordinator knows");
    play.answer(1, None);
    play.step(Input::Released(7));
    assert!(play.asked().is_none() && play.told().is_empty(), "that was another notice");
    let report = play.report(Input::Released(1));
    assert_eq!(owned(&report), Some(vec![1, 2]));
    assert_eq!(play.told(), ["assigned 2"]);
}

/// A member that was fenced would read on what others read, or stay away for ever.
#[test]
fn a_fenced_member_begins_anew() {
    for code in [ErrorCode::FENCED_MEMBER_EPOCH, ErrorCode::UNKNOWN_MEMBER_ID] {
        let mut play = Play::owning(&[0, 1]);
        play.wait();
        play.asked().unwrap();
        play.answer(2, Some(&[1]));
        play.wait();
        play.asked().unwrap();
        play.told();
        play.refuse(code);
        assert_eq!(play.told(), ["lost 0,1"]);
        play.wait();
        let again = play.asked().unwrap();
        assert_eq!((again.member_epoch, &*again.member_id), (0, "me"));
        assert_eq!(owned(&again), Some(vec![]));
        play.answer(3, Some(&[0]));
        play.step(Input::Released(1));
        assert_eq!(play.told(), ["assigned 0"], "the old notice means nothing any more");
    }
}

/// A part of a report that was lost would never be said again.
#[test]
fn after_a_question_without_an_answer_all_is_said_again() {
    let mut play = Play::owning(&[0]);
    play.wait();
    play.asked().unwrap();
    play.step(Input::Unanswered);
    assert!(play.asked().is_none(), "not at once");
    play.wait();
    let again = play.asked().unwrap();
    assert_eq!((again.member_epoch, owned(&again)), (1, Some(vec![0])));
    assert!(again.subscribed_topic_names.is_some() && again.rebalance_timeout_ms > 0);
    play.refuse(ErrorCode::NOT_COORDINATOR);
    assert_eq!(play.told(), ["seek"], "and nothing is lost");
}

/// A new subscription would take effect at some later heartbeat, or an old expression stay.
#[test]
fn a_new_subscription_is_said_at_once() {
    let mut play = Play::owning(&[0]);
    let report = play.report(Input::Subscribed(Subscription::pattern("t.*")));
    assert_eq!(report.subscribed_topic_regex.as_deref(), Some("t.*"));
    assert_eq!(report.subscribed_topic_names.unwrap().len(), 0);
    play.answer(1, None);
    let report = play.report(Input::Subscribed(Subscription::topics(["u"])));
    assert_eq!(report.subscribed_topic_regex.as_deref(), Some(""));
    assert_eq!(report.subscribed_topic_names.unwrap().len(), 1);
}

/// A member whose application hangs would keep its partitions for ever.
#[test]
fn who_does_not_poll_leaves_and_comes_back() {
    let mut play = Play::owning(&[0]);
    while play.told() != ["lost 0"] {
        play.wait();
        if play.asked().is_some_and(|request| request.member_epoch > 0) {
            play.answer(1, None);
        }
    }
    assert_eq!(play.member.deadline(), None);
    play.answer(-1, None);
    let again = play.report(Input::Polled);
    assert_eq!(again.member_epoch, 0);
}

/// Others would wait for the session of who has left, or a static member lose its place.
#[test]
fn who_leaves_says_so() {
    for (instance_id, epoch) in [(None, -1), (Some("one".to_owned()), -2)] {
        let mut play = Play::new(GroupOptions { instance_id, ..GroupOptions::new("g") });
        play.report(Input::Woke);
        play.step(Input::Leave);
        assert!(play.told().is_empty(), "it does not know yet whether it is in");
        play.answer(1, None);
        assert_eq!(play.asked().unwrap().member_epoch, epoch);
        play.answer(epoch, None);
        assert_eq!(play.told(), ["end"]);
    }
    let mut play = Play::new(GroupOptions::new("g"));
    play.step(Input::Leave);
    assert_eq!(play.told(), ["end"], "it never was in");
}

/// A refusal that waiting does not heal would be repeated for ever without a word.
#[test]
fn a_refusal_that_does_not_heal_is_told() {
    let mut play = Play::owning(&[0]);
    play.wait();
    play.asked().unwrap();
    play.refuse(ErrorCode::UNRELEASED_INSTANCE_ID);
    assert_eq!(play.told(), ["lost 0", "failed Some(UNRELEASED_INSTANCE_ID)", "end"]);
}
