//! A group as its coordinator describes it, whichever protocol it speaks.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use milena_protocol::api::consumer_group_describe::{
    ConsumerGroupDescribeGroup, ConsumerGroupDescribeMember, ConsumerGroupDescribeRequest,
};
use milena_protocol::api::describe_groups::{
    DescribeGroupsGroup, DescribeGroupsMember, DescribeGroupsRequest,
};
use milena_protocol::codec::{Reader, Text};
use milena_protocol::consumer_protocol::ConsumerProtocolAssignment;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::message::Message;

use crate::admin::call::Call;
use crate::admin::elsewhere::Asked;
use crate::admin::error::Failure;
use crate::handlers::{consumer_group_describe, describe_groups};
use crate::security::Operation;

/// The type of protocol that consumers speak.
pub const CONSUMERS: &str = "consumer";
/// A member of the classic protocol in a group of the new one.
const CLASSIC_MEMBER: i8 = 0;

/// A topic's partition.
pub type Place = (Text, i32);

/// A group of consumers.
#[derive(Debug)]
pub struct Found {
    /// Its name.
    pub id: String,
    /// `CLASSIC` or `CONSUMER`.
    pub kind: &'static str,
    /// Where it stands, as the protocol names it.
    pub state: String,
    /// How its members share.
    pub assignor: String,
    /// Whether it only keeps offsets, and its consumers assign themselves.
    pub is_simple: bool,
    /// Whether members of both protocols are in it.
    pub is_mixed: bool,
    /// Its members.
    pub members: Vec<Member>,
}

/// A member of a group.
#[derive(Debug)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// Its name, if it is static.
    pub instance_id: Option<String>,
    /// What the client calls itself.
    pub client_id: String,
    /// What it reads now, as far as that can be known.
    pub assigned: BTreeSet<Place>,
}

impl Found {
    /// Who reads which partition.
    #[must_use]
    pub fn readers(&self) -> BTreeMap<&Place, &Member> {
        let members = self.members.iter();
        members.flat_map(|one| one.assigned.iter().map(move |place| (place, one))).collect()
    }

    /// A member.
    ///
    /// # Errors
    /// 404.
    pub fn member(&self, id: &str) -> Result<&Member, Failure> {
        let missing = || Failure::missing(format!("group {} has no consumer {id}", self.id));
        self.members.iter().find(|member| member.id == id).ok_or_else(missing)
    }
}

impl Call {
    /// A group of consumers. It asks for a consumer group first and for a classic one then, as
    /// Kafka's own clients do.
    ///
    /// # Errors
    /// 404 where there is no such group or it is not one of consumers, or why its coordinator does
    /// not answer.
    pub(super) async fn group(&self, id: &str) -> Result<Found, Failure> {
        match self.look_for(id).await? {
            Look::Consumers(found) => Ok(found),
            Look::Other(kind) => Err(other(id, &kind)),
            Look::Nothing => Err(missing(id)),
        }
    }

    /// Refuses to move a group that somebody is in, or that is none of consumers. The coordinator
    /// refuses it too; this tells whoever only wants to know.
    ///
    /// # Errors
    /// Why it cannot be moved. One that is not there yet is made by what it commits.
    pub(super) async fn check_inactive(&self, id: &str) -> Result<(), Failure> {
        match self.look_for(id).await? {
            Look::Consumers(group) if !group.members.is_empty() => Err(active(id)),
            Look::Consumers(_) | Look::Nothing => Ok(()),
            Look::Other(kind) => Err(other(id, &kind)),
        }
    }

