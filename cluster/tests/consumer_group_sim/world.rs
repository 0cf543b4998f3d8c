//! A group and its consumers in bad times, and whether they get over them.

use std::collections::BTreeSet;

use milena_cluster::coordinator::Record;
use milena_cluster::group::Caller;
use milena_cluster::group::assignor::Kind;
use milena_cluster::group::consumer::{
    Committer, Content, Decision, Group, Refused, Rules, Settings, State,
};
use milena_cluster::time::{Instant, Now};
use milena_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{PartitionIndex, Timestamp, Uuid};

use crate::classic::Next;
use crate::consumer::{Consumer, PATIENCE_MS, Partition, REBALANCE_TIMEOUT_MS};
use crate::simulation::Report;
use crate::simulation::rng::Rng;
use crate::topics::Topics;

/// How many things happen while times are bad.
/// When a run begins.
const BEGIN: u64 = 1_000;
const BAD_STEPS: usize = 150;
/// The longest that a consumer says nothing, which is longer than its session.
const MAX_SILENCE_MS: u64 = 60_000;
/// How long after that everything may take to be well: whoever was silent comes back, the others
/// hear of it with their next heartbeat, and give up what they shall.
const HEALING_MS: u64 = MAX_SILENCE_MS + 4 * 5_000 + 2 * REBALANCE_TIMEOUT_MS as u64;
const MAX_CONSUMERS: usize = 7;
const SUBSCRIPTIONS: [(&[&str], Option<&str>); 5] = [
    (&["t"], None),
    (&["t", "u"], None),
    (&["u"], None),
    (&[], Some("[tu]")),
    (&["t"], Some("v.*")),
];

type Answer = Result<ConsumerGroupHeartbeatResponse, Refused>;

pub struct World<R: Rules> {
    pub rng: Rng,
    pub now: u64,
    pub group: Group<R>,
    log: Vec<Record>,
    pub topics: Topics,
    pub settings: Settings,
    pub consumers: Vec<Consumer>,
    born: usize,
    is_bad: bool,
    is_traced: bool,
    report: Report,
}

impl<R: Rules> World<R> {
    pub fn new(seed: u64, is_traced: bool) -> Self {
        let mut rng = Rng::new(seed);
        let topics = Topics::new(&[("t", 1 + rng.below(8) as i32), ("u", 1 + rng.below(5) as i32)]);
        let assignors = if rng.chance(300) {
            vec![Kind::Range, Kind::Uniform]
        } else {
            vec![Kind::Uniform, Kind::Range]
        };
        let is_heartbeat_interval_set = rng.chance(300);
        Self {
            rng,
            now: BEGIN,
            group: Group::new("g".into()),
            log: Vec::new(),
            topics,
            settings: Settings { assignors, is_heartbeat_interval_set, ..Settings::default() },
            consumers: Vec::new(),
            born: 0,
            is_bad: true,
            is_traced,
            report: Report::default(),
        }
    }

    /// Bad times, then good ones.
    pub fn run(&mut self) -> Result<(), String> {
        for _ in 0..BAD_STEPS {
            self.chance();
            self.step()?;
        }
        self.is_bad = false;
        let healed_at = self.now + HEALING_MS;
        while self.now < healed_at {
            self.step()?;
        }
        self.check_healed()
    }

    /// What came of it.
    pub fn report(self) -> Report {
        Report { millis: self.now - BEGIN, ..self.report }
    }

    pub fn trace(&mut self, line: impl FnOnce() -> String) {
        if self.is_traced {
            let line = format!("{:>8} {}", self.now, line());
            self.report.transcript.push(line);
        }
    }

    pub fn meet(&mut self, what: &'static str) {
        *self.report.met.entry(what).or_default() += 1;
        self.trace(|| what.to_owned());
    }

    pub fn now(&self) -> Now {
        Now { instant: Instant(self.now), wall: Timestamp(self.now as i64) }
    }

    pub fn append(&mut self, records: Vec<Record>) -> Result<(), String> {
        for record in &records {
            let content = Content::read(&record.key, record.value.as_deref())
                .ok_or("a record cannot be read")?;
            self.group.replay(&content);
        }
        self.log.extend(records);
        self.group.check_invariants();
        self.check_owners()
    }

