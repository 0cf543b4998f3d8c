//! Consumers of the classic protocol in the same group.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use milena_cluster::coordinator::record;
use milena_cluster::group::Caller;
use milena_cluster::group::consumer::{Decision, Rules};
use milena_cluster::metadata::image::MetadataImage;
use milena_protocol::api::heartbeat::HeartbeatRequest;
use milena_protocol::api::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use milena_protocol::api::sync_group::SyncGroupRequest;
use milena_protocol::codec::Text;
use milena_protocol::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription,
    ConsumerProtocolSubscriptionTopicPartition,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::PartitionIndex;

use crate::consumer::{Consumer, Partition, REBALANCE_TIMEOUT_MS};
use crate::world::World;

const HEARTBEAT_INTERVAL_MS: u64 = 3000;
const SESSION_TIMEOUT_MS: i32 = 10_000;

/// What a consumer of the classic protocol does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Join,
    Sync,
    Heartbeat,
}

impl<R: Rules> World<R> {
    /// One does its next step.
    pub fn step_classic(&mut self, at: usize, next: Next) -> Result<(), String> {
        let now = self.now;
        let Some(consumer) = self.consumers.get_mut(at) else { return Ok(()) };
        consumer.is_silent = false;
        if consumer.revokes_until.is_some() {
            // It does nothing else while it gives up partitions, and then joins with the rest.
            consumer.work(now);
            if consumer.revokes_until.is_some() {
                consumer.next_at = now + 1000;
                let generation = consumer.epoch;
                return self.beat_classic(at, generation);
            }
            consumer.classic = Some(Next::Join);
            consumer.next_at = now + 1;
            return Ok(());
        }
        if self.goes_wrong(80) {
            self.meet("request lost");
            self.misses_classic(at);
            return Ok(());
        }
        match next {
            Next::Join => self.join_classic(at),
            Next::Sync => self.sync_classic(at),
            Next::Heartbeat => {
                let generation = self.consumers.get(at).map_or(0, |it| it.epoch);
                self.beat_classic(at, generation)
            }
        }
    }

    /// An answer does not come: whatever was asked is asked again from the start.
    fn misses_classic(&mut self, at: usize) {
        let now = self.now;
        if let Some(consumer) = self.consumers.get_mut(at) {
            let next = consumer.classic.filter(|next| *next == Next::Heartbeat);
            consumer.classic = Some(next.unwrap_or(Next::Join));
            consumer.next_at = now + 1000;
        }
    }

    fn join_classic(&mut self, at: usize) -> Result<(), String> {
        let Some(consumer) = self.consumers.get_mut(at) else { return Ok(()) };
        if consumer.is_eager {
            consumer.owned.clear();
        }
        let request = JoinGroupRequest {
            group_id: "g".into(),
            session_timeout_ms: SESSION_TIMEOUT_MS,
            rebalance_timeout_ms: REBALANCE_TIMEOUT_MS,
            member_id: consumer.id.as_str().into(),
            protocol_type: "consumer".into(),
            protocols: vec![JoinGroupRequestProtocol {
                name: "range".into(),
                metadata: subscription(consumer, &self.topics.image),
            }],
            ..Default::default()
        };
        let caller = Caller { version: 5, ..Default::default() };
        let Decision { records, answer } = self.group.join_classic(
            self.now(),
            &caller,
            &request,
            &self.topics.image,
            &self.settings,
        );
        self.meet("classic joined");
        self.trace(|| format!("{} joins with {:?} -> {answer:?}", request.member_id, request));
        self.append(records)?;
        let (now, is_lost) = (self.now, self.goes_wrong(80));
        if is_lost {
            self.misses_classic(at);
            return Ok(());
        }
        let Some(consumer) = self.consumers.get_mut(at) else { return Ok(()) };
        let answer = match answer {
            Ok(answer) => answer,
            Err(refused) => return self.is_told_classic(at, refused.code),
        };
        consumer.epoch = answer.generation_id;
        consumer.classic = Some(Next::Sync);
        consumer.next_at = now + 1;
        Ok(())
    }

