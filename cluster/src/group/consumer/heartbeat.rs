//! ConsumerGroupHeartbeat: a member joins, reports, or leaves (facts N1–N15).

use milena_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatAssignment, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse, ConsumerGroupHeartbeatResponseTopicPartitions,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{PartitionIndex, Uuid};

use super::group::Group;
use super::member::{LEAVES, LEFT_FOR_A_WHILE, Member, MemberState, Owned};
use super::plan::{Change, Plan, Scene};
use super::reconcile::{Aim, Reported, owns_only};
use super::record::Records;
use super::rules::Rules;
use super::settings::Settings;
use super::{expression, topics};
use crate::coordinator::Record;
use crate::group::assignor::{Kind, Partitions};
use crate::group::request::Caller;
use crate::metadata::image::MetadataImage;
use crate::time::Now;

/// The first version in which a member makes its own id.
const MEMBERS_NAME_THEMSELVES: i16 = 1;

/// Why something was refused: a code, and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The code.
    pub code: ErrorCode,
    /// What is wrong.
    pub message: String,
}

impl Refused {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The answer to a heartbeat that is refused.
    #[must_use]
    pub fn to_response(&self) -> ConsumerGroupHeartbeatResponse {
        ConsumerGroupHeartbeatResponse {
            error_code: self.code,
            error_message: Some(self.message.as_str().into()),
            ..Default::default()
        }
    }
}

/// What follows from a request.
#[derive(Clone, Debug)]
pub struct Decision<A> {
    /// To be appended as one atomic batch and replayed before anything else is asked; none where
    /// nothing changes, and none where it is refused.
    pub records: Vec<Record>,
    /// To be answered once they are committed.
    pub answer: Result<A, Refused>,
}

impl<R: Rules> Group<R> {
    /// Decides on a heartbeat. Only times change before the records are replayed.
    ///
    /// # Errors
    /// INVALID_REQUEST (42) for what contradicts itself, UNSUPPORTED_ASSIGNOR (112),
    /// INVALID_REGULAR_EXPRESSION (128), GROUP_ID_NOT_FOUND (69) where there is no group to
    /// heartbeat in, UNKNOWN_MEMBER_ID (25), FENCED_MEMBER_EPOCH (110), FENCED_INSTANCE_ID (82),
    /// UNRELEASED_INSTANCE_ID (111), GROUP_MAX_SIZE_REACHED (81).
    pub fn heartbeat(
        &mut self,
        now: Now,
        caller: &Caller,
        request: &ConsumerGroupHeartbeatRequest,
        topics: &MetadataImage,
        settings: &Settings,
    ) -> Decision<ConsumerGroupHeartbeatResponse> {
        let scene = Scene { now, topics, settings };
        let decided = check(caller, request, settings).and_then(|()| match request.member_epoch {
            LEAVES | LEFT_FOR_A_WHILE => self.leave(&scene, request),
            _ => self.report(&scene, caller, request),
        });
        match decided {
            Ok((records, answer)) => Decision { records, answer: Ok(answer) },
            Err(refused) => Decision { records: Vec::new(), answer: Err(refused) },
        }
    }

