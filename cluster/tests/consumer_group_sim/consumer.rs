//! A client: what it believes, and what it does about it.

use std::collections::BTreeSet;

use milena_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    ConsumerGroupHeartbeatTopicPartitions,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{PartitionIndex, Uuid};

use crate::classic::Next;

pub type Partition = (Uuid, i32);

/// How long a client waits for an answer.
pub const PATIENCE_MS: u64 = 1000;
/// How long it waits before it tries again what was refused for now.
const BACKOFF_MS: u64 = 500;
pub const REBALANCE_TIMEOUT_MS: i32 = 8000;

#[derive(Clone, Debug)]
pub struct Consumer {
    pub id: String,
    pub instance_id: Option<String>,
    pub topics: Vec<&'static str>,
    pub expression: Option<&'static str>,
    pub epoch: i32,
    /// What it reads now.
    pub owned: BTreeSet<Partition>,
    /// What it was last told to read.
    pub told: BTreeSet<Partition>,
    /// Until when it is giving up partitions.
    pub revokes_until: Option<u64>,
    /// What it owns has changed since it last said so.
    pub has_news: bool,
    /// The next request says everything: the first, and after an answer that did not come.
    pub says_all: bool,
    /// It has another subscription than it last said.
    pub resubscribes: bool,
    /// It asks, and gives up nothing.
    pub is_stuck: bool,
    /// It says nothing any more, and reads on.
    pub is_silent: bool,
    /// What it does next in the classic protocol, if it uses that.
    pub classic: Option<Next>,
    /// It gives up everything before it joins again.
    pub is_eager: bool,
    pub next_at: u64,
    /// Requests of earlier epochs that may still be on their way.
    pub sent: Vec<ConsumerGroupHeartbeatRequest>,
}

impl Consumer {
    pub fn new(id: String, instance_id: Option<String>, now: u64) -> Self {
        Self {
            id,
            instance_id,
            topics: vec!["t"],
            expression: None,
            epoch: 0,
            owned: BTreeSet::new(),
            told: BTreeSet::new(),
            revokes_until: None,
            has_news: false,
            says_all: true,
            resubscribes: false,
            is_stuck: false,
            is_silent: false,
            classic: None,
            is_eager: false,
            next_at: now,
            sent: Vec::new(),
        }
    }

    /// Gives up what it was told to give up, once that is done.
    pub fn work(&mut self, now: u64) {
        if self.revokes_until.is_some_and(|until| until <= now) && !self.is_stuck {
            self.revokes_until = None;
            self.owned.clone_from(&self.told);
            self.has_news = true;
        }
    }

    pub fn request(&mut self) -> ConsumerGroupHeartbeatRequest {
        let says_all = self.says_all || self.epoch == 0;
        let mut request = ConsumerGroupHeartbeatRequest {
            group_id: "g".into(),
            member_id: self.id.as_str().into(),
            member_epoch: self.epoch,
            instance_id: self.instance_id.as_deref().map(Text::from),
            ..Default::default()
        };
        if says_all {
            request.rebalance_timeout_ms = REBALANCE_TIMEOUT_MS;
        }
        if says_all || self.resubscribes {
            let names = self.topics.iter().map(|name| Text::from(*name)).collect();
            request.subscribed_topic_names = Some(names);
            request.subscribed_topic_regex = Some(self.expression.unwrap_or_default().into());
        }
        if says_all || self.has_news {
            let each = |(topic_id, index): &Partition| ConsumerGroupHeartbeatTopicPartitions {
                topic_id: *topic_id,
                partitions: vec![PartitionIndex(*index)],
            };
            request.topic_partitions = Some(self.owned.iter().map(each).collect());
        }
        if self.sent.last().is_none_or(|last| last.member_epoch != self.epoch) {
            self.sent.push(request.clone());
        }
        request
    }

    /// The answer did not come.
    pub fn misses(&mut self, now: u64) {
        self.says_all = true;
        self.next_at = now + PATIENCE_MS;
    }

    pub fn hears(&mut self, now: u64, answer: &ConsumerGroupHeartbeatResponse, takes: u64) {
        self.epoch = answer.member_epoch;
        (self.says_all, self.has_news, self.resubscribes) = (false, false, false);
        self.next_at = now + u64::try_from(answer.heartbeat_interval_ms).unwrap();
        let Some(assignment) = &answer.assignment else { return };
        let topics = assignment.topic_partitions.iter();
        self.told = topics
            .flat_map(|topic| topic.partitions.iter().map(|index| (topic.topic_id, index.0)))
            .collect();
        if self.owned.is_subset(&self.told) {
            self.revokes_until = None;
            self.has_news = self.owned != self.told;
            self.owned.clone_from(&self.told);
            self.next_at = now + 1;
        } else if self.revokes_until.is_none() {
            self.revokes_until = Some(now + takes);
            self.next_at = self.next_at.min(now + takes);
        }
    }

    /// Says whether it goes on; one whose name is another's by now does not.
    pub fn is_refused(&mut self, now: u64, code: ErrorCode) -> bool {
        match code {
            ErrorCode::FENCED_MEMBER_EPOCH
            | ErrorCode::UNKNOWN_MEMBER_ID
            | ErrorCode::GROUP_ID_NOT_FOUND => {
                self.begins_again();
                self.next_at = now + 1;
                true
            }
            ErrorCode::UNRELEASED_INSTANCE_ID => {
                self.next_at = now + BACKOFF_MS;
                true
            }
            _ => false,
        }
    }

    fn begins_again(&mut self) {
        self.epoch = 0;
        self.owned.clear();
        self.told.clear();
        self.revokes_until = None;
        // What is stuck is the giving up, and that is over.
        self.is_stuck = false;
        self.says_all = true;
    }
}
