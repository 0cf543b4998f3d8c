//! JoinGroup, and how members gather for a generation.

use std::time::Duration;

use bytes::Bytes;
use milena_protocol::api::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, JoinGroupResponseMember,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;

use super::group::{
    Group, Initial, Outputs, State, answer, millis, refuse_waiting, refused_join, refused_sync,
};
use super::member::{Member, said_bytes};
use crate::coordinator::Ticket;
use crate::group::request::{Answer, Caller};
use crate::group::settings::Settings;
use crate::time::Now;

/// From this version on a new member is told its id first, and joins with it (KIP-394).
const ID_FIRST: i16 = 4;
/// From this version on a leader that comes back can be told not to assign (KIP-814).
const SKIPS_ASSIGNMENT: i16 = 9;
/// How long a new member may wait for its first generation. It does not know its id, so it cannot
/// send heartbeats, and its connection is silent.
const NEW_MEMBER_TIMEOUT: Duration = Duration::from_secs(300);
/// What of an id answers and records can say.
const MAX_ID_BYTES: usize = i16::MAX as usize;

/// A JoinGroup on its way.
pub(super) struct Join<'a> {
    pub now: Now,
    pub ticket: Ticket,
    pub caller: &'a Caller,
    pub request: JoinGroupRequest,
    pub settings: &'a Settings,
}

impl Group {
    /// Takes a member in. It is answered when the next generation begins.
    pub fn join(
        &mut self,
        now: Now,
        ticket: Ticket,
        caller: &Caller,
        request: JoinGroupRequest,
        settings: &Settings,
        outputs: &mut Outputs,
    ) {
        let join = Join { now, ticket, caller, request, settings };
        if let Err((why, id)) = self.try_join(&join, outputs) {
            answer(ticket, refused_join(why, id), outputs);
        }
    }

    fn try_join(
        &mut self,
        join: &Join<'_>,
        outputs: &mut Outputs,
    ) -> Result<(), (ErrorCode, Text)> {
        let request = &join.request;
        let id = &request.member_id;
        if !self.has_room_for(id, join.settings.max_size) {
            self.remove(id, ErrorCode::GROUP_MAX_SIZE_REACHED, outputs);
            return Err((ErrorCode::GROUP_MAX_SIZE_REACHED, Text::default()));
        }
        if !self.accepts(&request.protocol_type, &request.protocols) {
            return Err((ErrorCode::INCONSISTENT_GROUP_PROTOCOL, id.clone()));
        }
        if !self.has_bytes_for(join) {
            return Err((ErrorCode::UNKNOWN_SERVER_ERROR, id.clone()));
        }
        if id.is_empty() {
            return self.join_newcomer(join, outputs);
        }
        if self.pending.contains_key(id) && request.group_instance_id.is_none() {
            self.add(join, id.detach(), outputs);
            return Ok(());
        }
        let member = self.check_member(id, request.group_instance_id.as_ref());
        let member = member.map_err(|why| (why, id.clone()))?;
        let is_same = member.protocols == request.protocols;
        let id = id.detach();
        match self.state {
            State::CompletingRebalance if is_same => self.welcome_again(join, &id, outputs),
            State::Stable if is_same && !self.is_leader(&id) => {
                self.welcome_again(join, &id, outputs);
            }
            _ => self.rejoin(join, &id, outputs),
        }
        Ok(())
    }

    fn has_room_for(&self, id: &Text, max_size: usize) -> bool {
        match self.state {
            State::Empty => true,
            State::PreparingRebalance => {
                let joined = self.members.values().filter(|member| member.joining.is_some());
                let is_joining = self.members.get(id).is_some_and(|m| m.joining.is_some());
                is_joining || joined.count() < max_size
            }
            State::CompletingRebalance | State::Stable => {
                self.members.contains_key(id) || self.members.len() < max_size
            }
        }
    }