    /// Nobody reads what the group does not know it has: then no two read the same.
    pub fn check_owners(&self) -> Result<(), String> {
        for consumer in &self.consumers {
            let Some(member) = self.group.member(&consumer.id) else { continue };
            let known: BTreeSet<Partition> =
                member.owned().map(|(topic, index)| (topic, index.0)).collect();
            if !consumer.owned.is_subset(&known) {
                return Err(format!("{} reads {:?} unknown", consumer.id, consumer.owned));
            }
        }
        Ok(())
    }

    /// Something goes wrong, or changes.
    fn chance(&mut self) {
        let at = self.rng.below(self.consumers.len().max(1) as u64) as usize;
        match self.rng.below(40) {
            0..4 if self.consumers.len() < MAX_CONSUMERS => self.is_born(),
            4 if at < self.consumers.len() => {
                self.meet("died");
                self.consumers.remove(at);
            }
            5 => self.leave(at),
            6 => {
                self.meet("coordinator moved");
                self.restart();
            }
            7 => {
                self.meet("topics changed");
                let count = 1 + self.rng.below(9) as i32;
                match self.rng.below(4) {
                    0 => self.topics.grow("v1", count),
                    1 => self.topics.remove("v1"),
                    2 => self.topics.grow("u", count),
                    _ => self.topics.grow("t", count),
                }
            }
            8 => {
                let subscription = self.rng.pick(&SUBSCRIPTIONS).copied();
                let Some((topics, expression)) = subscription else { return };
                if let Some(consumer) = self.consumers.get_mut(at)
                    && consumer.classic.is_none()
                {
                    consumer.topics = topics.to_vec();
                    consumer.expression = expression;
                    consumer.resubscribes = true;
                    self.meet("resubscribed");
                }
            }
            9 => {
                if let Some(consumer) = self.consumers.get_mut(at) {
                    consumer.is_stuck = true;
                }
            }
            10 => {
                if let Some(consumer) = self.consumers.get_mut(at) {
                    consumer.is_silent = true;
                    consumer.next_at =
                        self.now + self.rng.within(MAX_SILENCE_MS / 2, MAX_SILENCE_MS);
                    self.meet("fell silent");
                }
            }
            11 => self.now += self.rng.below(20_000),
            _ => {}
        }
    }

    fn is_born(&mut self) {
        self.born += 1;
        let instance_id = self.rng.chance(300).then(|| format!("i{}", self.rng.below(2)));
        let is_taken = instance_id.is_some()
            && self.consumers.iter().any(|other| other.instance_id == instance_id);
        if is_taken {
            return;
        }
        let id = format!("m{}", self.born);
        self.trace(|| format!("{id} {instance_id:?} begins"));
        let mut consumer = Consumer::new(id, instance_id, self.now);
        if consumer.instance_id.is_none() && self.rng.chance(250) {
            consumer.classic = Some(Next::Join);
            consumer.is_eager = self.rng.chance(300);
        }
        self.consumers.push(consumer);
    }

    /// One leaves for good, or for a while if it has a name.
    fn leave(&mut self, at: usize) {
        if at >= self.consumers.len() {
            return;
        }
        let consumer = self.consumers.remove(at);
        if consumer.classic.is_some() {
            return;
        }
        let member_epoch = if consumer.instance_id.is_some() { -2 } else { -1 };
        let request = ConsumerGroupHeartbeatRequest {
            group_id: "g".into(),
            member_id: consumer.id.as_str().into(),
            member_epoch,
            instance_id: consumer.instance_id.as_deref().map(Into::into),
            ..Default::default()
        };
        if self.group.is_recorded() && self.decide(&request).is_ok_and(|answer| answer.is_ok()) {
            self.meet(if member_epoch == -2 { "left for a while" } else { "left" });
        }
    }

    fn restart(&mut self) {
        let mut group = Group::new("g".into());
        for record in &self.log {
            let content = Content::read(&record.key, record.value.as_deref());
            content.iter().for_each(|content| group.replay(content));
        }
        group.check_invariants();
        assert!(group.members().eq(self.group.members()), "the log says it all");
        group.loaded(self.now(), &self.settings);
        self.group = group;
    }

