//! Groups that change their protocol while they have members (fact N14).
//!
//! A classic group becomes a consumer group when somebody joins it with the new protocol: everyone
//! keeps what the last generation gave it, and goes on with the classic protocol until it is
//! restarted. A consumer group becomes a classic group again when the last member of the new
//! protocol has gone and there are others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use milena_protocol::codec::{Reader, Text};
use milena_protocol::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolAssignmentTopicPartition,
    ConsumerProtocolSubscription,
};
use milena_protocol::coordinator_record::consumer_group::ConsumerGroupMetadataValue;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{PartitionIndex, Uuid};
use milena_protocol::message::Message;

use super::group::Group;
use super::heartbeat::Refused;
use super::member::{ClassicMember, ClassicProtocol, Member, MemberState, Owned};
use super::record::{Content, Records};
use super::rules::Rules;
use super::settings::Settings;
use super::topics;
use crate::coordinator::Record;
use crate::coordinator::record;
use crate::group::assignor::Partitions;
use crate::metadata::image::MetadataImage;
use crate::time::Now;

/// A group of either protocol, as far as both know the same of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NeutralGroup {
    /// The generation, or the group epoch.
    pub generation: i32,
    /// The classic protocol in use: the name of the assignor.
    pub protocol: Option<Text>,
    /// The members.
    pub members: Vec<NeutralMember>,
}

/// A member of such a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NeutralMember {
    /// Its id.
    pub id: Text,
    /// The name of a static member.
    pub instance_id: Option<Text>,
    /// What the client calls itself.
    pub client_id: Text,
    /// The host that it connects from.
    pub client_host: Text,
    /// Without a word for so long it counts as gone.
    pub session_timeout: Duration,
    /// So long it may take to join again.
    pub rebalance_timeout: Duration,
    /// The protocols that it could use, best first, and what it says in each.
    pub protocols: Vec<ClassicProtocol>,
    /// What it was assigned, as consumers write it; empty where it was not.
    pub assignment: Bytes,
}

impl<R: Rules> Group<R> {
    /// The records that make a consumer group of a classic one. They stand after the one that
    /// takes the classic group back, in the same batch, and are replayed into a group that nothing
    /// is known of. Everyone is then given its times with [`loaded`](Self::loaded).
    ///
    /// # Errors
    /// GROUP_ID_NOT_FOUND (69) where groups are not to change their protocol, there are too many
    /// members, they do not speak as consumers do, or their assignor tells them more than what
    /// they shall read, as that of Kafka Streams does.
    pub fn from_classic(
        id: &Text,
        classic: &NeutralGroup,
        now: Now,
        topics: &MetadataImage,
        settings: &Settings,
    ) -> Result<Vec<Record>, Refused> {
        let refuse = |why: &str| {
            let message = format!("Group {id} is not a consumer group: {why}.");
            Refused::new(ErrorCode::GROUP_ID_NOT_FOUND, message)
        };
        if !settings.migration.upgrades() {
            return Err(refuse("classic groups are not to become consumer groups"));
        }
        if classic.members.len() > settings.max_size {
            return Err(refuse("it has too many members"));
        }
        // An epoch of 0 is none; a group that has not had its first generation begins with 1.
        let epoch = classic.generation.max(1);
        let mut taken = BTreeSet::new();
        let mut members = Vec::with_capacity(classic.members.len());
        for member in &classic.members {
            let member = upgraded(member, classic.protocol.as_ref(), epoch, topics, &mut taken);
            members.push(member.ok_or_else(|| {
                refuse("its members are not consumers, or need their own assignor")
            })?);
        }
        if members.iter().map(Member::said_bytes).sum::<usize>() > settings.max_bytes {
            return Err(refuse("its members say too much"));
        }
        let names: BTreeSet<&Text> = members.iter().flat_map(|member| &member.topics).collect();
        let metadata_hash = topics::hash(names.into_iter(), topics);
        let mut records = Records::new(id);
        members.iter().for_each(|member| records.member(member));
        records.group(Some(&ConsumerGroupMetadataValue { epoch, metadata_hash }));
        for member in &members {
            let each = |(topic, owned): (&Uuid, &BTreeMap<PartitionIndex, i32>)| {
                (*topic, owned.keys().copied().collect())
            };
            let target: Partitions = member.assigned.iter().map(each).collect();
            records.target(&member.id, Some(&target));
        }
        records.assignment(Some((epoch, now.wall)));
        members.iter().for_each(|member| records.current(member));
        Ok(records.list)
    }

    /// Whether only members of the classic protocol are left, so that the group is to become a
    /// classic one: its [`tombstones`](Self::tombstones) and the record of the classic group are
    /// then appended together. To be asked after a load; whoever lets somebody go asks
    /// [`to_classic_after`](Self::to_classic_after).
    #[must_use]
    pub fn wants_downgrade(&self, settings: &Settings) -> bool {
        settings.migration.downgrades()
            && !self.is_deserted()
            && self.members().all(|member| member.classic.is_some())
    }