    /// Whether the group could still be written with what somebody says. Who says no more than
    /// before may always: the bound may have been another then.
    fn has_bytes_for(&self, join: &Join<'_>) -> bool {
        let Join { caller, request, .. } = join;
        let instance_id = request.group_instance_id.as_ref();
        let id = if request.member_id.is_empty() {
            instance_id.and_then(|instance_id| self.instances.get(instance_id))
        } else {
            Some(&request.member_id)
        };
        let before = id.and_then(|id| self.members.get(id)).map_or(0, Member::said_bytes);
        let said = said_bytes(&caller.client_id, &caller.host, instance_id, &request.protocols);
        said <= before || self.said.bytes() - before + said <= join.settings.max_group_bytes
    }

    fn join_newcomer(
        &mut self,
        join: &Join<'_>,
        outputs: &mut Outputs,
    ) -> Result<(), (ErrorCode, Text)> {
        let instance_id = join.request.group_instance_id.as_ref();
        let named = instance_id.unwrap_or(&join.caller.client_id);
        let id: Text = format!("{named}-{}", join.caller.fresh_id.hyphenated()).into();
        // It is longer than what it is made of: no answer and no record could say it.
        if id.len() > MAX_ID_BYTES {
            return Err((ErrorCode::INVALID_REQUEST, join.request.member_id.clone()));
        }
        let known = instance_id.and_then(|instance_id| self.instances.get(instance_id));
        if let Some(old) = known.cloned() {
            self.replace(join, &old, id, outputs);
        } else if instance_id.is_none() && join.caller.version >= ID_FIRST {
            let at = join.now.instant.plus(millis(join.request.session_timeout_ms));
            self.pending.insert(id.clone(), at);
            self.remind(at);
            return Err((ErrorCode::MEMBER_ID_REQUIRED, id));
        } else {
            self.add(join, id, outputs);
        }
        Ok(())
    }

    /// Takes in someone whom the group does not know.
    fn add(&mut self, join: &Join<'_>, id: Text, outputs: &mut Outputs) {
        if self.members.is_empty() {
            self.protocol_type = Some(join.request.protocol_type.detach());
        }
        self.pending.remove(&id);
        let at = join.now.instant.plus(NEW_MEMBER_TIMEOUT);
        let member = Member {
            instance_id: join.request.group_instance_id.as_ref().map(Text::detach),
            client_id: join.caller.client_id.detach(),
            client_host: join.caller.host.clone(),
            session_timeout: millis(join.request.session_timeout_ms),
            rebalance_timeout: join.rebalance_timeout(),
            protocols: join.protocols(),
            assignment: Bytes::new(),
            joining: None,
            syncing: None,
            is_new: true,
            expires_at: at,
        };
        self.insert(id.clone(), member);
        self.remind(at);
        if let Some(initial) = &mut self.initial {
            initial.someone_came = true;
        }
        self.prepare(join.now, join.settings, outputs);
        self.wait_to_join(join, &id, outputs);
        self.complete_if_joined(join.now, outputs);
    }

    /// A member comes for the next generation.
    fn rejoin(&mut self, join: &Join<'_>, id: &Text, outputs: &mut Outputs) {
        self.update(join, id);
        self.prepare(join.now, join.settings, outputs);
        self.wait_to_join(join, id, outputs);
        self.complete_if_joined(join.now, outputs);
    }

    fn update(&mut self, join: &Join<'_>, id: &Text) {
        if let Some(mut member) = self.take(id) {
            member.protocols = join.protocols();
            member.session_timeout = millis(join.request.session_timeout_ms);
            member.rebalance_timeout = join.rebalance_timeout();
            member.client_id = join.caller.client_id.detach();
            member.client_host = join.caller.host.clone();
            self.put(id.clone(), member);
        }
    }

    /// From here on the member is answered when the generation begins; an older request of its own
    /// is answered now, for nobody waits for it any more.
    fn wait_to_join(&mut self, join: &Join<'_>, id: &Text, outputs: &mut Outputs) {
        if let Some(member) = self.members.get_mut(id)
            && let Some(older) = member.joining.replace(join.ticket)
        {
            let why = refused_join(ErrorCode::REBALANCE_IN_PROGRESS, id.clone());
            answer(older, why, outputs);
        }
    }