    fn report(
        &mut self,
        scene: &Scene<'_>,
        caller: &Caller,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<(Vec<Record>, ConsumerGroupHeartbeatResponse), Refused> {
        let joins = request.member_epoch == 0;
        if !joins && !self.is_recorded() {
            return Err(self.not_found());
        }
        if let Some(answer) = self.quiet(scene, caller, request) {
            return Ok((Vec::new(), answer));
        }
        self.check_room(&request.member_id, scene.settings)?;
        let found = self.find(caller, request)?;
        let updated = told(&found.before, caller, request);
        self.check_expression(&updated)?;
        let asked = Asked {
            epoch: Some(request.member_epoch),
            reported: request.topic_partitions.as_deref(),
        };
        let admitted = self.admit(scene, &found, &updated, &asked)?;
        let answer = self.answer(scene, &found.before, &admitted, request);
        Ok((admitted.records, answer))
    }

    /// The answer to a member that has everything, says nothing new, and in whose group nothing is
    /// to be done. It is what most heartbeats get, so it must cost next to nothing.
    fn quiet(
        &mut self,
        scene: &Scene<'_>,
        caller: &Caller,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Option<ConsumerGroupHeartbeatResponse> {
        let member = self.members.get(&request.member_id)?;
        let says_nothing = request.subscribed_topic_names.is_none()
            && request.subscribed_topic_regex.is_none()
            && request.rack_id.is_none()
            && request.server_assignor.is_none()
            && request.rebalance_timeout_ms == -1
            && (request.instance_id.is_none() || request.instance_id == member.instance_id);
        let is_same = member.classic.is_none()
            && member.client_id == caller.client_id
            && member.client_host == caller.host;
        let has_everything =
            request.member_epoch == member.epoch && member.is_reconciled_to(self.assignment_epoch);
        if !(says_nothing && is_same && has_everything) || self.wants_plan(scene) {
            return None;
        }
        let is_settled = member.epoch == self.epoch;
        let member_id = member.id.clone();
        let (now, count) = (scene.now, self.members.len());
        let interval =
            self.soft.pace.heartbeat_interval(now.instant, count, is_settled, scene.settings);
        self.extend_session_of(now, &member_id, scene.settings.session_timeout);
        Some(ConsumerGroupHeartbeatResponse {
            member_id: Some(member_id),
            member_epoch: request.member_epoch,
            heartbeat_interval_ms: i32::try_from(interval.as_millis()).unwrap_or(i32::MAX),
            ..Default::default()
        })
    }

    /// Takes a member into the group, or what it says of itself, and lets it go one step further
    /// on its way to the target.
    pub(super) fn admit(
        &mut self,
        scene: &Scene<'_>,
        found: &Found,
        updated: &Member,
        asked: &Asked<'_>,
    ) -> Result<Admitted, Refused> {
        let Found { before, replaced } = found;
        let group_id = self.id.clone();
        if !updated.says_the_same_as(before) || !self.members.contains_key(&before.id) {
            self.check_bytes(updated, replaced.as_ref().unwrap_or(&before.id), scene.settings)?;
        }
        let mut records = Records::new(&group_id);
        if let Some(old) = replaced {
            let target = self.targets.get(old).cloned().unwrap_or_default();
            records.without_member(old);
            records.member(before);
            records.target(&before.id, Some(&target));
            records.current(before);
        }
        let is_new = replaced.is_none() && !self.members.contains_key(&before.id);
        if is_new || !updated.says_the_same_as(before) {
            records.member(updated);
        }
        let has_new_subscription = !updated.subscribes_like(before);
        let change = Change {
            updated: Some(updated),
            replaced: replaced.as_ref(),
            must_grow: has_new_subscription,
            ..Change::default()
        };
        let plan = if has_new_subscription || self.epoch == 0 || self.wants_plan(scene) {
            self.plan(scene, &change, &mut records)
        } else {
            self.unchanged()
        };
        let member = self.step(scene, &plan, &change, asked, has_new_subscription)?;
        if !member.stands_like(before) {
            records.current(&member);
        }
        self.note(scene, &plan);
        self.note_member(scene.now, before, &member, scene.settings);
        Ok(Admitted { records: records.list, plan, member })
    }

    /// The member one step further on its way to the target.
    fn step(
        &self,
        scene: &Scene<'_>,
        plan: &Plan,
        change: &Change<'_>,
        asked: &Asked<'_>,
        has_new_subscription: bool,
    ) -> Result<Member, Refused> {
        let updated = change.updated.expect("somebody asks");
        let reported = asked.reported;
        if matches!(updated.state, MemberState::Unknown(_))
            && reported.is_none_or(|it| !it.is_empty())
        {
            let message = "the member stands where this version does not know the way on";
            return Err(Refused::new(ErrorCode::FENCED_MEMBER_EPOCH, message));
        }
        let nothing = Partitions::new();
        let planned = plan.assignment.as_ref().and_then(|it| it.get(&updated.id));
        let target = planned.or_else(|| self.target_after(&updated.id, change)).unwrap_or(&nothing);
        if updated.is_reconciled_to(plan.assignment_epoch) && !has_new_subscription {
            return Ok(updated.clone());
        }
        let subscribed = topics::subscribed(updated, &plan.expressions, scene.topics);
        let aim = Aim {
            epoch: plan.assignment_epoch,
            target,
            subscribed: &subscribed,
            has_new_subscription,
            reported,
        };
        let is_own = |topic: Uuid, partition: PartitionIndex| {
            change.replaced.is_some() && self.owner(topic, partition) == change.replaced
        };
        let mut member = self.reconcile(updated, &aim, is_own);
        // Whoever has not heard of its epoch yet may miss this answer too.
        let is_behind =
            asked.epoch == Some(updated.previous_epoch) && asked.epoch != Some(updated.epoch);
        if is_behind && member.epoch == updated.epoch {
            member.previous_epoch = updated.previous_epoch;
        }
        Ok(member)
    }

    fn answer(
        &self,
        scene: &Scene<'_>,
        before: &Member,
        admitted: &Admitted,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> ConsumerGroupHeartbeatResponse {
        let Admitted { plan, member, .. } = admitted;
        let says_all = request.rebalance_timeout_ms != -1
            && request.topic_partitions.is_some()
            && (request.subscribed_topic_names.is_some()
                || request.subscribed_topic_regex.is_some());
        let has_changed = !same_partitions(&before.assigned, &member.assigned);
        let is_told = request.member_epoch == 0 || says_all || has_changed;
        let is_settled = member.is_reconciled_to(plan.epoch);
        let interval = self.soft.pace.heartbeat_interval(
            scene.now.instant,
            plan.member_count,
            is_settled,
            scene.settings,
        );
        ConsumerGroupHeartbeatResponse {
            member_id: Some(member.id.clone()),
            member_epoch: member.epoch,
            heartbeat_interval_ms: i32::try_from(interval.as_millis()).unwrap_or(i32::MAX),
            assignment: is_told.then(|| assignment(&member.assigned)),
            ..Default::default()
        }
    }

    /// Whether there is room for a member that is not in it yet.
    pub(super) fn check_room(&self, id: &Text, settings: &Settings) -> Result<(), Refused> {
        if self.members.len() < settings.max_size || self.members.contains_key(id) {
            return Ok(());
        }
        let message = format!(
            "The consumer group has reached its maximum capacity of {} members.",
            settings.max_size
        );
        Err(Refused::new(ErrorCode::GROUP_MAX_SIZE_REACHED, message))
    }

    /// Whether all members could be written with what one says in the place of another. Who says no
    /// more than before may always: the bound may have been another then.
    fn check_bytes(&self, said: &Member, place: &Text, settings: &Settings) -> Result<(), Refused> {
        let before = self.members.get(place).map_or(0, Member::said_bytes);
        // Each member has three records, and all have the group's id in their keys.
        let ids = 3 * self.id.len() * (self.members.len() + 1);
        let after = self.interest.bytes() - before + said.said_bytes() + ids;
        if said.said_bytes() <= before || after <= settings.max_bytes {
            return Ok(());
        }
        let message = format!(
            "The members of the consumer group say more than the {} bytes that it may have.",
            settings.max_bytes
        );
        Err(Refused::new(ErrorCode::UNKNOWN_SERVER_ERROR, message))
    }

    fn not_found(&self) -> Refused {
        Refused::new(
            ErrorCode::GROUP_ID_NOT_FOUND,
            format!("Consumer group {} not found.", self.id),
        )
    }

    pub(super) fn unknown_member(&self, id: &Text) -> Refused {
        let message = format!("Member {id} is not a member of group {}.", self.id);
        Refused::new(ErrorCode::UNKNOWN_MEMBER_ID, message)
    }

    fn leave(
        &mut self,
        scene: &Scene<'_>,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<(Vec<Record>, ConsumerGroupHeartbeatResponse), Refused> {
        if !self.is_recorded() {
            return Err(self.not_found());
        }
        let member = match &request.instance_id {
            None => self.members.get(&request.member_id),
            Some(instance_id) => Some(self.static_member(instance_id, &request.member_id)?),
        };
        let member = member.ok_or_else(|| self.unknown_member(&request.member_id))?;
        let answer = ConsumerGroupHeartbeatResponse {
            member_id: Some(request.member_id.clone()),
            member_epoch: request.member_epoch,
            ..Default::default()
        };
        if request.member_epoch == LEFT_FOR_A_WHILE {
            let group_id = self.id.clone();
            let mut records = Records::new(&group_id);
            let pending = Owned::new();
            records.current(&Member { epoch: LEFT_FOR_A_WHILE, pending, ..member.clone() });
            return Ok((records.list, answer));
        }
        let id = member.id.clone();
        Ok((self.let_go(scene, [&id].into_iter().collect()), answer))
    }

    /// Lets members go, and assigns what they had if it is time.
    pub(super) fn let_go(
        &mut self,
        scene: &Scene<'_>,
        gone: std::collections::BTreeSet<&Text>,
    ) -> Vec<Record> {
        let group_id = self.id.clone();
        let mut records = Records::new(&group_id);
        gone.iter().for_each(|id| records.without_member(id));
        let change = Change { gone, must_grow: true, ..Change::default() };
        let plan = self.plan(scene, &change, &mut records);
        self.note(scene, &plan);
        records.list
    }

    /// The static member of a name.
    pub(super) fn static_member(
        &self,
        instance_id: &Text,
        member_id: &Text,
    ) -> Result<&Member, Refused> {
        let Some(member) = self.member_of_instance(instance_id) else {
            let message = format!("Instance id {instance_id} is unknown.");
            return Err(Refused::new(ErrorCode::UNKNOWN_MEMBER_ID, message));
        };
        if member.id != *member_id {
            let message = format!(
                "Static member {member_id} with instance id {instance_id} was fenced by member {}.",
                member.id
            );
            return Err(Refused::new(ErrorCode::FENCED_INSTANCE_ID, message));
        }
        Ok(member)
    }

    pub(super) fn member_of_instance(&self, instance_id: &str) -> Option<&Member> {
        self.members.get(self.instances.get(instance_id)?)
    }

    /// Who asks: a member as it stands, a new one, or one that takes another's place.
    fn find(
        &self,
        caller: &Caller,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<Found, Refused> {
        let joins = request.member_epoch == 0;
        let id = if request.member_id.is_empty() {
            caller.fresh_id.to_string().into()
        } else {
            request.member_id.detach()
        };
        let known = match &request.instance_id {
            Some(instance_id) if joins => match self.member_of_instance(instance_id) {
                Some(old) if old.id != id => return Self::take_over(old, id, instance_id),
                _ => self.members.get(&id),
            },
            Some(instance_id) => Some(self.static_member(instance_id, &id)?),
            None => self.members.get(&id),
        };
        match known {
            Some(member) => {
                check_epoch::<R>(member, request)?;
                Ok(Found { before: member.clone(), replaced: None })
            }
            None if joins => Ok(Found { before: Member::new(id), replaced: None }),
            None => Err(self.unknown_member(&id)),
        }
    }

    /// A static member comes back with another id: it takes over what it had, from the start.
    fn take_over(old: &Member, id: Text, instance_id: &Text) -> Result<Found, Refused> {
        // A member of the classic protocol says no goodbye when it is restarted.
        if old.epoch != LEFT_FOR_A_WHILE && old.classic.is_none() {
            let message = format!(
                "Static member {id} with instance id {instance_id} cannot join the group because \
                 the instance id is owned by {} member.",
                old.id
            );
            return Err(Refused::new(ErrorCode::UNRELEASED_INSTANCE_ID, message));
        }
        let before = Member { id, epoch: 0, previous_epoch: 0, ..old.clone() };
        Ok(Found { before, replaced: Some(old.id.clone()) })
    }

    /// Whether an expression that nobody here has used yet is one.
    fn check_expression(&self, member: &Member) -> Result<(), Refused> {
        let Some(expression) = &member.expression else { return Ok(()) };
        if self.expressions.contains_key(expression) {
            return Ok(());
        }
        let invalid = |why: String| {
            let message = format!(
                "SubscribedTopicRegex `{expression}` is not a valid regular expression: {why}."
            );
            Refused::new(ErrorCode::INVALID_REGULAR_EXPRESSION, message)
        };
        if expression.len() > MAX_KEY_TEXT {
            return Err(invalid("it is too long".to_owned()));
        }
        expression::compile(expression).map(drop).map_err(invalid)
    }

    /// Notes what is not in the log of a plan that is about to be.
    pub(super) fn note(&mut self, scene: &Scene<'_>, plan: &Plan) {
        if plan.hashed.is_some() {
            self.soft.hashed.clone_from(&plan.hashed);
        }
        if !plan.has_news {
            self.soft.compared_with = Some(scene.topics.offset());
        }
        if plan.epoch != self.epoch {
            self.soft.pace.changed(scene.now.instant);
        }
        if plan.assignment.is_some() {
            self.soft.pace.assigned(scene.now.instant, plan.item_count, scene.settings);
        }
    }
}

/// The member that asks, as it stood before.
#[derive(Debug)]
pub(super) struct Found {
    pub before: Member,
    /// The member whose place it takes.
    pub replaced: Option<Text>,
}

/// How a member asks for the way on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// The epoch that it knows of; none where its protocol has none to say.
    pub epoch: Option<i32>,
    /// What it says it owns.
    pub reported: Reported<'a>,
}

/// What becomes of a member that asks.
#[derive(Debug)]
pub(super) struct Admitted {
    pub records: Vec<Record>,
    pub plan: Plan,
    pub member: Member,
}

/// What of a text fits into a record's key.
pub(super) const MAX_KEY_TEXT: usize = i16::MAX as usize;

fn check(
    caller: &Caller,
    request: &ConsumerGroupHeartbeatRequest,
    settings: &Settings,
) -> Result<(), Refused> {
    let invalid = |message: &str| Err(Refused::new(ErrorCode::INVALID_REQUEST, message));
    let is_blank = |text: &Text| text.trim().is_empty();
    let epoch = request.member_epoch;
    let needs_id = caller.version >= MEMBERS_NAME_THEMSELVES || epoch > 0 || epoch == LEAVES;
    if needs_id && is_blank(&request.member_id) {
        return invalid("MemberId can't be empty.");
    }
    if is_blank(&request.group_id) {
        return invalid("GroupId can't be empty.");
    }
    if request.instance_id.as_ref().is_some_and(is_blank) {
        return invalid("InstanceId can't be empty.");
    }
    if request.rack_id.as_ref().is_some_and(is_blank) {
        return invalid("RackId can't be empty.");
    }
    if request.group_id.len().max(request.member_id.len()) > MAX_KEY_TEXT {
        return invalid("GroupId and MemberId can't be longer than 32767 bytes.");
    }
    if epoch == 0 {
        if request.rebalance_timeout_ms == -1 {
            return invalid("RebalanceTimeoutMs must be provided in first request.");
        }
        if request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) {
            return invalid("TopicPartitions must be empty when (re-)joining.");
        }
        let regex = &request.subscribed_topic_regex;
        if request.subscribed_topic_names.is_none() && regex.is_none() {
            return invalid(
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when \
                 (re-)joining.",
            );
        }
    } else if epoch == LEFT_FOR_A_WHILE && request.instance_id.is_none() {
        return invalid("InstanceId can't be null.");
    } else if epoch < LEFT_FOR_A_WHILE {
        return invalid("MemberEpoch is invalid.");
    }
    match &request.server_assignor {
        Some(name) if !is_supported(name, settings) => {
            let names: Vec<&str> = settings.assignors.iter().map(|kind| kind.name()).collect();
            let message = format!(
                "ServerAssignor {name} is not supported. Supported assignors: {}.",
                names.join(", ")
            );
            Err(Refused::new(ErrorCode::UNSUPPORTED_ASSIGNOR, message))
        }
        _ => Ok(()),
    }
}

fn is_supported(name: &str, settings: &Settings) -> bool {
    Kind::of_name(name).is_some_and(|kind| settings.assignors.contains(&kind))
}

fn check_epoch<R: Rules>(
    member: &Member,
    request: &ConsumerGroupHeartbeatRequest,
) -> Result<(), Refused> {
    let received = request.member_epoch;
    let fenced = |compared: &str| {
        let message = format!(
            "The consumer group member has a {compared} member epoch ({received}) than the one \
             known by the group coordinator ({}). The member must abandon all its partitions and \
             rejoin.",
            member.epoch
        );
        Err(Refused::new(ErrorCode::FENCED_MEMBER_EPOCH, message))
    };
    // Whoever joins owns nothing, whatever it was before.
    if received == 0 || received == member.epoch {
        return Ok(());
    }
    if received > member.epoch {
        return fenced("greater");
    }
    let owns_only = owns_only(request.topic_partitions.as_deref(), &member.assigned);
    if R::may_catch_up(received, member.previous_epoch, owns_only) {
        Ok(())
    } else {
        fenced("smaller")
    }
}

/// The member with what it says of itself in this request; what it leaves out stays.
fn told(before: &Member, caller: &Caller, request: &ConsumerGroupHeartbeatRequest) -> Member {
    let or_before = |said: &Option<Text>, before: &Option<Text>| {
        said.as_ref().map(Text::detach).or_else(|| before.clone())
    };
    let names = request.subscribed_topic_names.as_ref();
    let topics = match names {
        Some(names) => names.iter().map(Text::detach).collect(),
        None => before.topics.clone(),
    };
    let rebalance_timeout_ms = match request.rebalance_timeout_ms {
        -1 => before.rebalance_timeout_ms,
        said => said,
    };
    Member {
        instance_id: or_before(&request.instance_id, &before.instance_id),
        rack_id: or_before(&request.rack_id, &before.rack_id),
        client_id: caller.client_id.detach(),
        client_host: caller.host.detach(),
        topics,
        expression: or_before(&request.subscribed_topic_regex, &before.expression)
            .filter(|expression| !expression.is_empty()),
        rebalance_timeout_ms,
        assignor: or_before(&request.server_assignor, &before.assignor),
        classic: None,
        ..before.clone()
    }
}

fn same_partitions(one: &Owned, other: &Owned) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|((topic, partitions), (other_topic, others))| {
            topic == other_topic && partitions.keys().eq(others.keys())
        })
}

fn assignment(owned: &Owned) -> ConsumerGroupHeartbeatAssignment {
    let topic_partitions = owned
        .iter()
        .map(|(topic_id, partitions)| ConsumerGroupHeartbeatResponseTopicPartitions {
            topic_id: *topic_id,
            partitions: partitions.keys().copied().collect(),
        })
        .collect();
    ConsumerGroupHeartbeatAssignment { topic_partitions }
}