    /// Whatever comes next: a heartbeat, or something that falls due.
    fn step(&mut self) -> Result<(), String> {
        self.report.steps += 1;
        let next = self.consumers.iter().enumerate().min_by_key(|(at, it)| (it.next_at, *at));
        let next = next.map(|(at, consumer)| (at, consumer.next_at));
        let beats_at = next.map_or(self.now + 1000, |(_, at)| at).max(self.now);
        if let Some(due_at) = self.group.deadline().filter(|at| at.0 <= beats_at) {
            self.now = self.now.max(due_at.0);
            let records = self.group.tick(self.now(), &self.topics.image, &self.settings);
            if !records.is_empty() {
                self.meet("ticked");
            }
            self.append(records)?;
            let is_due = self.group.deadline().is_some_and(|at| at.0 <= self.now);
            return if is_due { Err("a tick leaves something due".into()) } else { Ok(()) };
        }
        self.now = beats_at;
        match next {
            Some((at, _)) => self.beat(at),
            None => Ok(()),
        }
    }

    pub fn goes_wrong(&mut self, per_mille: u64) -> bool {
        self.is_bad && self.rng.chance(per_mille)
    }

    fn decide(&mut self, request: &ConsumerGroupHeartbeatRequest) -> Result<Answer, String> {
        let caller = Caller { version: 1, fresh_id: Uuid::from_u128(5), ..Default::default() };
        let Decision { records, answer } =
            self.group.heartbeat(self.now(), &caller, request, &self.topics.image, &self.settings);
        if self.goes_wrong(30) && !records.is_empty() {
            // The records are not committed: whoever asked hears nothing, nor does anyone else.
            self.meet("records lost");
            self.restart();
            let lost = Refused { code: ErrorCode::NOT_COORDINATOR, message: String::new() };
            return Ok(Err(lost));
        }
        if self.goes_wrong(20) && !records.is_empty() {
            self.meet("append refused");
            let refused = Refused { code: ErrorCode::NOT_COORDINATOR, message: String::new() };
            return Ok(Err(refused));
        }
        self.append(records)?;
        Ok(answer)
    }

    fn beat(&mut self, at: usize) -> Result<(), String> {
        self.try_commit(at)?;
        self.send_an_old_request(at)?;
        if let Some(next) = self.consumers.get(at).and_then(|it| it.classic) {
            return self.step_classic(at, next);
        }
        let now = self.now;
        let Some(consumer) = self.consumers.get_mut(at) else { return Ok(()) };
        consumer.is_silent = false;
        consumer.work(now);
        let request = consumer.request();
        if self.goes_wrong(80) {
            self.meet("request lost");
            self.consumers.iter_mut().skip(at).take(1).for_each(|it| it.misses(now));
            return Ok(());
        }
        let answer = self.decide(&request)?;
        if self.goes_wrong(50) {
            // A client that does not get its answer says everything the next time: only the
            // answer to the first copy may be heard.
            self.meet("request doubled");
            let _ = self.decide(&request)?;
        }
        let is_lost = self.goes_wrong(80);
        let is_slow = self.goes_wrong(50);
        let takes = if is_slow { self.rng.below(9000) } else { self.rng.below(200) };
        let Some(consumer) = self.consumers.get_mut(at) else { return Ok(()) };
        let goes_on = match &answer {
            _ if is_lost => {
                consumer.misses(now);
                true
            }
            Ok(answer) => {
                consumer.hears(now, answer, takes);
                true
            }
            Err(refused) if refused.code == ErrorCode::NOT_COORDINATOR => {
                consumer.misses(now);
                true
            }
            Err(refused) => consumer.is_refused(now, refused.code),
        };
        let id = consumer.id.clone();
        self.trace(|| format!("{id} {} -> {answer:?}", request.member_epoch));
        match answer {
            _ if is_lost => self.meet("answer lost"),
            Err(refused) if refused.code == ErrorCode::FENCED_MEMBER_EPOCH => self.meet("fenced"),
            Err(refused) if refused.code == ErrorCode::UNKNOWN_MEMBER_ID => self.meet("forgotten"),
            Err(refused) if refused.code == ErrorCode::UNRELEASED_INSTANCE_ID => {
                self.meet("name taken");
            }
            _ => {}
        }
        if !goes_on {
            self.consumers.remove(at);
        }
        self.check_owners()
    }

