//! The records of a consumer group (types 3 to 8 and 16 of `__consumer_offsets`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use milena_protocol::codec::{EncodeError, Text};
use milena_protocol::coordinator_record::consumer_group::{
    ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentTopicPartitions,
    ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataClassic,
    ConsumerGroupMemberMetadataClassicProtocol, ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataKey, ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataKey, ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue, ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberTopicPartition, ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue,
};
use milena_protocol::ids::Timestamp;
use milena_protocol::message::Message;

use super::member::{ClassicMember, ClassicProtocol, Member, MemberState, Owned};
use crate::coordinator::Record;
use crate::coordinator::record::{self, read_key, read_optional, split};
use crate::group::assignor::Partitions;

const GROUP: i16 = 3;
const TOPICS: i16 = 4;
const MEMBER: i16 = 5;
const ASSIGNMENT: i16 = 6;
const TARGET: i16 = 7;
const CURRENT: i16 = 8;
const EXPRESSION: i16 = 16;

const VERSION: i16 = 0;

/// A record of a consumer group; a missing value takes it back.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// The group's epoch, and a hash over the topics that it was made for.
    Group(ConsumerGroupMetadataKey, Option<ConsumerGroupMetadataValue>),
    /// The topics subscribed to, which older versions wrote; only whether it stands counts.
    Topics(ConsumerGroupPartitionMetadataKey, bool),
    /// What a member says of itself.
    Member(ConsumerGroupMemberMetadataKey, Option<ConsumerGroupMemberMetadataValue>),
    /// The group epoch that the target assignment was made for.
    Assignment(
        ConsumerGroupTargetAssignmentMetadataKey,
        Option<ConsumerGroupTargetAssignmentMetadataValue>,
    ),
    /// What a member shall have.
    Target(
        ConsumerGroupTargetAssignmentMemberKey,
        Option<ConsumerGroupTargetAssignmentMemberValue>,
    ),
    /// What a member has.
    Current(
        ConsumerGroupCurrentMemberAssignmentKey,
        Option<ConsumerGroupCurrentMemberAssignmentValue>,
    ),
    /// The topics that a regular expression stands for.
    Expression(ConsumerGroupRegularExpressionKey, Option<ConsumerGroupRegularExpressionValue>),
}

impl Content {
    /// What a record says; none where it is of another kind, or cannot be read.
    #[must_use]
    pub fn read(key: &[u8], value: Option<&[u8]>) -> Option<Self> {
        let (kind, rest) = split(key)?;
        Some(match kind {
            GROUP => Self::Group(read_key(rest)?, read_optional(value)?),
            TOPICS => Self::Topics(read_key(rest)?, value.is_some()),
            MEMBER => Self::Member(read_key(rest)?, read_optional(value)?),
            ASSIGNMENT => Self::Assignment(read_key(rest)?, read_optional(value)?),
            TARGET => Self::Target(read_key(rest)?, read_optional(value)?),
            CURRENT => Self::Current(read_key(rest)?, read_optional(value)?),
            EXPRESSION => Self::Expression(read_key(rest)?, read_optional(value)?),
            _ => return None,
        })
    }

    /// The group that it is about.
    #[must_use]
    pub fn group_id(&self) -> &Text {
        match self {
            Self::Group(key, _) => &key.group_id,
            Self::Topics(key, _) => &key.group_id,
            Self::Member(key, _) => &key.group_id,
            Self::Assignment(key, _) => &key.group_id,
            Self::Target(key, _) => &key.group_id,
            Self::Current(key, _) => &key.group_id,
            Self::Expression(key, _) => &key.group_id,
        }
    }

    /// Whether it takes something back.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        match self {
            Self::Group(_, value) => value.is_none(),
            Self::Topics(_, stands) => !stands,
            Self::Member(_, value) => value.is_none(),
            Self::Assignment(_, value) => value.is_none(),
            Self::Target(_, value) => value.is_none(),
            Self::Current(_, value) => value.is_none(),
            Self::Expression(_, value) => value.is_none(),
        }
    }
}

/// Records in the making, all of one group.
///
/// Ids and expressions are checked to fit into a key before anything is decided on, so that no
/// record can fail to be written and be missing between others.
#[derive(Debug)]
pub(super) struct Records<'a> {
    group_id: &'a Text,
    pub(super) list: Vec<Record>,
}

