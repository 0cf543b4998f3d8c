//! Members of the classic protocol in a consumer group (fact N14).
//!
//! A generation is a member's epoch. Whoever shall go on to the next, or give up partitions, is
//! told with its heartbeat that a rebalance is in progress, joins again, says in its subscription
//! what it owns, and is given with SyncGroup what it has then. Nobody leads, and nobody waits for
//! anyone else.

use std::collections::BTreeSet;
use std::time::Duration;

use milena_protocol::api::consumer_group_heartbeat::ConsumerGroupHeartbeatTopicPartitions;
use milena_protocol::api::heartbeat::HeartbeatRequest;
use milena_protocol::api::join_group::{JoinGroupRequest, JoinGroupResponse};
use milena_protocol::api::leave_group::{LeaveGroupMember, LeaveGroupMemberResponse};
use milena_protocol::api::sync_group::{SyncGroupRequest, SyncGroupResponse};
use milena_protocol::codec::Text;
use milena_protocol::consumer_protocol::ConsumerProtocolSubscription;
use milena_protocol::error_code::ErrorCode;

use super::group::Group;
use super::heartbeat::{Asked, Decision, Found, MAX_KEY_TEXT, Refused};
use super::member::{ClassicMember, ClassicProtocol, Member, MemberState};
use super::migrate::{subscription, written_assignment};
use super::plan::Scene;
use super::rules::Rules;
use super::settings::{Migration, Settings};
use crate::coordinator::Record;
use crate::group::request::Caller;
use crate::metadata::image::MetadataImage;
use crate::time::Now;

/// The type of protocol that consumers speak.
const CONSUMER: &str = "consumer";
/// The first version of JoinGroup that hands out an id before it takes anyone in (KIP-394).
const HANDS_OUT_IDS: i16 = 4;

impl<R: Rules> Group<R> {
    /// Decides on a JoinGroup. Only times change before the records are replayed.
    ///
    /// # Errors
    /// INCONSISTENT_GROUP_PROTOCOL (23), GROUP_MAX_SIZE_REACHED (81), MEMBER_ID_REQUIRED (79) with
    /// the id in the answer, UNKNOWN_MEMBER_ID (25), FENCED_INSTANCE_ID (82).
    pub fn join_classic(
        &mut self,
        now: Now,
        caller: &Caller,
        request: &JoinGroupRequest,
        topics: &MetadataImage,
        settings: &Settings,
    ) -> Decision<JoinGroupResponse> {
        let scene = Scene { now, topics, settings };
        match self.try_join(&scene, caller, request) {
            Ok((records, answer)) => Decision { records, answer: Ok(answer) },
            Err(refused) => Decision { records: Vec::new(), answer: Err(refused) },
        }
    }

    fn try_join(
        &mut self,
        scene: &Scene<'_>,
        caller: &Caller,
        request: &JoinGroupRequest,
    ) -> Result<(Vec<Record>, JoinGroupResponse), Refused> {
        let is_nameless = request.member_id.is_empty();
        let id: Text = if is_nameless {
            caller.fresh_id.to_string().into()
        } else {
            request.member_id.detach()
        };
        self.check_room(&id, scene.settings)?;
        let said = self.check_protocols(request, scene.settings)?;
        if id.len() > MAX_KEY_TEXT {
            let message = "MemberId can't be longer than 32767 bytes.";
            return Err(Refused::new(ErrorCode::INVALID_REQUEST, message));
        }
        if is_nameless && request.group_instance_id.is_none() && caller.version >= HANDS_OUT_IDS {
            let answer = JoinGroupResponse {
                error_code: ErrorCode::MEMBER_ID_REQUIRED,
                member_id: id,
                ..Default::default()
            };
            return Ok((Vec::new(), answer));
        }
        let found = self.find_classic(id, is_nameless, request)?;
        // Whoever was let go and does not know yet must give up what it reads first, as it must in
        // a classic group.
        let is_unknown = found.replaced.is_none() && !self.members.contains_key(&found.before.id);
        let owns_some = said.owned_partitions.iter().any(|owned| !owned.partitions.is_empty());
        if is_unknown && owns_some {
            return Err(self.unknown_member(&found.before.id));
        }
        let updated = told(&found.before, caller, request, &said);
        let reported: Vec<ConsumerGroupHeartbeatTopicPartitions> = said
            .owned_partitions
            .iter()
            .filter_map(|owned| {
                let topic_id = scene.topics.topic(&owned.topic)?.id();
                let partitions = owned.partitions.clone();
                Some(ConsumerGroupHeartbeatTopicPartitions { topic_id, partitions })
            })
            .collect();
        let asked = Asked { epoch: None, reported: Some(&reported) };
        let admitted = self.admit(scene, &found, &updated, &asked)?;
        // It has joined, and must ask for its part next.
        self.note_classic_step(&updated.id);
        self.await_classic_step(scene.now, &admitted.member);
        let protocol = request.protocols.first().map(|protocol| protocol.name.clone());
        let answer = JoinGroupResponse {
            generation_id: admitted.member.epoch,
            protocol_type: Some(CONSUMER.into()),
            protocol_name: protocol,
            member_id: admitted.member.id,
            ..Default::default()
        };
        Ok((admitted.records, answer))
    }

