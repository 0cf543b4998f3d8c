//! Topics and partitions: creating, growing, deleting, electing (semantics §§ 12, 13).

use std::collections::{BTreeMap, BTreeSet};

use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, PartitionIndex, Uuid};
use milena_protocol::metadata_record::{
    ConfigRecord, MetadataRecord, PartitionRecord, RemoveTopicRecord, TopicRecord,
};

use super::machine::{Controller, Decision, Refused};
pub use super::names::is_valid_name;
use super::names::{MAX_NAME_BYTES, ambiguous_metric_name};
use crate::configs::{Described, describe_topic_with};
use crate::metadata::image::{ConfigResource, PartitionImage, TopicImage};

/// Partitions that one request may create.
const MAX_PARTITIONS_PER_REQUEST: usize = 10_000;
/// The metadata log, which is not a topic.
const METADATA_TOPIC: &str = "__cluster_metadata";
/// A leader that needs no recovery.
const RECOVERED: i8 = 0;

/// A topic that somebody wants.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Its name.
    pub name: Text,
    /// The id it will have; drawn by the caller, for machines have no entropy.
    pub id: Uuid,
    /// How many partitions; −1 the default.
    pub partitions: i32,
    /// How many replicas of each; −1 the default.
    pub replication_factor: i16,
    /// Replicas by partition, instead of the two numbers.
    pub assignments: Vec<(PartitionIndex, Vec<NodeId>)>,
    /// Its configuration.
    pub configs: Vec<(Text, Option<Text>)>,
}

/// A topic as it was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id.
    pub id: Uuid,
    /// How many partitions it has.
    pub partitions: i32,
    /// How many replicas each has.
    pub replication_factor: i16,
}

/// A topic that somebody names, by name or by id.
#[derive(Clone, Debug)]
pub enum TopicRef {
    /// By name.
    Name(Text),
    /// By id.
    Id(Uuid),
}

/// A topic that shall have more partitions.
#[derive(Clone, Debug)]
pub struct MorePartitions {
    /// The topic.
    pub name: Text,
    /// How many it shall have in all.
    pub count: i32,
    /// The replicas of the new ones.
    pub assignments: Option<Vec<Vec<NodeId>>>,
}

fn check_name(name: &str) -> Result<(), Refused> {
    if name == METADATA_TOPIC {
        let message = format!("{METADATA_TOPIC} is the metadata log, not a topic");
        return Err(Refused::new(ErrorCode::INVALID_REQUEST, message));
    }
    if is_valid_name(name) {
        return Ok(());
    }
    Err(Refused::new(
        ErrorCode::INVALID_TOPIC_EXCEPTION,
        format!(
            "a topic name has 1 to {MAX_NAME_BYTES} characters out of a-z, A-Z, 0-9, '.', '_' and \
             '-', and is not '.' or '..'"
        ),
    ))
}

fn named_twice() -> Refused {
    let message = "the request names this topic more than once";
    Refused::new(ErrorCode::INVALID_REQUEST, message)
}

/// How often each name occurs.
fn counts<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

fn too_many_partitions() -> Refused {
    let message = format!("at most {MAX_PARTITIONS_PER_REQUEST} partitions per request");
    Refused::new(ErrorCode::POLICY_VIOLATION, message)
}

impl Controller {
    /// Creates topics: those that can be, in one batch; the others are refused one by one.
    #[must_use]
    pub fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Decision<Vec<Result<CreatedTopic, Refused>>> {
        if self.partitions_wanted(topics) > MAX_PARTITIONS_PER_REQUEST as i64 {
            // Fact D24: the request as a whole is refused.
            let answer = topics.iter().map(|_| Err(too_many_partitions())).collect();
            return Decision { records: Vec::new(), answer };
        }
        let mut run = Creation {
            controller: self,
            records: Vec::new(),
            taken: BTreeMap::new(),
            next_broker: topics.first().map_or(0, |topic| usize::from(topic.id.0[15])),
        };
        let counts = counts(topics.iter().map(|topic| topic.name.as_str()));
        let answer = topics
            .iter()
            .map(|topic| {
                if counts.get(topic.name.as_str()).is_some_and(|count| *count > 1) {
                    return Err(named_twice());
                }
                run.create(topic)
            })
            .collect();
        let records = if validate_only { Vec::new() } else { run.records };
        Decision { records, answer }
    }