    /// Another takes the name of a static member, and with it the place (KIP-345).
    fn replace(&mut self, join: &Join<'_>, old: &Text, id: Text, outputs: &mut Outputs) {
        let Some(mut member) = self.take(old) else {
            unreachable!("a name leads to its member");
        };
        refuse_waiting(&member, old, ErrorCode::FENCED_INSTANCE_ID, outputs);
        let was_leader = self.is_leader(old);
        member.joining = None;
        member.syncing = None;
        member.is_new = false;
        self.put(id.clone(), member);
        if let Some(instance_id) = &join.request.group_instance_id {
            self.instances.insert(instance_id.detach(), id.clone());
        }
        if was_leader {
            self.leader = Some(id.clone());
        }
        self.update(join, &id);
        self.note_alive(join.now, &id);
        let keeps_protocol = self.protocol == self.elect_protocol();
        let assigned = self.members.values().map(|member| member.assignment.len());
        let fits = self.fits(assigned.sum(), join.settings);
        // What it says may be new, as Java's generation in it is: the leader looks at topics.
        if self.state == State::Stable && keeps_protocol && fits {
            self.subscribed = self.read_subscriptions();
            let stored = self.stored(|_, member| member.assignment.clone());
            if let Err(why) = self.record(&stored, outputs) {
                answer(join.ticket, refused_join(why, id), outputs);
                return;
            }
            let skips = join.caller.version >= SKIPS_ASSIGNMENT;
            // An older client that takes itself for the leader would assign for nothing: what a
            // leader assigns to a stable group is not looked at.
            let leader = match (was_leader, skips) {
                (true, false) => Some(old.clone()),
                _ => self.leader.clone(),
            };
            let mut response = self.welcome(&id);
            response.skip_assignment = was_leader && skips;
            response.leader = leader.unwrap_or_default();
            if !response.skip_assignment {
                response.members = Vec::new();
            }
            answer(join.ticket, Answer::Join(response), outputs);
        } else {
            self.prepare(join.now, join.settings, outputs);
            self.wait_to_join(join, &id, outputs);
            self.complete_if_joined(join.now, outputs);
        }
    }

    /// Begins to gather the members of the next generation, if that is not under way.
    pub(super) fn prepare(&mut self, now: Now, settings: &Settings, outputs: &mut Outputs) {
        if self.state == State::PreparingRebalance {
            return;
        }
        if self.state == State::CompletingRebalance {
            for member in self.members.values_mut() {
                member.assignment = Bytes::new();
                if let Some(ticket) = member.syncing.take() {
                    let why = refused_sync(ErrorCode::REBALANCE_IN_PROGRESS);
                    answer(ticket, why, outputs);
                }
            }
            let ids: Vec<Text> = self.members.keys().cloned().collect();
            ids.iter().for_each(|id| self.note_alive(now, id));
        }
        self.sync_ends_at = None;
        let was_empty = self.state == State::Empty;
        self.enter(State::PreparingRebalance, now);
        let delay = settings.initial_rebalance_delay;
        let patience = self.rebalance_timeout();
        let ends_at = if was_empty && !delay.is_zero() {
            let latest_at = now.instant.plus(patience.max(delay));
            self.initial = Some(Initial { latest_at, someone_came: false });
            now.instant.plus(delay)
        } else {
            now.instant.plus(patience)
        };
        self.join_ends_at = Some(ends_at);
        self.remind(ends_at);
    }

    /// Begins the generation if everyone is there and nobody else is waited for.
    pub(super) fn complete_if_joined(&mut self, now: Now, outputs: &mut Outputs) {
        let gathers = self.state == State::PreparingRebalance && self.initial.is_none();
        if gathers && self.has_everyone_joined() {
            self.complete_join(now, outputs);
        }
    }

    /// The time to join is over.
    pub(super) fn join_time_is_over(
        &mut self,
        now: Now,
        settings: &Settings,
        outputs: &mut Outputs,
    ) {
        if let Some(initial) = &mut self.initial
            && initial.someone_came
            && now.instant < initial.latest_at
        {
            initial.someone_came = false;
            let delay = now.instant.plus(settings.initial_rebalance_delay);
            let ends_at = delay.min(initial.latest_at);
            self.join_ends_at = Some(ends_at);
            self.remind(ends_at);
            return;
        }
        self.complete_join(now, outputs);
    }