    fn check_protocols(
        &self,
        request: &JoinGroupRequest,
        settings: &Settings,
    ) -> Result<ConsumerProtocolSubscription, Refused> {
        let refuse =
            |message: String| Refused::new(ErrorCode::INCONSISTENT_GROUP_PROTOCOL, message);
        if settings.migration == Migration::Disabled {
            return Err(refuse(format!(
                "Cannot join the consumer group {} with the classic protocol because the group \
                 migration is disabled.",
                self.id
            )));
        }
        let mut protocols = request.protocols.iter();
        let fits = protocols.any(|protocol| self.interest.is_common(&protocol.name));
        if request.protocol_type != *CONSUMER || !fits {
            let id = &request.member_id;
            return Err(refuse(format!("Member {id}'s protocols are not supported.")));
        }
        let said = request.protocols.first().and_then(|it| subscription(&it.metadata));
        said.ok_or_else(|| refuse("the subscription is none of a consumer".to_owned()))
    }

    fn find_classic(
        &self,
        id: Text,
        is_nameless: bool,
        request: &JoinGroupRequest,
    ) -> Result<Found, Refused> {
        let found = |before: Member| Found { before, replaced: None };
        let Some(instance_id) = &request.group_instance_id else {
            let known = self.members.get(&id).cloned();
            return Ok(found(known.unwrap_or_else(|| Member::new(id))));
        };
        if !is_nameless {
            return Ok(found(self.static_member(instance_id, &id)?.clone()));
        }
        Ok(match self.member_of_instance(instance_id) {
            None => found(Member::new(id)),
            Some(old) => Found {
                before: Member { id, epoch: 0, previous_epoch: 0, ..old.clone() },
                replaced: Some(old.id.clone()),
            },
        })
    }