    async fn look_for(&self, id: &str) -> Result<Look, Failure> {
        if !self.keeps_groups() {
            return Ok(Look::Nothing);
        }
        let group_ids = vec![id.into()];
        let request = ConsumerGroupDescribeRequest { group_ids, ..Default::default() };
        let right = (Operation::Describe, id);
        let asked = Asked::newest(request);
        let response = self.coordinate(right, asked, consumer_group_describe::handle).await?;
        match response.groups.into_iter().next() {
            Some(group) if group.error_code != ErrorCode::GROUP_ID_NOT_FOUND => {
                Failure::unless_none(group.error_code, group.error_message.as_ref())?;
                return Ok(Look::Consumers(of_consumers(group)));
            }
            _ => {}
        }
        let request = DescribeGroupsRequest { groups: vec![id.into()], ..Default::default() };
        let asked = Asked::newest(request);
        let response = self.coordinate(right, asked, describe_groups::handle).await?;
        let found = response.groups.into_iter().next();
        let known = |group: &DescribeGroupsGroup| group.error_code != ErrorCode::GROUP_ID_NOT_FOUND;
        let Some(group) = found.filter(known) else { return Ok(Look::Nothing) };
        Failure::unless_none(group.error_code, group.error_message.as_ref())?;
        match &*group.protocol_type {
            "" | CONSUMERS => Ok(Look::Consumers(classic(group))),
            _ => Ok(Look::Other(group.protocol_type)),
        }
    }

    /// Whether there is a topic that groups are kept in; without it there is no group.
    pub(super) fn keeps_groups(&self) -> bool {
        self.broker.metadata.image().topic(self.broker.groups.topic()).is_some()
    }
}

/// What a name stands for.
enum Look {
    Consumers(Found),
    /// A group of another type, such as Connect's workers.
    Other(Text),
    Nothing,
}

pub(super) fn active(id: &str) -> Failure {
    let message = format!("group {id} has members; it can be moved once its consumers have left");
    Failure::of_wire(ErrorCode::NON_EMPTY_GROUP, Some(&Text::from(message)))
}

fn other(id: &str, kind: &str) -> Failure {
    Failure::missing(format!("group {id} is one of {kind}, not consumers"))
}

fn missing(id: &str) -> Failure {
    Failure::missing(format!("there is no consumer group {id}"))
}

fn of_consumers(group: ConsumerGroupDescribeGroup) -> Found {
    let member = |member: ConsumerGroupDescribeMember| {
        let topics = member.assignment.topic_partitions.iter();
        let assigned = topics.flat_map(|topic| {
            topic.partitions.iter().map(|index| (topic.topic_name.clone(), index.0))
        });
        Member {
            assigned: assigned.collect(),
            id: member.member_id.to_string(),
            instance_id: member.instance_id.map(|id| id.to_string()),
            client_id: member.client_id.to_string(),
        }
    };
    Found {
        id: group.group_id.to_string(),
        kind: "CONSUMER",
        state: group.group_state.to_string(),
        assignor: group.assignor_name.to_string(),
        is_simple: false,
        is_mixed: group.members.iter().any(|member| member.member_type == CLASSIC_MEMBER),
        members: group.members.into_iter().map(member).collect(),
    }
}

fn classic(group: DescribeGroupsGroup) -> Found {
    let member = |member: &DescribeGroupsMember| Member {
        id: member.member_id.to_string(),
        instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
        client_id: member.client_id.to_string(),
        assigned: assignment(&member.member_assignment).unwrap_or_default(),
    };
    Found {
        id: group.group_id.to_string(),
        kind: "CLASSIC",
        state: group.group_state.to_string(),
        assignor: group.protocol_data.to_string(),
        is_simple: group.protocol_type.is_empty(),
        is_mixed: false,
        members: group.members.iter().map(member).collect(),
    }
}

/// What the leader of a classic group gave a member; nothing where that cannot be read.
fn assignment(bytes: &Bytes) -> Option<BTreeSet<Place>> {
    let version = i16::from_be_bytes(*bytes.first_chunk::<2>()?);
    let version = version.clamp(0, ConsumerProtocolAssignment::VERSIONS.max);
    let mut reader = Reader::new(bytes.slice(2..));
    let assignment = ConsumerProtocolAssignment::read(&mut reader, version).ok()?;
    let topics = assignment.assigned_partitions.iter();
    let places = topics
        .flat_map(|topic| topic.partitions.iter().map(|index| (topic.topic.clone(), index.0)));
    Some(places.collect())
}