    /// A commit of an older epoch counts for nothing that is somebody else's.
    fn try_commit(&mut self, at: usize) -> Result<(), String> {
        let partition = (*self.rng.pick(&["t", "u"]).unwrap_or(&"t"), self.rng.below(8) as i32);
        let Some(topic) = self.topics.image.topic(partition.0).map(|topic| topic.id()) else {
            return Ok(());
        };
        let index = PartitionIndex(partition.1);
        let Some(consumer) = self.consumers.get(at) else { return Ok(()) };
        let Some(member) = self.group.member(&consumer.id) else { return Ok(()) };
        let epoch = consumer.sent.last().map_or(0, |sent| sent.member_epoch);
        if epoch <= 0 || epoch == member.epoch {
            return Ok(());
        }
        let committer = Committer {
            member_id: &consumer.id,
            instance_id: None,
            epoch,
            in_transaction: false,
            version: 9,
        };
        let counts = self.group.check_commit(&committer).is_ok()
            && self.group.check_commit_of(&committer, topic, index).is_ok();
        if counts && self.group.owner(topic, index).map(|id| &**id) != Some(&*consumer.id) {
            return Err(format!("{} commits for what is not its own", consumer.id));
        }
        self.meet("old commit");
        Ok(())
    }

    /// A request of long ago, which was held up on its way, must not be obeyed.
    fn send_an_old_request(&mut self, at: usize) -> Result<(), String> {
        if !self.goes_wrong(100) {
            return Ok(());
        }
        let Some(consumer) = self.consumers.get(at) else { return Ok(()) };
        let Some(member) = self.group.member(&consumer.id) else { return Ok(()) };
        let (epoch, previous) = (member.epoch, member.previous_epoch);
        let is_old = |request: &&ConsumerGroupHeartbeatRequest| {
            request.member_epoch > 0 && ![epoch, previous].contains(&request.member_epoch)
        };
        let Some(old) = consumer.sent.iter().find(is_old).cloned() else { return Ok(()) };
        self.meet("late request");
        match self.decide(&old)? {
            Ok(_) => Err(format!("a request of epoch {} was obeyed", old.member_epoch)),
            Err(_) => Ok(()),
        }
    }

    /// Everyone has what it shall have, and everything that is subscribed to is read.
    fn check_healed(&mut self) -> Result<(), String> {
        let ids: BTreeSet<&str> = self.consumers.iter().map(|it| it.id.as_str()).collect();
        let members: BTreeSet<&str> = self.group.members().map(|it| it.id.as_str()).collect();
        if ids != members {
            return Err(format!("{ids:?} are there, {members:?} in the group"));
        }
        let expected = if ids.is_empty() { State::Empty } else { State::Stable };
        if self.group.state() != expected {
            return Err(format!("the group is {:?}", self.group.state()));
        }
        let mut read = BTreeSet::new();
        for consumer in &self.consumers {
            let member = self.group.member(&consumer.id).ok_or("a member is gone")?;
            let has: BTreeSet<Partition> =
                member.owned().map(|(topic, index)| (topic, index.0)).collect();
            if consumer.owned != has || !member.pending.is_empty() {
                return Err(format!("{} reads {:?}, not {has:?}", consumer.id, consumer.owned));
            }
            read.extend(has);
        }
        let wanted: BTreeSet<Partition> = self
            .topics
            .image
            .topics()
            .filter(|topic| self.group.subscribes(topic.name()))
            .flat_map(|topic| topic.partitions().map(|(index, _)| (topic.id(), index.0)))
            .collect();
        if read != wanted {
            return Err(format!("{read:?} is read, {wanted:?} was to be"));
        }
        self.meet("healed");
        Ok(())
    }
}

const _: () = assert!(PATIENCE_MS < 45_000, "whoever waits for an answer is not gone");
