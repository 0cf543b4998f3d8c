//! Groups: who is in them, how far they have read, and moving them.

use std::collections::{BTreeMap, BTreeSet};

use milena_protocol::api::consumer_group_describe::ConsumerGroupDescribeRequest;
use milena_protocol::api::delete_groups::DeleteGroupsRequest;
use milena_protocol::api::describe_groups::DescribeGroupsRequest;
use milena_protocol::api::list_groups::ListGroupsRequest;
use milena_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use milena_protocol::api::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup};
use milena_protocol::codec::Reader;
use milena_protocol::consumer_protocol::ConsumerProtocolAssignment;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, Offset, PartitionIndex};
use milena_protocol::message::Message;

use super::ask::Admin;
use crate::client::Topics;
use crate::error::{ClientError, Refused};

/// A topic's partition.
pub type TopicPartition = (String, PartitionIndex);

/// The last version that names topics; later ones give their ids.
const NAMES_TOPICS: i16 = 9;

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedGroup {
    /// Its name.
    pub group: String,
    /// Where it stands; empty where the broker does not tell.
    pub state: String,
    /// `classic` or `consumer`; empty where the broker does not tell.
    pub kind: String,
    /// The type of its protocol.
    pub protocol_type: String,
}

/// A group with its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    /// Its name.
    pub group: String,
    /// Where it stands.
    pub state: String,
    /// `classic` or `consumer`.
    pub kind: &'static str,
    /// How its members share: the classic protocol, or the broker's assignor.
    pub assignor: String,
    /// The broker that coordinates it.
    pub coordinator: NodeId,
    /// Its members.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// Its id.
    pub member_id: String,
    /// Its name, if it is static.
    pub instance_id: Option<String>,
    /// What the client calls itself.
    pub client_id: String,
    /// The host that it connects from.
    pub host: String,
    /// What it reads now, as far as that can be known.
    pub assigned: BTreeSet<TopicPartition>,
}

impl Admin {
    /// The groups of all brokers.
    ///
    /// # Errors
    /// When a broker does not answer.
    pub async fn list_groups(&self) -> Result<Vec<ListedGroup>, ClientError> {
        self.client.refresh(Topics::None, false).await?;
        let nodes: Vec<NodeId> = self.client.metadata().brokers.keys().copied().collect();
        let mut groups = BTreeSet::new();
        for node_id in nodes {
            let connection = self.client.broker(node_id).await?;
            let response = connection.ask(&ListGroupsRequest::default()).await?;
            Refused::check(response.error_code, None)
                .map_err(|refused| refused.of(format!("groups of {node_id}")))?;
            groups.extend(response.groups.iter().map(|group| ListedGroup {
                group: group.group_id.to_string(),
                state: group.group_state.to_string(),
                kind: group.group_type.to_lowercase(),
                protocol_type: group.protocol_type.to_string(),
            }));
        }
        Ok(groups.into_iter().collect())
    }

    /// A group with its members.
    ///
    /// # Errors
    /// When there is no such group, or its coordinator does not answer.
    pub async fn describe_group(&self, group: &str) -> Result<DescribedGroup, ClientError> {
        self.of_coordinator(|| self.try_describe_group(group)).await
    }

