//! A classic group that was, or becomes, a consumer group (fact N14).

use milena_protocol::api::join_group::JoinGroupRequestProtocol;
use milena_protocol::codec::Text;
use milena_protocol::coordinator_record::offset::GroupMetadataValue;
use milena_protocol::error_code::ErrorCode;

use super::group::{CONSUMER, Group, Outputs, State, refuse_waiting};
use super::member::Member;
use crate::group::consumer::{ClassicProtocol, NeutralGroup, NeutralMember};
use crate::group::settings::Settings;
use crate::time::{Instant, Now};

impl Group {
    /// The group as far as a consumer group knows the same of it; none where its members do not
    /// consume.
    #[must_use]
    pub fn to_neutral(&self) -> Option<NeutralGroup> {
        let members = self.members.iter().map(|(id, member)| NeutralMember {
            id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            session_timeout: member.session_timeout,
            rebalance_timeout: member.rebalance_timeout,
            protocols: member.protocols.iter().map(to_neutral).collect(),
            assignment: member.assignment.clone(),
        });
        self.is_of_consumers().then(|| NeutralGroup {
            generation: self.generation,
            protocol: self.protocol.clone(),
            members: members.collect(),
        })
    }

    /// The group that a consumer group becomes. It has no leader yet, so that it rebalances after
    /// a crash too; [`Group::begin_again`] lets it begin to.
    #[must_use]
    pub fn of_neutral(id: Text, neutral: NeutralGroup, now: Now) -> Self {
        let mut group = Self::new(id, now.wall);
        group.state = State::Stable;
        group.protocol_type = Some(CONSUMER.into());
        group.protocol = neutral.protocol;
        group.generation = neutral.generation;
        group.is_recorded = true;
        for member in neutral.members {
            let restored = Member {
                instance_id: member.instance_id,
                client_id: member.client_id,
                client_host: member.client_host,
                session_timeout: member.session_timeout,
                rebalance_timeout: member.rebalance_timeout,
                protocols: member.protocols.into_iter().map(of_neutral).collect(),
                assignment: member.assignment,
                joining: None,
                syncing: None,
                is_new: false,
                expires_at: Instant::default(),
            };
            group.insert(member.id.clone(), restored);
            group.note_alive(now, &member.id);
        }
        group.subscribed = group.read_subscriptions();
        group
    }

    /// What the log shall remember of a group that has yet to begin its first rebalance.
    #[must_use]
    pub fn stored_without_leader(&self) -> GroupMetadataValue {
        let stored = self.stored(|_, member| member.assignment.clone());
        GroupMetadataValue { leader: None, ..stored }
    }

    /// Has everyone join the next generation.
    pub fn begin_again(&mut self, now: Now, settings: &Settings, outputs: &mut Outputs) {
        self.prepare(now, settings, outputs);
    }

    /// Has everyone who waits for an answer ask again, for the group is not this one any more.
    pub fn send_away(&self, outputs: &mut Outputs) {
        for (id, member) in &self.members {
            refuse_waiting(member, id, ErrorCode::REBALANCE_IN_PROGRESS, outputs);
        }
    }
}

fn to_neutral(protocol: &JoinGroupRequestProtocol) -> ClassicProtocol {
    ClassicProtocol { name: protocol.name.clone(), metadata: protocol.metadata.clone() }
}

fn of_neutral(protocol: ClassicProtocol) -> JoinGroupRequestProtocol {
    JoinGroupRequestProtocol { name: protocol.name, metadata: protocol.metadata }
}
