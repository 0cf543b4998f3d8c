//! Groups as operators see them: describe, list, delete, and what expires by itself.

use milena_protocol::api::delete_groups::DeleteGroupsResult;
use milena_protocol::api::describe_groups::DescribeGroupsGroup;
use milena_protocol::api::list_groups::ListGroupsGroup;
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, Uuid};

use super::classic::State;
use super::coordinator::{Coordinator, Outputs};
use super::held::Group;
use super::offsets::{Committed, Place};
use super::record;
use super::request::{Answer, Caller};
use crate::coordinator::{Append, OnFailure, Output, Record, Ticket};
use crate::time::Now;

/// From this version on a group that is not there is an error (KIP-1043).
const NAMES_MISSING_GROUPS: i16 = 6;
/// Records that are written together when groups or offsets expire.
const MAX_EXPIRED: usize = 1000;

const CLASSIC: &str = "classic";
const CONSUMER: &str = "consumer";
/// The type of protocol of all consumer groups.
static CONSUMER_PROTOCOL: Text = Text::from_static(CONSUMER);

impl Coordinator {
    pub(super) fn describe(&self, caller: &Caller, id: Text) -> DescribeGroupsGroup {
        if let Some(Group::Classic(group)) = self.groups.get(&id) {
            return group.describe();
        }
        if self.groups.get(&id).is_none() && self.offsets.has_any(&id) {
            let group_state = State::Empty.name().into();
            return DescribeGroupsGroup { group_id: id, group_state, ..Default::default() };
        }
        let names_it = caller.version >= NAMES_MISSING_GROUPS;
        DescribeGroupsGroup {
            error_code: if names_it { ErrorCode::GROUP_ID_NOT_FOUND } else { ErrorCode::NONE },
            error_message: names_it.then(|| format!("Group {id} not found.").into()),
            group_id: id,
            group_state: "Dead".into(),
            ..Default::default()
        }
    }

