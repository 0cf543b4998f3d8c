//! A consumer group with its log, and topics for it to read.

use std::time::Duration;

use milena_cluster::coordinator::Record;
use milena_cluster::group::Caller;
use milena_cluster::group::consumer::{Content, Decision, Group, Kip848, Refused, Rules, Settings};
use milena_cluster::time::{Instant, Now};
use milena_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    ConsumerGroupHeartbeatTopicPartitions,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{PartitionIndex, Timestamp, Uuid};

use crate::topics::{Topics, incarnation};

pub type Partition = (Uuid, i32);

/// The id of a topic.
pub fn topic_id(name: &str) -> Uuid {
    incarnation(name, 0)
}

/// A group, the records that made it, and a clock.
pub struct World<R: Rules = Kip848> {
    pub group: Group<R>,
    pub log: Vec<Record>,
    pub topics: Topics,
    pub settings: Settings,
    pub now: u64,
}

impl World {
    pub fn new(topics: &[(&str, i32)]) -> Self {
        Self::with_rules(topics)
    }
}

impl<R: Rules> World<R> {
    pub fn with_rules(topics: &[(&str, i32)]) -> Self {
        Self {
            group: Group::new("g".into()),
            log: Vec::new(),
            topics: Topics::new(topics),
            settings: Settings::default(),
            now: 1_000_000,
        }
    }

    pub fn now(&self) -> Now {
        Now { instant: Instant(self.now), wall: Timestamp(self.now as i64) }
    }

    /// Appends and replays, as the coordinator does.
    pub fn append(&mut self, records: Vec<Record>) {
        for record in records {
            let content = Content::read(&record.key, record.value.as_deref()).unwrap();
            assert_eq!(content.group_id().as_str(), "g");
            self.group.replay(&content);
            self.log.push(record);
        }
        self.group.check_invariants();
    }

    pub fn send(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<ConsumerGroupHeartbeatResponse, Refused> {
        self.send_as(1, request)
    }

    pub fn send_as(
        &mut self,
        version: i16,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<ConsumerGroupHeartbeatResponse, Refused> {
        let caller = Caller {
            client_id: "client".into(),
            host: "/127.0.0.1".into(),
            version,
            fresh_id: Uuid::from_u128(u128::from(self.now) + 77),
        };
        let Decision { records, answer } =
            self.group.heartbeat(self.now(), &caller, request, &self.topics.image, &self.settings);
        assert!(answer.is_ok() || records.is_empty(), "what is refused changes nothing");
        self.append(records);
        answer
    }

    /// Decides, and does not append.
    pub fn refuse(&mut self, request: &ConsumerGroupHeartbeatRequest) {
        let caller = Caller { version: 1, ..Default::default() };
        let (now, topics) = (self.now(), &self.topics.image);
        let decision = self.group.heartbeat(now, &caller, request, topics, &self.settings);
        assert!(!decision.records.is_empty());
        self.group.check_invariants();
    }

    /// Lets time go by, and does what falls due in it.
    pub fn wait(&mut self, span: Duration) {
        let end = self.now + u64::try_from(span.as_millis()).unwrap();
        while let Some(at) = self.group.deadline().filter(|at| at.0 <= end) {
            self.now = self.now.max(at.0);
            let records = self.group.tick(self.now(), &self.topics.image, &self.settings);
            self.append(records);
            assert!(
                self.group.deadline().is_none_or(|next| next.0 > self.now),
                "a tick leaves nothing that is due"
            );
        }
        self.now = end;
    }

    /// The coordinator moves: the group is what its log says.
    pub fn restart(&mut self) {
        let mut group = Group::new("g".into());
        for record in &self.log {
            let content = Content::read(&record.key, record.value.as_deref()).unwrap();
            group.replay(&content);
        }
        group.check_invariants();
        assert_eq!(group.epoch(), self.group.epoch());
        assert_eq!(group.assignment_epoch(), self.group.assignment_epoch());
        assert!(group.members().eq(self.group.members()), "the log says who is in the group");
        for member in group.members() {
            assert_eq!(group.target(&member.id), self.group.target(&member.id));
        }
        group.loaded(self.now(), &self.settings);
        self.group = group;
    }

    pub fn state(&self) -> &'static str {
        self.group.state().name()
    }
}

/// A request that says nothing but who asks.
pub fn heartbeat(id: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: "g".into(),
        member_id: id.into(),
        member_epoch: epoch,
        ..Default::default()
    }
}

/// A request to join.
pub fn join(id: &str, topics: &[&str]) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        rebalance_timeout_ms: 10_000,
        subscribed_topic_names: Some(topics.iter().map(|name| Text::from(*name)).collect()),
        topic_partitions: Some(Vec::new()),
        ..heartbeat(id, 0)
    }
}

/// A request that says what the member owns.
pub fn owning(id: &str, epoch: i32, owned: &[(&str, &[i32])]) -> ConsumerGroupHeartbeatRequest {
    let each = |(name, partitions): &(&str, &[i32])| ConsumerGroupHeartbeatTopicPartitions {
        topic_id: topic_id(name),
        partitions: partitions.iter().copied().map(PartitionIndex).collect(),
    };
    ConsumerGroupHeartbeatRequest {
        topic_partitions: Some(owned.iter().map(each).collect()),
        ..heartbeat(id, epoch)
    }
}

/// What an answer assigns, none where it says nothing of it.
pub fn assigned(answer: &ConsumerGroupHeartbeatResponse) -> Option<Vec<Partition>> {
    let each = answer.assignment.as_ref()?.topic_partitions.iter();
    Some(
        each.flat_map(|topic| topic.partitions.iter().map(|index| (topic.topic_id, index.0)))
            .collect(),
    )
}

/// Partitions of one topic.
pub fn of(name: &str, partitions: &[i32]) -> Option<Vec<Partition>> {
    Some(partitions.iter().map(|index| (topic_id(name), *index)).collect())
}

/// Why a request was refused.
pub fn code<A: std::fmt::Debug>(answer: Result<A, Refused>) -> ErrorCode {
    answer.unwrap_err().code
}
