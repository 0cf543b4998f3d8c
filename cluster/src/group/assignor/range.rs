//! The assignor `range`: of each topic, a member gets neighbouring partitions.
//!
//! The members stand in one order for all topics, static ones by their names before the others by
//! their ids, so that topics with as many partitions and the same subscribers are split alike and
//! a member can join them. The first members get one partition more where it does not come out
//! even. What was owned before does not count.

use std::collections::BTreeMap;

use milena_protocol::codec::Text;
use milena_protocol::ids::{PartitionIndex, Uuid};

use super::spec::{Assignment, Partitions, Spec};

pub(super) fn assign(spec: &Spec<'_>) -> Assignment {
    let mut order: Vec<&Text> = spec.members.keys().copied().collect();
    order.sort_by_key(|id| {
        let instance_id = spec.members.get(id).and_then(|member| member.instance_id);
        (instance_id.is_none(), instance_id, *id)
    });
    let mut subscribers: BTreeMap<Uuid, Vec<&Text>> = BTreeMap::new();
    for id in &order {
        let topics = spec.members.get(id).map(|member| member.topics);
        for topic in topics.into_iter().flatten() {
            subscribers.entry(*topic).or_default().push(id);
        }
    }
    let mut assignment: Assignment =
        order.iter().map(|id| ((*id).clone(), Partitions::new())).collect();
    for (topic, members) in subscribers {
        let count = spec.partition_count(&topic);
        let members_count = i32::try_from(members.len()).unwrap_or(i32::MAX);
        let (each, mut extra) = (count / members_count, count % members_count);
        let mut next = 0;
        for member in members {
            let mut end = next + each;
            if extra > 0 {
                end += 1;
                extra -= 1;
            }
            if next < end
                && let Some(partitions) = assignment.get_mut(member)
            {
                partitions.insert(topic, (next..end).map(PartitionIndex).collect());
            }
            next = end;
        }
    }
    assignment
}