    /// Answers a SyncGroup with what the member has.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID (25), FENCED_INSTANCE_ID (82), ILLEGAL_GENERATION (22),
    /// INCONSISTENT_GROUP_PROTOCOL (23), REBALANCE_IN_PROGRESS (27).
    pub fn sync_classic(
        &mut self,
        now: Now,
        request: &SyncGroupRequest,
        topics: &MetadataImage,
        settings: &Settings,
    ) -> Result<SyncGroupResponse, ErrorCode> {
        let instance_id = request.group_instance_id.as_ref();
        let member = self.classic_member(&request.member_id, instance_id, request.generation_id)?;
        let name = member.classic.as_ref().and_then(|it| it.protocols.first()).map(|it| &it.name);
        let other_type = request.protocol_type.as_ref().is_some_and(|it| *it != *CONSUMER);
        let other_name = request.protocol_name.is_some() && request.protocol_name.as_ref() != name;
        if other_type || other_name {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        let member = member.clone();
        let is_behind = member.epoch < self.assignment_epoch;
        if is_behind && member.state != MemberState::UnrevokedPartitions {
            self.await_classic_step(now, &member);
            return Err(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        let answer = SyncGroupResponse {
            protocol_type: request.protocol_type.clone(),
            protocol_name: request.protocol_name.clone(),
            assignment: written_assignment(&member, topics),
            ..Default::default()
        };
        self.note_classic_step(&member.id);
        self.extend_session(now, &member, settings);
        Ok(answer)
    }

    /// Notes that a member lives, and says whether it shall join again.
    pub fn heartbeat_classic(
        &mut self,
        now: Now,
        request: &HeartbeatRequest,
        settings: &Settings,
    ) -> ErrorCode {
        let instance_id = request.group_instance_id.as_ref();
        let found = self.classic_member(&request.member_id, instance_id, request.generation_id);
        let member = match found {
            Ok(member) => member.clone(),
            Err(code) => return code,
        };
        self.extend_session(now, &member, settings);
        let shall_join = member.epoch < self.assignment_epoch
            || match member.state {
                MemberState::UnrevokedPartitions => true,
                MemberState::UnreleasedPartitions => self.is_everything_released_for(&member),
                _ => false,
            };
        if !shall_join {
            return ErrorCode::NONE;
        }
        self.await_classic_step(now, &member);
        ErrorCode::REBALANCE_IN_PROGRESS
    }

    /// Whether nothing that the member waits for is somebody else's any more.
    fn is_everything_released_for(&self, member: &Member) -> bool {
        let target = self.targets.get(&member.id).into_iter().flatten();
        let mut partitions =
            target.flat_map(|(topic, indexes)| indexes.iter().map(move |index| (*topic, *index)));
        partitions
            .all(|(topic, index)| self.owner(topic, index).is_none_or(|owner| *owner == member.id))
    }

    fn classic_member(
        &self,
        id: &Text,
        instance_id: Option<&Text>,
        generation: i32,
    ) -> Result<&Member, ErrorCode> {
        let member = match instance_id {
            Some(instance_id) => {
                self.static_member(instance_id, id).map_err(|refused| refused.code)?
            }
            None => self.members.get(id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?,
        };
        if member.classic.is_none() {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        if member.epoch != generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        Ok(member)
    }

    /// Lets members of either protocol go, as an administrator may ask for both; what becomes of
    /// each stands in their order.
    pub fn leave_classic(
        &mut self,
        now: Now,
        leaving: &[LeaveGroupMember],
        topics: &MetadataImage,
        settings: &Settings,
    ) -> (Vec<Record>, Vec<LeaveGroupMemberResponse>) {
        let mut gone: BTreeSet<Text> = BTreeSet::new();
        let mut answers = Vec::with_capacity(leaving.len());
        for leaver in leaving {
            let found = self.leaver(leaver);
            // Whoever is named twice has gone the first time.
            let found = found.and_then(|id| {
                if gone.contains(&id) { Err(ErrorCode::UNKNOWN_MEMBER_ID) } else { Ok(id) }
            });
            // As it was asked: that is how the client finds its answer.
            answers.push(LeaveGroupMemberResponse {
                member_id: leaver.member_id.clone(),
                group_instance_id: leaver.group_instance_id.clone(),
                error_code: found.as_ref().err().copied().unwrap_or(ErrorCode::NONE),
            });
            gone.extend(found);
        }
        if gone.is_empty() {
            return (Vec::new(), answers);
        }
        let scene = Scene { now, topics, settings };
        (self.let_go(&scene, gone.iter().collect()), answers)
    }

    /// Who leaves. A static member may be named without its id: an administrator removes it then.
    fn leaver(&self, leaver: &LeaveGroupMember) -> Result<Text, ErrorCode> {
        let member = match &leaver.group_instance_id {
            None => self.members.get(&leaver.member_id),
            Some(instance_id) if leaver.member_id.is_empty() => {
                self.member_of_instance(instance_id)
            }
            Some(instance_id) => Some(
                self.static_member(instance_id, &leaver.member_id)
                    .map_err(|refused| refused.code)?,
            ),
        };
        member.map(|member| member.id.clone()).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)
    }
}

/// The member with what it says of itself in this request.
fn told(
    before: &Member,
    caller: &Caller,
    request: &JoinGroupRequest,
    said: &ConsumerProtocolSubscription,
) -> Member {
    let instance_id = request.group_instance_id.as_ref().map(Text::detach);
    let protocols = request.protocols.iter().map(|protocol| ClassicProtocol {
        name: protocol.name.detach(),
        metadata: bytes::Bytes::copy_from_slice(&protocol.metadata),
    });
    let session_timeout = u64::try_from(request.session_timeout_ms).unwrap_or(0);
    Member {
        instance_id: instance_id.or_else(|| before.instance_id.clone()),
        rack_id: said.rack_id.as_ref().map(Text::detach).or_else(|| before.rack_id.clone()),
        client_id: caller.client_id.detach(),
        client_host: caller.host.detach(),
        topics: said.topics.iter().map(Text::detach).collect(),
        expression: None,
        rebalance_timeout_ms: match request.rebalance_timeout_ms {
            -1 => request.session_timeout_ms,
            said => said,
        },
        assignor: None,
        classic: Some(ClassicMember {
            session_timeout: Duration::from_millis(session_timeout),
            protocols: protocols.collect(),
        }),
        ..before.clone()
    }
}
