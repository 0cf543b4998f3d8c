//! How records change a group. Nothing else does.

use milena_protocol::codec::Text;

use super::group::{Expression, Group};
use super::member::Member;
use super::record::{Content, describe_member, place_member};
use super::rules::Rules;

impl<R: Rules> Group<R> {
    /// Takes a record of this group into effect. The coordinator makes the group where the record
    /// is the first of it and no tombstone, and forgets it once it is no longer
    /// [recorded](Self::is_recorded).
    pub fn replay(&mut self, content: &Content) {
        match content {
            Content::Group(_, value) => {
                self.epoch = value.as_ref().map_or(0, |value| value.epoch);
                self.metadata_hash = value.as_ref().map_or(0, |value| value.metadata_hash);
            }
            Content::Topics(_, stands) => self.has_topics_record = *stands,
            Content::Member(key, Some(value)) => {
                let id = self.member_to_change(&key.member_id).id.clone();
                let Some(member) = self.members.get_mut(&id) else { return };
                self.interest.remove(member);
                let before = member.instance_id.take();
                describe_member(member, value);
                self.interest.add(member);
                let instance_id = member.instance_id.clone();
                self.forget_instance(before, &id);
                self.instances.extend(instance_id.map(|instance_id| (instance_id, id)));
            }
            Content::Member(key, None) => self.remove(&key.member_id),
            Content::Assignment(_, value) => {
                self.assignment_epoch = value.as_ref().map_or(0, |value| value.assignment_epoch);
            }
            Content::Target(key, Some(value)) => {
                let mut partitions = crate::group::assignor::Partitions::new();
                for topic in &value.topic_partitions {
                    let owned = topic.partitions.iter().copied();
                    partitions.entry(topic.topic_id).or_default().extend(owned);
                }
                partitions.retain(|_, owned| !owned.is_empty());
                self.targets.insert(key.member_id.detach(), partitions);
            }
            Content::Target(key, None) => {
                self.targets.remove(&key.member_id);
            }
            Content::Current(key, Some(value)) => {
                self.release(&key.member_id);
                let member = self.member_to_change(&key.member_id);
                place_member(member, value);
                let id = member.id.clone();
                self.own(&id);
            }
            Content::Current(key, None) => {
                self.release(&key.member_id);
                if let Some(member) = self.members.get_mut(&key.member_id) {
                    (member.epoch, member.previous_epoch) = (LEFT, LEFT);
                    member.assigned.clear();
                    member.pending.clear();
                }
            }
            Content::Expression(key, Some(value)) => {
                let expression = Expression {
                    topics: value.topics.iter().map(Text::detach).collect(),
                    version: value.version,
                    timestamp: value.timestamp,
                };
                self.expressions.insert(key.regular_expression.detach(), expression);
            }
            Content::Expression(key, None) => {
                self.expressions.remove(&key.regular_expression);
            }
        }
    }

    fn member_to_change(&mut self, id: &Text) -> &mut Member {
        let id = id.detach();
        let interest = &mut self.interest;
        self.members.entry(id.clone()).or_insert_with(|| {
            let member = Member::new(id);
            interest.add(&member);
            member
        })
    }

    fn remove(&mut self, id: &Text) {
        self.release(id);
        self.soft.timers.remove(id);
        if self.soft.timers.is_empty() {
            self.soft.earliest_at = None;
        }
        if let Some(member) = self.members.remove(id) {
            self.interest.remove(&member);
            self.forget_instance(member.instance_id, id);
        }
    }

    fn forget_instance(&mut self, instance_id: Option<Text>, member_id: &Text) {
        // Another member may have taken the name over by now.
        if let Some(instance_id) = instance_id
            && self.instances.get(&instance_id) == Some(member_id)
        {
            self.instances.remove(&instance_id);
        }
    }

    fn own(&mut self, id: &Text) {
        let Some(member) = self.members.get(id) else { return };
        for (topic, partition) in member.owned() {
            self.owners.entry(topic).or_default().insert(partition, id.clone());
        }
    }

    fn release(&mut self, id: &Text) {
        let Some(member) = self.members.get(id) else { return };
        for (topic, partition) in member.owned() {
            let Some(owners) = self.owners.get_mut(&topic) else { continue };
            if owners.get(&partition) == Some(id) {
                owners.remove(&partition);
            }
            if owners.is_empty() {
                self.owners.remove(&topic);
            }
        }
    }
}

/// The epoch of a member that owns nothing any more and is about to be removed.
const LEFT: i32 = super::member::LEAVES;