    /// Begins a generation of those who have joined. Static members stay; others go.
    fn complete_join(&mut self, now: Now, outputs: &mut Outputs) {
        self.initial = None;
        let missing = self
            .members
            .iter()
            .filter(|(_, member)| member.joining.is_none() && member.instance_id.is_none());
        let missing: Vec<Text> = missing.map(|(id, _)| id.clone()).collect();
        for id in missing {
            self.remove(&id, ErrorCode::UNKNOWN_MEMBER_ID, outputs);
        }
        if !self.elect_joined_leader() && !self.members.is_empty() {
            // Only static members are left, and none of them came: they have another chance.
            let ends_at = now.instant.plus(self.rebalance_timeout());
            self.join_ends_at = Some(ends_at);
            self.remind(ends_at);
            return;
        }
        self.join_ends_at = None;
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        if self.members.is_empty() {
            self.become_empty(now, outputs);
            return;
        }
        self.protocol = self.elect_protocol();
        self.subscribed = self.read_subscriptions();
        self.enter(State::CompletingRebalance, now);
        self.record_generation(outputs);
        let ids: Vec<Text> = self.members.keys().cloned().collect();
        for id in &ids {
            let Some(member) = self.members.get_mut(id) else { continue };
            let joining = member.joining.take();
            member.is_new = false;
            if let Some(ticket) = joining {
                answer(ticket, Answer::Join(self.welcome(id)), outputs);
            }
            self.note_alive(now, id);
        }
        let ends_at = now.instant.plus(self.rebalance_timeout());
        self.sync_ends_at = Some(ends_at);
        self.remind(ends_at);
    }

    /// The last member is gone.
    fn become_empty(&mut self, now: Now, outputs: &mut Outputs) {
        self.protocol = None;
        self.leader = None;
        self.subscribed = self.is_of_consumers().then(Default::default);
        self.enter(State::Empty, now);
        let stored = self.stored(|_, _| Bytes::new());
        // Nobody is left who could be told.
        let _ = self.record(&stored, outputs);
    }

    /// Makes sure that the leader has joined; false where nobody has.
    fn elect_joined_leader(&mut self) -> bool {
        let has_joined = |id: &Text| self.members.get(id).is_some_and(|m| m.joining.is_some());
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let joined = self.members.iter().find(|(_, member)| member.joining.is_some());
        match joined.map(|(id, _)| id.clone()) {
            Some(id) => {
                self.leader = Some(id);
                true
            }
            None => false,
        }
    }

    /// The answer was lost: the member is told again of the generation it is in.
    fn welcome_again(&mut self, join: &Join<'_>, id: &Text, outputs: &mut Outputs) {
        self.update(join, id);
        self.note_alive(join.now, id);
        let response = self.welcome(id);
        answer(join.ticket, Answer::Join(response), outputs);
    }

    /// The generation, as a member is told of it; its leader is told of everyone.
    fn welcome(&self, id: &Text) -> JoinGroupResponse {
        let protocol = self.protocol.clone().unwrap_or_default();
        let everyone = self.members.iter().filter(|_| self.is_leader(id));
        JoinGroupResponse {
            generation_id: self.generation,
            protocol_type: self.protocol_type.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: id.clone(),
            members: everyone
                .map(|(id, member)| JoinGroupResponseMember {
                    member_id: id.clone(),
                    group_instance_id: member.instance_id.clone(),
                    metadata: member.metadata(&protocol),
                })
                .collect(),
            protocol_name: Some(protocol),
            ..Default::default()
        }
    }
}

impl Join<'_> {
    /// Before version 1 one timeout served for both.
    fn rebalance_timeout(&self) -> Duration {
        match self.request.rebalance_timeout_ms {
            unknown if unknown < 0 => millis(self.request.session_timeout_ms),
            known => millis(known),
        }
    }

    /// The protocols in memory of their own: the request's frame must not live as long as a member.
    fn protocols(&self) -> Vec<JoinGroupRequestProtocol> {
        let own = |protocol: &JoinGroupRequestProtocol| JoinGroupRequestProtocol {
            name: protocol.name.detach(),
            metadata: Bytes::copy_from_slice(&protocol.metadata),
        };
        self.request.protocols.iter().map(own).collect()
    }
}