    fn sync_classic(&mut self, at: usize) -> Result<(), String> {
        let Some(consumer) = self.consumers.get(at) else { return Ok(()) };
        let request = SyncGroupRequest {
            group_id: "g".into(),
            generation_id: consumer.epoch,
            member_id: consumer.id.as_str().into(),
            ..Default::default()
        };
        let answer =
            self.group.sync_classic(self.now(), &request, &self.topics.image, &self.settings);
        self.trace(|| {
            format!("{} syncs {} -> {answer:?}", request.member_id, request.generation_id)
        });
        let is_lost = self.goes_wrong(80);
        let takes = if self.goes_wrong(50) { self.rng.below(9000) } else { self.rng.below(200) };
        if is_lost {
            self.misses_classic(at);
            return Ok(());
        }
        match answer {
            Ok(answer) => {
                let told = assignment(&answer.assignment, &self.topics.image);
                let now = self.now;
                let Some(consumer) = self.consumers.get_mut(at) else { return Ok(()) };
                consumer.told = told;
                consumer.classic = Some(Next::Heartbeat);
                consumer.next_at = now + HEARTBEAT_INTERVAL_MS;
                if consumer.owned.is_subset(&consumer.told) {
                    consumer.owned.clone_from(&consumer.told);
                } else {
                    consumer.revokes_until = Some(now + takes);
                    consumer.next_at = now + takes.min(1000);
                }
                self.check_owners()
            }
            Err(code) => self.is_told_classic(at, code),
        }
    }

    fn beat_classic(&mut self, at: usize, generation_id: i32) -> Result<(), String> {
        let Some(consumer) = self.consumers.get(at) else { return Ok(()) };
        let request = HeartbeatRequest {
            group_id: "g".into(),
            generation_id,
            member_id: consumer.id.as_str().into(),
            group_instance_id: None,
        };
        let code = self.group.heartbeat_classic(self.now(), &request, &self.settings);
        self.trace(|| format!("{} beats in {generation_id} -> {code:?}", request.member_id));
        if self.goes_wrong(80) {
            self.misses_classic(at);
            return Ok(());
        }
        self.is_told_classic(at, code)
    }

    fn is_told_classic(&mut self, at: usize, code: ErrorCode) -> Result<(), String> {
        let now = self.now;
        let Some(consumer) = self.consumers.get_mut(at) else { return Ok(()) };
        match code {
            ErrorCode::NONE if consumer.revokes_until.is_none() => {
                consumer.next_at = now + HEARTBEAT_INTERVAL_MS;
            }
            ErrorCode::NONE => {}
            // Who is giving up partitions joins again after that anyway.
            ErrorCode::REBALANCE_IN_PROGRESS if consumer.revokes_until.is_some() => {}
            ErrorCode::REBALANCE_IN_PROGRESS => {
                consumer.classic = Some(Next::Join);
                consumer.next_at = now + 1;
                self.meet("classic told to join");
            }
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION => {
                consumer.owned.clear();
                consumer.told.clear();
                consumer.revokes_until = None;
                consumer.is_stuck = false;
                consumer.classic = Some(Next::Join);
                consumer.next_at = now + 1;
                self.meet("classic lost its place");
            }
            other => return Err(format!("{other:?} makes no sense")),
        }
        Ok(())
    }
}

fn subscription(consumer: &Consumer, topics: &MetadataImage) -> Bytes {
    let mut owned: BTreeMap<Text, Vec<PartitionIndex>> = BTreeMap::new();
    for (topic, index) in &consumer.owned {
        if let Some(topic) = topics.topic_by_id(*topic) {
            owned.entry(topic.name().clone()).or_default().push(PartitionIndex(*index));
        }
    }
    let owned_partitions = owned
        .into_iter()
        .map(|(topic, partitions)| ConsumerProtocolSubscriptionTopicPartition { topic, partitions })
        .collect();
    let said = ConsumerProtocolSubscription {
        topics: consumer.topics.iter().map(|name| Text::from(*name)).collect(),
        owned_partitions,
        ..Default::default()
    };
    record::value(1, &said).unwrap()
}

fn assignment(bytes: &Bytes, topics: &MetadataImage) -> BTreeSet<Partition> {
    let said: ConsumerProtocolAssignment = record::read_value(bytes).unwrap();
    let assigned = said.assigned_partitions.into_iter().filter_map(|topic| {
        let id = topics.topic(&topic.topic)?.id();
        Some(topic.partitions.into_iter().map(move |index| (id, index.0)))
    });
    assigned.flatten().collect()
}