    async fn try_describe_group(&self, group: &str) -> Result<DescribedGroup, ClientError> {
        let (coordinator, connection) = self.client.coordinator(group).await?;
        if connection.version_of::<ConsumerGroupDescribeRequest>().is_ok() {
            let request = ConsumerGroupDescribeRequest {
                group_ids: vec![group.into()],
                ..Default::default()
            };
            let response = connection.ask(&request).await?;
            if let Some(found) =
                response.groups.into_iter().find(|found| found.error_code.is_none())
            {
                let members =
                    found.members.into_iter().map(|member| GroupMember {
                        member_id: member.member_id.to_string(),
                        instance_id: member.instance_id.map(|id| id.to_string()),
                        client_id: member.client_id.to_string(),
                        host: member.client_host.to_string(),
                        assigned: pairs(member.assignment.topic_partitions.iter().map(|topic| {
                            (topic.topic_name.to_string(), topic.partitions.as_slice())
                        })),
                    });
                return Ok(DescribedGroup {
                    group: group.to_owned(),
                    state: found.group_state.to_string(),
                    kind: "consumer",
                    assignor: found.assignor_name.to_string(),
                    coordinator,
                    members: members.collect(),
                });
            }
        }
        let request = DescribeGroupsRequest { groups: vec![group.into()], ..Default::default() };
        let response = connection.ask(&request).await?;
        let refused = |refused: Refused| refused.of(format!("group {group}"));
        let found = response.groups.into_iter().next();
        let found = found.ok_or_else(|| refused(not_found()))?;
        Refused::check(found.error_code, found.error_message.as_deref()).map_err(refused)?;
        // Before version 6 this is how a group is that is not there.
        if *found.group_state == *"Dead" {
            return Err(refused(not_found()));
        }
        let members = found.members.iter().map(|member| GroupMember {
            member_id: member.member_id.to_string(),
            instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
            client_id: member.client_id.to_string(),
            host: member.client_host.to_string(),
            assigned: assignment(&member.member_assignment).unwrap_or_default(),
        });
        Ok(DescribedGroup {
            group: group.to_owned(),
            state: found.group_state.to_string(),
            kind: "classic",
            assignor: found.protocol_data.to_string(),
            coordinator,
            members: members.collect(),
        })
    }

    /// How far a group has read: what comes next in each partition.
    ///
    /// # Errors
    /// When its coordinator does not answer.
    pub async fn group_offsets(
        &self,
        group: &str,
    ) -> Result<BTreeMap<TopicPartition, Offset>, ClientError> {
        self.of_coordinator(|| self.try_group_offsets(group)).await
    }

    async fn try_group_offsets(
        &self,
        group: &str,
    ) -> Result<BTreeMap<TopicPartition, Offset>, ClientError> {
        let (_, connection) = self.client.coordinator(group).await?;
        let version = connection.version_of::<OffsetFetchRequest>()?.min(NAMES_TOPICS);
        let request = if version >= 8 {
            let asked = OffsetFetchRequestGroup { group_id: group.into(), ..Default::default() };
            OffsetFetchRequest { groups: vec![asked], ..Default::default() }
        } else {
            OffsetFetchRequest { group_id: group.into(), ..Default::default() }
        };
        let response = connection.submit(&request, version)?.wait().await?;
        let refused = |refused: Refused| refused.of(format!("offsets of group {group}"));
        Refused::check(response.error_code, None).map_err(refused)?;
        let mut offsets = BTreeMap::new();
        for topic in &response.topics {
            for found in &topic.partitions {
                Refused::check(found.error_code, None).map_err(refused)?;
                let place = (topic.name.to_string(), found.partition_index);
                offsets.insert(place, found.committed_offset);
            }
        }
        for answer in &response.groups {
            Refused::check(answer.error_code, None).map_err(refused)?;
            for topic in &answer.topics {
                for found in &topic.partitions {
                    Refused::check(found.error_code, None).map_err(refused)?;
                    let place = (topic.name.to_string(), found.partition_index);
                    offsets.insert(place, found.committed_offset);
                }
            }
        }
        offsets.retain(|_, offset| *offset != Offset::NONE);
        Ok(offsets)
    }

