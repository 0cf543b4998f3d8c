//! Groups that change their protocol (fact N14).
//!
//! Whatever takes the group of one protocol back stands in one batch with what makes the other, so
//! that there is never none or both. The coordinator holds the other group before the batch is
//! replayed: if it cannot be appended, everything is rebuilt.

use std::sync::Arc;

use milena_protocol::api::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;

use super::consumer::{Content, NeutralGroup, Refused};
use super::coordinator::{Coordinator, Outputs};
use super::held::Group;
use super::{classic, consumer, record};
use crate::coordinator::{Append, OnFailure, Output, Record};
use crate::time::Now;

/// The epoch with which a member joins.
const JOINS: i32 = 0;

/// A consumer group that is about to be.
pub(super) struct Beginning {
    pub group: consumer::Group,
    /// What takes the classic group back that it was, and makes this one.
    records: Vec<Record>,
}

impl Coordinator {
    /// The consumer group that a member would join where there is none: an empty one, or what
    /// becomes of the classic one with its members.
    ///
    /// # Errors
    /// GROUP_ID_NOT_FOUND where the classic group cannot become one, or is not to.
    pub(super) fn beginning(
        &self,
        now: Now,
        request: &ConsumerGroupHeartbeatRequest,
        settings: &consumer::Settings,
    ) -> Result<Beginning, Refused> {
        let id = &request.group_id;
        let mut group = consumer::Group::new(id.detach());
        let Some(Group::Classic(classic)) = self.groups.get(id) else {
            return Ok(Beginning { group, records: Vec::new() });
        };
        let tombstone = classic.is_recorded().then(|| record::group(id, None).ok());
        let mut records: Vec<Record> = tombstone.flatten().into_iter().collect();
        // Whoever does not join finds no group; one without members has none to take along.
        if request.member_epoch == JOINS && classic.has_members() {
            let neutral = classic.to_neutral().ok_or_else(|| Refused {
                code: ErrorCode::GROUP_ID_NOT_FOUND,
                message: format!("Group {id} is not a consumer group: its members do not consume."),
            })?;
            let topics = &self.topics;
            let made = <consumer::Group>::from_classic(id, &neutral, now, topics, settings)?;
            replay(&mut group, &made);
            group.loaded(now, settings);
            records.extend(made);
        }
        Ok(Beginning { group, records })
    }

    /// Begins a consumer group with what follows from its first request.
    pub(super) fn begin_consumer(
        &mut self,
        id: &Text,
        beginning: Beginning,
        decided: Vec<Record>,
        outputs: &mut Outputs,
    ) {
        let Beginning { group, mut records } = beginning;
        records.extend(decided);
        let was_there = self.groups.get(id).is_some();
        append(records, if was_there { OnFailure::Rebuild } else { OnFailure::Refuse }, outputs);
        if let Some(Group::Classic(classic)) = self.groups.get(id) {
            classic.send_away(outputs);
        }
        self.groups.insert(id.detach(), Group::Consumer(group));
    }

    /// Writes down what follows for a consumer group. Where nobody is left then but members of the
    /// classic protocol, it becomes a classic group instead.
    pub(super) fn conclude(
        &mut self,
        now: Now,
        id: &Text,
        records: Vec<Record>,
        on_failure: OnFailure,
        outputs: &mut Outputs,
    ) {
        let settings = self.settings.of_consumer_group(id, &self.topics);
        let classic = match self.groups.get(id) {
            Some(Group::Consumer(group)) => {
                group.to_classic_after(&records, &self.topics, &settings)
            }
            _ => None,
        };
        let is_done = classic.is_some_and(|it| self.downgrade(now, id, it, outputs).is_ok());
        if !is_done {
            append(records, on_failure, outputs);
        }
    }

    /// Makes a classic group of a consumer group that has but members of the classic protocol: the
    /// policy may have changed while there was no coordinator.
    pub(super) fn downgrade_if_wanted(&mut self, now: Now, id: &Text, outputs: &mut Outputs) {
        let settings = self.settings.of_consumer_group(id, &self.topics);
        let classic = match self.groups.get(id) {
            Some(Group::Consumer(group)) if group.wants_downgrade(&settings) => {
                group.to_classic(&self.topics)
            }
            _ => return,
        };
        // One that cannot stays a consumer group.
        let _ = self.downgrade(now, id, classic, outputs);
    }

    /// Makes a classic group of a consumer group.
    ///
    /// # Errors
    /// When the classic group, which is one record, would be too large to be written. Nothing has
    /// changed then.
    fn downgrade(
        &mut self,
        now: Now,
        id: &Text,
        classic: NeutralGroup,
        outputs: &mut Outputs,
    ) -> Result<(), TooLarge> {
        let Some(Group::Consumer(group)) = self.groups.get(id) else { return Ok(()) };
        // What would still follow for the consumer group is about what is taken back here.
        let mut records = group.tombstones();
        let mut group = classic::Group::of_neutral(id.detach(), classic, now);
        let made = record::group(id, Some(&group.stored_without_leader())).map_err(|_| TooLarge)?;
        if made.value.as_ref().map_or(0, |value| value.len()) > self.settings.max_group_bytes {
            return Err(TooLarge);
        }
        records.push(made);
        append(records, OnFailure::Rebuild, outputs);
        let settings = Arc::clone(&self.settings);
        group.begin_again(now, &settings, outputs);
        self.groups.insert(id.detach(), Group::Classic(group));
        Ok(())
    }
}

/// A group that no record can hold.
#[derive(Debug)]
struct TooLarge;

fn replay(group: &mut consumer::Group, records: &[Record]) {
    let contents = records.iter().map(|it| Content::read(&it.key, it.value.as_deref()));
    contents.flatten().for_each(|content| group.replay(&content));
}

fn append(records: Vec<Record>, on_failure: OnFailure, outputs: &mut Outputs) {
    if !records.is_empty() {
        outputs.push(Output::Append(Append { records, transaction: None, on_failure }));
    }
}