    /// The configuration that a topic will have in force, to be answered with its creation (D1).
    #[must_use]
    pub fn describe_new_topic(&self, topic: &NewTopic) -> Vec<Described> {
        let own = |name: &str| {
            let found = topic.configs.iter().find(|(key, _)| key == name);
            found.and_then(|(_, value)| value.as_ref())
        };
        describe_topic_with(&self.resolver(), own, None)
    }

    fn partitions_wanted(&self, topics: &[NewTopic]) -> i64 {
        let default = self.resolver().broker_number("num.partitions");
        let wanted = |topic: &NewTopic| match topic.partitions {
            _ if !topic.assignments.is_empty() => topic.assignments.len() as i64,
            -1 => default,
            partitions => i64::from(partitions.max(0)),
        };
        topics.iter().map(wanted).fold(0, i64::saturating_add)
    }

    /// Deletes topics.
    #[must_use]
    pub fn delete_topics(
        &self,
        topics: &[TopicRef],
    ) -> Decision<Vec<Result<(Text, Uuid), Refused>>> {
        let found: Vec<Result<&TopicImage, Refused>> =
            topics.iter().map(|wanted| self.find(wanted)).collect();
        let mut counts: BTreeMap<Uuid, usize> = BTreeMap::new();
        for topic in found.iter().flatten() {
            *counts.entry(topic.id()).or_default() += 1;
        }
        let mut records = Vec::new();
        let answer = found
            .into_iter()
            .map(|topic| {
                let topic = topic?;
                if counts.get(&topic.id()).is_some_and(|count| *count > 1) {
                    return Err(named_twice());
                }
                let record = RemoveTopicRecord { topic_id: topic.id() };
                records.push(MetadataRecord::RemoveTopic(record));
                Ok((topic.name().clone(), topic.id()))
            })
            .collect();
        Decision { records, answer }
    }

    /// Adds partitions to topics.
    #[must_use]
    pub fn create_partitions(
        &self,
        topics: &[MorePartitions],
        validate_only: bool,
    ) -> Decision<Vec<Result<(), Refused>>> {
        let counts = counts(topics.iter().map(|topic| topic.name.as_str()));
        let mut records = Vec::new();
        let answer = topics
            .iter()
            .map(|wanted| {
                if counts.get(wanted.name.as_str()).is_some_and(|count| *count > 1) {
                    return Err(named_twice());
                }
                records.extend(self.grow(wanted)?);
                Ok(())
            })
            .collect();
        let records = if validate_only { Vec::new() } else { records };
        Decision { records, answer }
    }