    /// Says how far a group without members has read.
    ///
    /// # Errors
    /// When its coordinator does not answer; the inner ones are for each partition, such as
    /// UNKNOWN_MEMBER_ID where the group has members.
    pub async fn set_group_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<Vec<(TopicPartition, Result<(), Refused>)>, ClientError> {
        let (_, connection) = self.client.coordinator(group).await?;
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for ((topic, partition_index), offset) in offsets {
            topics.entry(topic).or_default().push(OffsetCommitRequestPartition {
                partition_index: *partition_index,
                committed_offset: *offset,
                ..Default::default()
            });
        }
        let named = topics.into_iter().map(|(name, partitions)| OffsetCommitRequestTopic {
            name: name.into(),
            partitions,
            ..Default::default()
        });
        let request = OffsetCommitRequest {
            group_id: group.into(),
            topics: named.collect(),
            ..Default::default()
        };
        let version = connection.version_of::<OffsetCommitRequest>()?.min(NAMES_TOPICS);
        let response = connection.submit(&request, version)?.wait().await?;
        let each = response.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|answer| {
                let place = (topic.name.to_string(), answer.partition_index);
                (place, Refused::check(answer.error_code, None))
            })
        });
        Ok(each.collect())
    }

    /// Forgets a group without members, and its offsets.
    ///
    /// # Errors
    /// When there is no such group, it has members, or its coordinator does not answer.
    pub async fn delete_group(&self, group: &str) -> Result<(), ClientError> {
        self.of_coordinator(|| self.try_delete_group(group)).await
    }

    async fn try_delete_group(&self, group: &str) -> Result<(), ClientError> {
        let (_, connection) = self.client.coordinator(group).await?;
        let request = DeleteGroupsRequest { groups_names: vec![group.into()] };
        let response = connection.ask(&request).await?;
        let code = response.results.first().map(|result| result.error_code);
        Refused::check(code.unwrap_or(ErrorCode::GROUP_ID_NOT_FOUND), None)
            .map_err(|refused| refused.of(format!("group {group}")))
    }
}

fn not_found() -> Refused {
    Refused { code: ErrorCode::GROUP_ID_NOT_FOUND, message: None }
}

/// What a member of a classic group of consumers was assigned; nothing where that cannot be read.
fn assignment(bytes: &bytes::Bytes) -> Option<BTreeSet<TopicPartition>> {
    let version = i16::from_be_bytes(*bytes.first_chunk::<2>()?);
    let version = version.clamp(0, ConsumerProtocolAssignment::VERSIONS.max);
    let mut reader = Reader::new(bytes.slice(2..));
    let assignment = ConsumerProtocolAssignment::read(&mut reader, version).ok()?;
    let topics = assignment.assigned_partitions.iter();
    Some(pairs(topics.map(|topic| (topic.topic.to_string(), topic.partitions.as_slice()))))
}

fn pairs<'a>(
    topics: impl Iterator<Item = (String, &'a [PartitionIndex])>,
) -> BTreeSet<TopicPartition> {
    topics
        .flat_map(|(topic, partitions)| {
            partitions.iter().map(move |index| (topic.clone(), *index)).collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use milena_protocol::codec::Writer;
    use milena_protocol::consumer_protocol::ConsumerProtocolAssignmentTopicPartition;

    use super::*;

    /// A member of a classic group would be shown with partitions that it does not read, or one
    /// whose bytes are no consumer's would end whoever asks for it.
    #[test]
    fn an_assignment_is_read_whatever_its_version() {
        let written = ConsumerProtocolAssignment {
            assigned_partitions: vec![ConsumerProtocolAssignmentTopicPartition {
                topic: "t".into(),
                partitions: vec![PartitionIndex(0), PartitionIndex(2)],
            }],
            user_data: Some(Bytes::from_static(b"more")),
        };
        let mut writer = Writer::new();
        written.write(&mut writer, 0);
        let body = writer.into_bytes().unwrap();
        let of_version = |version: i16| {
            Bytes::from([version.to_be_bytes().as_slice(), &body, b"and what comes later"].concat())
        };
        let expected = [("t".to_owned(), PartitionIndex(0)), ("t".to_owned(), PartitionIndex(2))];
        for version in [-1, 0, 3, 9] {
            let read = assignment(&of_version(version));
            assert_eq!(read, Some(expected.clone().into()), "version {version}");
        }
        let whole = of_version(1).slice(..2 + body.len());
        for length in 0..whole.len() {
            assert_eq!(assignment(&whole.slice(..length)), None, "{length} bytes");
        }
        assert_eq!(assignment(&Bytes::from_static(&[0, 0, 0x7f, 0xff, 0xff, 0xff])), None);
    }
}
