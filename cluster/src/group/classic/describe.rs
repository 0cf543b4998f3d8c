//! How a classic group looks from outside.

use milena_protocol::api::describe_groups::{DescribeGroupsGroup, DescribeGroupsMember};

use super::group::{Group, State};

impl Group {
    /// Everything about it. What members say and own is told of a stable group only.
    #[must_use]
    pub fn describe(&self) -> DescribeGroupsGroup {
        let is_stable = self.state == State::Stable;
        let protocol = self.protocol.clone().filter(|_| is_stable).unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| DescribeGroupsMember {
            member_id: id.clone(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            member_metadata: member.metadata(&protocol),
            member_assignment: if is_stable {
                member.assignment.clone()
            } else {
                Default::default()
            },
        });
        DescribeGroupsGroup {
            group_id: self.id.clone(),
            group_state: self.state.name().into(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            members: members.collect(),
            protocol_data: protocol,
            ..Default::default()
        }
    }
}