impl<'a> Records<'a> {
    pub(super) fn new(group_id: &'a Text) -> Self {
        Self { group_id, list: Vec::new() }
    }

    fn push<K: Message, V: Message>(&mut self, kind: i16, key: &K, value: Option<&V>) {
        let encode = || -> Result<Record, EncodeError> {
            let value = value.map(|value| record::value(VERSION, value)).transpose()?;
            Ok(Record { key: record::key(kind, key)?, value })
        };
        self.list.push(encode().expect("ids are checked to fit into a key"));
    }

    pub(super) fn group(&mut self, value: Option<&ConsumerGroupMetadataValue>) {
        let key = ConsumerGroupMetadataKey { group_id: self.group_id.clone() };
        self.push(GROUP, &key, value);
    }

    /// Takes back what older versions wrote about the topics subscribed to.
    pub(super) fn no_topics(&mut self) {
        let key = ConsumerGroupPartitionMetadataKey { group_id: self.group_id.clone() };
        self.push::<_, ConsumerGroupMetadataValue>(TOPICS, &key, None);
    }

    fn member_key(&self, member_id: &Text) -> ConsumerGroupMemberMetadataKey {
        let (group_id, member_id) = (self.group_id.clone(), member_id.clone());
        ConsumerGroupMemberMetadataKey { group_id, member_id }
    }

    pub(super) fn member(&mut self, member: &Member) {
        let key = self.member_key(&member.id);
        self.push(MEMBER, &key, Some(&member_value(member)));
    }

    pub(super) fn no_member(&mut self, member_id: &Text) {
        let key = self.member_key(member_id);
        self.push::<_, ConsumerGroupMemberMetadataValue>(MEMBER, &key, None);
    }

    pub(super) fn assignment(&mut self, of: Option<(i32, Timestamp)>) {
        let key = ConsumerGroupTargetAssignmentMetadataKey { group_id: self.group_id.clone() };
        let value = of.map(|(assignment_epoch, assignment_timestamp)| {
            ConsumerGroupTargetAssignmentMetadataValue { assignment_epoch, assignment_timestamp }
        });
        self.push(ASSIGNMENT, &key, value.as_ref());
    }

    pub(super) fn target(&mut self, member_id: &Text, partitions: Option<&Partitions>) {
        let (group_id, member_id) = (self.group_id.clone(), member_id.clone());
        let key = ConsumerGroupTargetAssignmentMemberKey { group_id, member_id };
        let each = |(topic, partitions): (&_, &BTreeSet<_>)| {
            let partitions = partitions.iter().copied().collect();
            ConsumerGroupTargetAssignmentMemberTopicPartition { topic_id: *topic, partitions }
        };
        let value = partitions.map(|partitions| ConsumerGroupTargetAssignmentMemberValue {
            topic_partitions: partitions.iter().map(each).collect(),
        });
        self.push(TARGET, &key, value.as_ref());
    }

    pub(super) fn current(&mut self, member: &Member) {
        let (group_id, member_id) = (self.group_id.clone(), member.id.clone());
        let key = ConsumerGroupCurrentMemberAssignmentKey { group_id, member_id };
        let value = ConsumerGroupCurrentMemberAssignmentValue {
            member_epoch: member.epoch,
            previous_member_epoch: member.previous_epoch,
            state: member.state.code(),
            assigned_partitions: owned_value(&member.assigned),
            partitions_pending_revocation: owned_value(&member.pending),
        };
        self.push(CURRENT, &key, Some(&value));
    }

    pub(super) fn no_current(&mut self, member_id: &Text) {
        let (group_id, member_id) = (self.group_id.clone(), member_id.clone());
        let key = ConsumerGroupCurrentMemberAssignmentKey { group_id, member_id };
        self.push::<_, ConsumerGroupCurrentMemberAssignmentValue>(CURRENT, &key, None);
    }

    pub(super) fn expression(
        &mut self,
        expression: &Text,
        value: Option<&ConsumerGroupRegularExpressionValue>,
    ) {
        let (group_id, regular_expression) = (self.group_id.clone(), expression.clone());
        let key = ConsumerGroupRegularExpressionKey { group_id, regular_expression };
        self.push(EXPRESSION, &key, value);
    }