    fn find(&self, wanted: &TopicRef) -> Result<&TopicImage, Refused> {
        match wanted {
            TopicRef::Name(name) => self.image.topic(name).map(|topic| &**topic).ok_or_else(|| {
                let message = format!("there is no topic {name}");
                Refused::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message)
            }),
            TopicRef::Id(id) => {
                self.image.topic_by_id(*id).map(|topic| &**topic).ok_or_else(|| {
                    Refused::new(ErrorCode::UNKNOWN_TOPIC_ID, format!("there is no topic id {id}"))
                })
            }
        }
    }

    fn grow(&self, wanted: &MorePartitions) -> Result<Vec<MetadataRecord>, Refused> {
        let topic = self.find(&TopicRef::Name(wanted.name.clone()))?;
        let invalid = |message: String| Err(Refused::new(ErrorCode::INVALID_PARTITIONS, message));
        let current = topic.partitions().len() as i32;
        if wanted.count == current {
            return invalid(format!("the topic already has {current} partitions"));
        }
        if wanted.count < current {
            return invalid(format!(
                "the topic has {current} partitions, more than {}; a topic cannot shrink",
                wanted.count
            ));
        }
        let more = (wanted.count - current) as usize;
        if more > MAX_PARTITIONS_PER_REQUEST {
            return Err(too_many_partitions());
        }
        // As many as there are when the first partition is not being moved any more.
        let stays = |it: &PartitionImage| {
            it.replicas.iter().filter(|id| !it.removing_replicas.contains(id)).count()
        };
        let factor = topic.partition(PartitionIndex(0)).map_or(1, stays);
        let assignments = match &wanted.assignments {
            None => self.place(more, factor, current as usize)?,
            Some(assignments) => {
                if assignments.len() != more {
                    return Err(Refused::new(
                        ErrorCode::INVALID_REPLICA_ASSIGNMENT,
                        format!("{more} new partitions, but {} assignments", assignments.len()),
                    ));
                }
                for replicas in assignments {
                    self.check_assignment(replicas, Some(factor))?;
                }
                assignments.clone()
            }
        };
        Ok(assignments
            .into_iter()
            .enumerate()
            .map(|(at, replicas)| {
                self.partition_record(topic.id(), PartitionIndex(current + at as i32), replicas)
            })
            .collect())
    }

    fn check_assignment(&self, replicas: &[NodeId], factor: Option<usize>) -> Result<(), Refused> {
        self.check_replicas(replicas, factor)?;
        if !replicas.iter().any(|id| self.is_active(*id)) {
            let message = "all assigned brokers are fenced or shutting down";
            return Err(Refused::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
        }
        Ok(())
    }

    /// Whether brokers could be the replicas of a partition, be they there or not.
    pub(super) fn check_replicas(
        &self,
        replicas: &[NodeId],
        factor: Option<usize>,
    ) -> Result<(), Refused> {
        let invalid =
            |message: String| Err(Refused::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
        if replicas.is_empty() {
            return invalid("an assignment names no replica".into());
        }
        let distinct: BTreeSet<&NodeId> = replicas.iter().collect();
        if distinct.len() != replicas.len() {
            return invalid("an assignment names a broker more than once".into());
        }
        if let Some(unknown) = replicas.iter().find(|id| self.image.broker(**id).is_none()) {
            return invalid(format!("broker {unknown} is not registered"));
        }
        if factor.is_some_and(|factor| factor != replicas.len()) {
            return invalid("all partitions of a topic need the same number of replicas".into());
        }
        Ok(())
    }

    fn partition_record(
        &self,
        topic_id: Uuid,
        partition_id: PartitionIndex,
        replicas: Vec<NodeId>,
    ) -> MetadataRecord {
        let isr: Vec<NodeId> = replicas.iter().copied().filter(|id| self.is_active(*id)).collect();
        let directory = |id: &NodeId| self.default_directory(*id);
        MetadataRecord::Partition(PartitionRecord {
            partition_id,
            topic_id,
            leader: isr.first().copied().unwrap_or(NodeId::NONE),
            directories: replicas.iter().map(directory).collect(),
            isr,
            replicas,
            leader_recovery_state: RECOVERED,
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
            ..Default::default()
        })
    }
}

/// One request's topics in the making.
struct Creation<'a> {
    controller: &'a Controller,
    records: Vec<MetadataRecord>,
    /// Names of this request as metrics show them, with the topic that has each.
    taken: BTreeMap<String, Text>,
    next_broker: usize,
}