    pub(super) fn list(&self, states: &[Text], types: &[Text]) -> Vec<ListGroupsGroup> {
        let wanted = |wanted: &[Text], name: &str| {
            wanted.is_empty() || wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        let simple = self.offsets.groups().filter(|id| self.groups.get(id).is_none());
        let simple = simple.map(|id| (id, State::Empty.name(), None, CLASSIC));
        let groups = self.groups.iter().map(|(id, group)| match group {
            Group::Classic(known) => (id, group.state_name(), known.protocol_type(), CLASSIC),
            Group::Consumer(_) => (id, group.state_name(), Some(&CONSUMER_PROTOCOL), CONSUMER),
        });
        groups
            .chain(simple)
            .filter(|(_, state, _, kind)| wanted(states, state) && wanted(types, kind))
            .map(|(id, state, protocol_type, kind)| ListGroupsGroup {
                group_id: id.clone(),
                protocol_type: protocol_type.cloned().unwrap_or_default(),
                group_state: state.into(),
                group_type: kind.into(),
            })
            .collect()
    }

    pub(super) fn delete(&mut self, ticket: Ticket, id: Text, outputs: &mut Outputs) {
        let group_id = id.clone();
        let error_code = self.try_delete(&id, outputs).err().unwrap_or(ErrorCode::NONE);
        let result = DeleteGroupsResult { group_id, error_code };
        outputs.push(Output::Answer(ticket, Answer::Delete(result)));
    }

    fn try_delete(&mut self, id: &Text, outputs: &mut Outputs) -> Result<(), ErrorCode> {
        match self.groups.get(id) {
            Some(group) if !group.is_deserted() => return Err(ErrorCode::NON_EMPTY_GROUP),
            Some(_) => {}
            None if self.offsets.has_any(id) => {}
            None => return Err(ErrorCode::GROUP_ID_NOT_FOUND),
        }
        let places: Vec<Place> =
            self.offsets.of_group(id).map(|(place, _)| place.clone()).collect();
        let mut records = self.without(id, &places);
        records.extend(self.without_group(id));
        forget(records, outputs);
        Ok(())
    }

    /// Forgets what was committed for topics that there are no more.
    pub(super) fn forget_topics(&self, topics: &[Text], outputs: &mut Outputs) {
        self.forget_where(|place, _| topics.contains(&place.0), outputs);
    }

    /// Forgets what was committed for topics that were deleted while nobody could write that down.
    ///
    /// Who leads this partition knows all topics that the leaders before it knew: the record that
    /// made it the leader comes after theirs.
    pub(super) fn forget_gone_topics(&self, outputs: &mut Outputs) {
        if self.topics.offset() == Offset::NONE {
            return;
        }
        let is_gone = |committed: &Committed| {
            let id = committed.value.topic_id;
            id != Uuid::ZERO && self.topics.topic_by_id(id).is_none()
        };
        self.forget_where(|_, committed| is_gone(committed), outputs);
    }

    fn forget_where(&self, is_gone: impl Fn(&Place, &Committed) -> bool, outputs: &mut Outputs) {
        let mut records = Vec::new();
        for id in self.offsets.groups() {
            let gone = self.offsets.of_group(id).filter(|(place, known)| is_gone(place, known));
            let gone: Vec<Place> = gone.map(|(place, _)| place.clone()).collect();
            records.extend(self.without(id, &gone));
        }
        forget(records, outputs);
    }

    /// Forgets offsets and groups that nobody has used for as long as they are kept.
    pub(super) fn expire(&mut self, now: Now, outputs: &mut Outputs) {
        let mut records = Vec::new();
        let with_offsets = self.offsets.groups().cloned();
        let recorded = self.groups.iter().filter(|(_, group)| group.is_recorded());
        let ids: std::collections::BTreeSet<Text> =
            with_offsets.chain(recorded.map(|(id, _)| id.clone())).collect();
        for id in ids {
            let expired = self.expired(&id, now);
            let left = self.offsets.of_group(&id).count() - expired.len();
            records.extend(self.without(&id, &expired));
            let is_deserted = self.groups.get(&id).is_some_and(Group::is_deserted);
            let undecided = self.offsets.undecided_places(&id);
            if left == 0 && is_deserted && undecided.is_empty() {
                records.extend(self.without_group(&id));
            }
        }
        forget(records, outputs);
    }

    /// The offsets of a group that have been kept long enough (KIP-211).
    fn expired(&self, id: &Text, now: Now) -> Vec<Place> {
        let retention_ms =
            i64::try_from(self.settings.offsets_retention.as_millis()).unwrap_or(i64::MAX);
        let by_commit = || self.offsets.expired(id, None, retention_ms, now.wall);
        let group = match self.groups.get(id) {
            Some(Group::Classic(group)) => group,
            Some(group) => {
                let is_left = |place: &Place| group.subscribes(&place.0) == Some(false);
                return by_commit().into_iter().filter(is_left).collect();
            }
            None => return by_commit(),
        };
        match (group.protocol_type(), group.state()) {
            (None, _) => by_commit(),
            (Some(_), State::Empty) => {
                let since = Some(group.since()).filter(|since| since.0 >= 0);
                self.offsets.expired(id, since, retention_ms, now.wall)
            }
            (Some(_), State::Stable) if group.is_of_consumers() => {
                let is_left = |place: &Place| group.subscribes(&place.0) == Some(false);
                by_commit().into_iter().filter(is_left).collect()
            }
            _ => Vec::new(),
        }
    }

    fn without_group(&self, id: &Text) -> Vec<Record> {
        match self.groups.get(id) {
            Some(Group::Consumer(group)) => group.tombstones(),
            _ => record::group(id, None).into_iter().collect(),
        }
    }

    fn without(&self, id: &Text, places: &[Place]) -> Vec<Record> {
        let forgotten = |place: &Place| record::no_offset(id, &place.0, place.1).ok();
        places.iter().filter_map(forgotten).collect()
    }
}

/// Writes down that these are no more, in batches that are not too large.
fn forget(mut records: Vec<Record>, outputs: &mut Outputs) {
    while !records.is_empty() {
        let rest = records.split_off(records.len().min(MAX_EXPIRED));
        let (transaction, on_failure) = (None, OnFailure::Refuse);
        outputs.push(Output::Append(Append { records, transaction, on_failure }));
        records = rest;
    }
}