    /// Takes a member out of the group.
    pub(super) fn without_member(&mut self, member_id: &Text) {
        self.no_current(member_id);
        self.target(member_id, None);
        self.no_member(member_id);
    }
}

fn member_value(member: &Member) -> ConsumerGroupMemberMetadataValue {
    let protocol = |protocol: &ClassicProtocol| ConsumerGroupMemberMetadataClassicProtocol {
        name: protocol.name.clone(),
        metadata: protocol.metadata.clone(),
    };
    let classic = member.classic.as_ref().map(|classic| ConsumerGroupMemberMetadataClassic {
        session_timeout_ms: i32::try_from(classic.session_timeout.as_millis()).unwrap_or(i32::MAX),
        supported_protocols: classic.protocols.iter().map(protocol).collect(),
    });
    ConsumerGroupMemberMetadataValue {
        instance_id: member.instance_id.clone(),
        rack_id: member.rack_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        subscribed_topic_names: member.topics.iter().cloned().collect(),
        subscribed_topic_regex: member.expression.clone(),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        server_assignor: member.assignor.clone(),
        classic_member_metadata: classic,
    }
}

fn owned_value(owned: &Owned) -> Vec<ConsumerGroupCurrentMemberAssignmentTopicPartitions> {
    let each = |(topic, partitions): (&_, &BTreeMap<_, i32>)| {
        ConsumerGroupCurrentMemberAssignmentTopicPartitions {
            topic_id: *topic,
            partitions: partitions.keys().copied().collect(),
            assignment_epochs: Some(partitions.values().copied().collect()),
        }
    };
    owned.iter().map(each).collect()
}

/// Sets what a record says of a member; nothing of it may keep the batch alive.
pub(super) fn describe_member(member: &mut Member, value: &ConsumerGroupMemberMetadataValue) {
    let detach = |text: &Option<Text>| text.as_ref().map(Text::detach);
    member.instance_id = detach(&value.instance_id);
    member.rack_id = detach(&value.rack_id);
    member.client_id = value.client_id.detach();
    member.client_host = value.client_host.detach();
    member.topics = value.subscribed_topic_names.iter().map(Text::detach).collect();
    member.expression = detach(&value.subscribed_topic_regex).filter(|text| !text.is_empty());
    member.rebalance_timeout_ms = value.rebalance_timeout_ms;
    member.assignor = detach(&value.server_assignor);
    let protocol = |protocol: &ConsumerGroupMemberMetadataClassicProtocol| ClassicProtocol {
        name: protocol.name.detach(),
        metadata: Bytes::copy_from_slice(&protocol.metadata),
    };
    member.classic = value.classic_member_metadata.as_ref().map(|classic| ClassicMember {
        session_timeout: Duration::from_millis(
            u64::try_from(classic.session_timeout_ms).unwrap_or(0),
        ),
        // Kafka writes a protocol twice that a member named twice.
        protocols: classic
            .supported_protocols
            .iter()
            .filter({
                let mut named = BTreeSet::new();
                move |protocol| named.insert(&protocol.name)
            })
            .map(protocol)
            .collect(),
    });
}

/// Sets what a record says that a member owns.
pub(super) fn place_member(member: &mut Member, value: &ConsumerGroupCurrentMemberAssignmentValue) {
    let epoch = value.member_epoch;
    member.epoch = epoch;
    member.previous_epoch = value.previous_member_epoch;
    member.state = MemberState::of_code(value.state);
    member.assigned = read_owned(&value.assigned_partitions, epoch);
    member.pending = read_owned(&value.partitions_pending_revocation, epoch);
}

/// Older versions did not write in which epoch a partition was assigned: the member's counts then.
fn read_owned(value: &[ConsumerGroupCurrentMemberAssignmentTopicPartitions], epoch: i32) -> Owned {
    let mut owned = Owned::new();
    for topic in value {
        let epochs = topic.assignment_epochs.as_deref().unwrap_or_default();
        let has_epochs = epochs.len() == topic.partitions.len();
        for (at, partition) in topic.partitions.iter().enumerate() {
            let assigned_in = epochs.get(at).copied().filter(|_| has_epochs).unwrap_or(epoch);
            owned.entry(topic.topic_id).or_default().insert(*partition, assigned_in);
        }
    }
    owned
}
