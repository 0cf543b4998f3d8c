//! What a consumer group shows of itself, and what of it can be taken back.

use std::collections::BTreeSet;

use milena_protocol::api::consumer_group_describe::{
    ConsumerGroupDescribeAssignment, ConsumerGroupDescribeGroup, ConsumerGroupDescribeMember,
    ConsumerGroupDescribeTopicPartitions,
};
use milena_protocol::codec::Text;
use milena_protocol::ids::{PartitionIndex, Uuid};

use super::group::Group;
use super::member::Member;
use super::record::Records;
use super::rules::Rules;
use super::settings::Settings;
use crate::coordinator::Record;
use crate::metadata::image::MetadataImage;

/// A member of the classic protocol, in descriptions.
const CLASSIC: i8 = 0;
/// A member of the consumer protocol.
const CONSUMER: i8 = 1;

impl<R: Rules> Group<R> {
    /// Everything about it for ConsumerGroupDescribe; what the caller may do is left open. Topics
    /// that there are no more are left out.
    #[must_use]
    pub fn describe(
        &self,
        topics: &MetadataImage,
        settings: &Settings,
    ) -> ConsumerGroupDescribeGroup {
        ConsumerGroupDescribeGroup {
            group_id: self.id.clone(),
            group_state: self.state().name().into(),
            group_epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            assignor_name: self.assignor(settings).name().into(),
            members: self.members().map(|member| self.describe_member(member, topics)).collect(),
            ..Default::default()
        }
    }

    fn describe_member(
        &self,
        member: &Member,
        topics: &MetadataImage,
    ) -> ConsumerGroupDescribeMember {
        let assigned =
            member.assigned.iter().map(|(id, owned)| (*id, owned.keys().copied().collect()));
        let target = self.targets.get(&member.id).into_iter().flatten();
        let target = target.map(|(id, partitions)| (*id, partitions.iter().copied().collect()));
        ConsumerGroupDescribeMember {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            rack_id: member.rack_id.clone(),
            member_epoch: member.epoch,
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            subscribed_topic_names: member.topics.iter().cloned().collect(),
            subscribed_topic_regex: member.expression.clone(),
            assignment: described(assigned, topics),
            target_assignment: described(target, topics),
            member_type: if member.classic.is_some() { CLASSIC } else { CONSUMER },
        }
    }

    /// Whether somebody reads a topic, so that its offsets may not be deleted (86) and do not
    /// expire.
    #[must_use]
    pub fn subscribes(&self, topic: &str) -> bool {
        self.interest.has_name(topic)
            || self.expressions.values().any(|expression| expression.topics.contains(topic))
    }

    /// The topics that somebody reads.
    #[must_use]
    pub fn subscribed_topics(&self) -> BTreeSet<&Text> {
        let matched = self.expressions.values().flat_map(|expression| &expression.topics);
        self.interest.names().chain(matched).collect()
    }

    /// Takes everything of it back. Whoever deletes a group sees first that it is
    /// [deserted](Self::is_deserted).
    #[must_use]
    pub fn tombstones(&self) -> Vec<Record> {
        let mut records = Records::new(&self.id);
        self.members.keys().for_each(|id| records.no_current(id));
        self.targets.keys().for_each(|id| records.target(id, None));
        records.assignment(None);
        self.members.keys().for_each(|id| records.no_member(id));
        self.expressions.keys().for_each(|expression| records.expression(expression, None));
        if self.has_topics_record {
            records.no_topics();
        }
        records.group(None);
        records.list
    }
}

fn described(
    owned: impl Iterator<Item = (Uuid, Vec<PartitionIndex>)>,
    topics: &MetadataImage,
) -> ConsumerGroupDescribeAssignment {
    let describe = |(topic_id, partitions)| {
        let topic_name = topics.topic_by_id(topic_id)?.name().clone();
        Some(ConsumerGroupDescribeTopicPartitions { topic_id, topic_name, partitions })
    };
    ConsumerGroupDescribeAssignment { topic_partitions: owned.filter_map(describe).collect() }
}