impl Creation<'_> {
    fn create(&mut self, topic: &NewTopic) -> Result<CreatedTopic, Refused> {
        check_name(&topic.name)?;
        if self.controller.image.topic(&topic.name).is_some() {
            let message = format!("the topic {} exists already", topic.name);
            return Err(Refused::new(ErrorCode::TOPIC_ALREADY_EXISTS, message));
        }
        let metric_name = ambiguous_metric_name(&topic.name);
        if let Some(other) = metric_name.as_ref().and_then(|name| self.collision(name)) {
            let message = format!(
                "the name {} collides with the topic {other}: '.' and '_' are the same in metrics",
                topic.name
            );
            return Err(Refused::new(ErrorCode::INVALID_TOPIC_EXCEPTION, message));
        }
        self.controller.check_topic_configs(&topic.configs)?;
        let assignments =
            if topic.assignments.is_empty() { self.place(topic)? } else { self.given(topic)? };
        if let Some(metric_name) = metric_name {
            self.taken.insert(metric_name, topic.name.clone());
        }
        let created = CreatedTopic {
            id: topic.id,
            partitions: assignments.len() as i32,
            replication_factor: assignments.first().map_or(0, |replicas| replicas.len() as i16),
        };
        self.write(topic, assignments);
        Ok(created)
    }

    fn collision(&self, metric_name: &str) -> Option<&Text> {
        let existing = self.controller.metric_names.get(metric_name).and_then(BTreeSet::first);
        existing.or_else(|| self.taken.get(metric_name))
    }

    fn place(&mut self, topic: &NewTopic) -> Result<Vec<Vec<NodeId>>, Refused> {
        let resolver = self.controller.resolver();
        let partitions = match topic.partitions {
            -1 => resolver.broker_number("num.partitions"),
            0 | ..-1 => {
                let message = "a topic needs at least one partition; -1 takes the default";
                return Err(Refused::new(ErrorCode::INVALID_PARTITIONS, message));
            }
            partitions => i64::from(partitions),
        };
        let factor = match topic.replication_factor {
            -1 => resolver.broker_number("default.replication.factor"),
            0 | ..-1 => {
                let message = "a replication factor is at least 1; -1 takes the default";
                return Err(Refused::new(ErrorCode::INVALID_REPLICATION_FACTOR, message));
            }
            factor => i64::from(factor),
        };
        let partitions = usize::try_from(partitions).unwrap_or(0);
        let factor = usize::try_from(factor).unwrap_or(usize::MAX);
        let placed = self.controller.place(partitions, factor, self.next_broker)?;
        self.next_broker += partitions;
        Ok(placed)
    }

    /// Checks replicas that the caller chose: partitions 0 to n−1, all of one size.
    fn given(&self, topic: &NewTopic) -> Result<Vec<Vec<NodeId>>, Refused> {
        if topic.partitions != -1 || topic.replication_factor != -1 {
            let message = "with replica assignments, partitions and replication factor must be -1";
            return Err(Refused::new(ErrorCode::INVALID_REQUEST, message));
        }
        let mut sorted = topic.assignments.clone();
        sorted.sort_by_key(|(index, _)| *index);
        let factor = sorted.first().map(|(_, replicas)| replicas.len());
        for (at, (index, replicas)) in sorted.iter().enumerate() {
            if index.0 != at as i32 {
                let message = format!("assignments must name partitions 0 to {}", sorted.len() - 1);
                return Err(Refused::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
            }
            self.controller.check_assignment(replicas, factor)?;
        }
        Ok(sorted.into_iter().map(|(_, replicas)| replicas).collect())
    }

    /// Topic, configuration, partitions: the order of Kafka's log.
    fn write(&mut self, topic: &NewTopic, assignments: Vec<Vec<NodeId>>) {
        self.records.push(MetadataRecord::Topic(TopicRecord {
            name: topic.name.clone(),
            topic_id: topic.id,
        }));
        for (name, value) in &topic.configs {
            if value.is_some() {
                self.records.push(MetadataRecord::Config(ConfigRecord {
                    resource_type: ConfigResource::TOPIC,
                    resource_name: topic.name.clone(),
                    name: name.clone(),
                    value: value.clone(),
                }));
            }
        }
        for (at, replicas) in assignments.into_iter().enumerate() {
            let index = PartitionIndex(at as i32);
            self.records.push(self.controller.partition_record(topic.id, index, replicas));
        }
    }
}