    /// The classic group that is left once these records have been replayed, if somebody goes with
    /// them who kept the group from being one.
    #[must_use]
    pub fn to_classic_after(
        &self,
        records: &[Record],
        topics: &MetadataImage,
        settings: &Settings,
    ) -> Option<NeutralGroup>
    where
        R: Clone,
    {
        let gone = |record: &Record| match Content::read(&record.key, record.value.as_deref())? {
            Content::Member(key, None) => Some(key.member_id),
            _ => None,
        };
        let tombstones = records.iter().filter(|record| record.value.is_none());
        let gone: BTreeSet<Text> = tombstones.filter_map(gone).collect();
        let stays = |member: &&Member| !gone.contains(&member.id);
        // Mostly somebody stays who does not speak the classic protocol: then nothing is copied.
        if gone.is_empty() || self.members().filter(stays).any(|member| member.classic.is_none()) {
            return None;
        }
        let mut after = self.clone();
        let contents = records.iter().map(|it| Content::read(&it.key, it.value.as_deref()));
        contents.flatten().for_each(|content| after.replay(&content));
        after.wants_downgrade(settings).then(|| after.to_classic(topics))
    }

    /// The group as a classic one, which begins a rebalance at once: what the members have now is
    /// what its last generation gave them.
    #[must_use]
    pub fn to_classic(&self, topics: &MetadataImage) -> NeutralGroup {
        let members: Vec<NeutralMember> =
            self.members().map(|member| downgraded(member, topics)).collect();
        let is_common = |protocol: &&ClassicProtocol| self.interest.is_common(&protocol.name);
        let protocol = members.first().and_then(|member| member.protocols.iter().find(is_common));
        let protocol = protocol.map(|protocol| protocol.name.clone());
        NeutralGroup { generation: self.epoch, protocol, members }
    }
}

/// A member of a classic group in a consumer group; none where it cannot be in one.
fn upgraded(
    member: &NeutralMember,
    protocol: Option<&Text>,
    epoch: i32,
    topics: &MetadataImage,
    taken: &mut BTreeSet<(Uuid, PartitionIndex)>,
) -> Option<Member> {
    let said = protocol.and_then(|name| member.protocols.iter().find(|it| it.name == *name));
    let said = said.or_else(|| member.protocols.first())?;
    let subscription = subscription(&said.metadata)?;
    let part = assignment(&member.assignment)?;
    // An assignor of their own tells the members something here that the broker never would.
    if part.user_data.is_some_and(|data| !data.is_empty()) {
        return None;
    }
    let mut assigned = Owned::new();
    for owned in part.assigned_partitions {
        let Some(topic) = topics.topic(&owned.topic) else { continue };
        for partition in owned.partitions {
            // Only an assignor gone wrong gives one to two: the first has it then.
            if taken.insert((topic.id(), partition)) {
                assigned.entry(topic.id()).or_default().insert(partition, epoch);
            }
        }
    }
    Some(Member {
        instance_id: member.instance_id.clone(),
        rack_id: subscription.rack_id,
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        topics: subscription.topics.into_iter().collect(),
        rebalance_timeout_ms: i32::try_from(member.rebalance_timeout.as_millis())
            .unwrap_or(i32::MAX),
        classic: Some(ClassicMember {
            session_timeout: member.session_timeout,
            protocols: member.protocols.clone(),
        }),
        epoch,
        previous_epoch: epoch,
        state: MemberState::Stable,
        assigned,
        ..Member::new(member.id.clone())
    })
}

fn downgraded(member: &Member, topics: &MetadataImage) -> NeutralMember {
    let classic = member.classic.clone().unwrap_or_default();
    NeutralMember {
        id: member.id.clone(),
        instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        session_timeout: classic.session_timeout,
        rebalance_timeout: member.rebalance_timeout(),
        assignment: written_assignment(member, topics),
        protocols: classic.protocols,
    }
}

/// What a consumer says in the classic protocol; none where it is no consumer.
pub(super) fn subscription(bytes: &Bytes) -> Option<ConsumerProtocolSubscription> {
    let (version, rest) = record::split(bytes)?;
    // Later versions only add to the end.
    let version = version.clamp(0, ConsumerProtocolSubscription::VERSIONS.max);
    ConsumerProtocolSubscription::read(&mut Reader::new(rest), version).ok()
}

/// What a consumer was assigned in the classic protocol; nothing where that is empty.
fn assignment(bytes: &Bytes) -> Option<ConsumerProtocolAssignment> {
    if bytes.is_empty() {
        return Some(ConsumerProtocolAssignment::default());
    }
    let (version, rest) = record::split(bytes)?;
    let version = version.clamp(0, ConsumerProtocolAssignment::VERSIONS.max);
    ConsumerProtocolAssignment::read(&mut Reader::new(rest), version).ok()
}

/// What a member has, as the classic protocol writes it, in the version that the member speaks.
pub(super) fn written_assignment(member: &Member, topics: &MetadataImage) -> Bytes {
    let each = |(topic, owned): (&Uuid, &BTreeMap<PartitionIndex, i32>)| {
        let topic = topics.topic_by_id(*topic)?.name().clone();
        let partitions = owned.keys().copied().collect();
        Some(ConsumerProtocolAssignmentTopicPartition { topic, partitions })
    };
    let assigned_partitions = member.assigned.iter().filter_map(each).collect();
    let assignment = ConsumerProtocolAssignment { assigned_partitions, user_data: None };
    let said = member.classic.as_ref().and_then(|classic| classic.protocols.first());
    let version = said.and_then(|said| record::split(&said.metadata)).map_or(0, |it| it.0);
    let version = version.clamp(0, ConsumerProtocolAssignment::VERSIONS.max);
    record::value(version, &assignment).expect("topics have short names")
}
