//! What members of consumer groups ask, and what falls due in these groups.

use std::sync::Arc;

use milena_protocol::api::consumer_group_describe::ConsumerGroupDescribeGroup;
use milena_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;

use super::coordinator::{Coordinator, Outputs};
use super::held::Group;
use super::request::{Answer, Caller};
use super::{consumer, record};
use crate::coordinator::{Append, OnFailure, Output, Record, Ticket};
use crate::metadata::image::MetadataImage;
use crate::time::Now;

impl Coordinator {
    /// Takes note of the topics, unless later ones are known.
    pub(super) fn see(&mut self, topics: Arc<MetadataImage>) {
        if topics.offset() > self.topics.offset() {
            self.topics = topics;
        }
    }

    pub(super) fn consumer_heartbeat(
        &mut self,
        now: Now,
        ticket: Ticket,
        caller: &Caller,
        request: &ConsumerGroupHeartbeatRequest,
        outputs: &mut Outputs,
    ) {
        let answer = self.try_heartbeat(now, caller, request, outputs);
        let answer = answer.unwrap_or_else(|code| ConsumerGroupHeartbeatResponse {
            error_code: code,
            ..Default::default()
        });
        outputs.push(Output::Answer(ticket, Answer::ConsumerHeartbeat(answer)));
    }

    fn try_heartbeat(
        &mut self,
        now: Now,
        caller: &Caller,
        request: &ConsumerGroupHeartbeatRequest,
        outputs: &mut Outputs,
    ) -> Result<ConsumerGroupHeartbeatResponse, ErrorCode> {
        let id = &request.group_id;
        if id.is_empty() {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let converted = self.begin_consumer(id)?;
        let on_failure = if converted.is_empty() { OnFailure::Refuse } else { OnFailure::Rebuild };
        let settings = self.settings.of_consumer_group(id, &self.topics);
        let topics = Arc::clone(&self.topics);
        let decided = self.groups.change(id, |group| match group {
            Group::Consumer(group) => {
                Some(group.heartbeat(now, caller, request, &topics, &settings))
            }
            Group::Classic(_) => None,
        });
        let decision = decided.flatten().ok_or(ErrorCode::GROUP_ID_NOT_FOUND)?;
        let records: Vec<Record> = converted.into_iter().chain(decision.records).collect();
        append(records, on_failure, outputs);
        Ok(decision.answer.unwrap_or_else(|refused| refused.to_response()))
    }

    /// Makes sure that there is a consumer group: a classic one that nobody is in becomes one. What
    /// that takes back is returned.
    fn begin_consumer(&mut self, id: &Text) -> Result<Vec<Record>, ErrorCode> {
        let converted = match self.groups.get(id) {
            Some(Group::Consumer(_)) => return Ok(Vec::new()),
            // Members of the classic protocol are in it.
            Some(group) if !group.is_deserted() => return Err(ErrorCode::GROUP_ID_NOT_FOUND),
            Some(group) if group.is_recorded() => record::group(id, None).into_iter().collect(),
            _ => Vec::new(),
        };
        let id = id.detach();
        self.groups.insert(id.clone(), Group::Consumer(consumer::Group::new(id)));
        Ok(converted)
    }

    pub(super) fn tick_consumer(&mut self, now: Now, id: &Text, outputs: &mut Outputs) {
        let settings = self.settings.of_consumer_group(id, &self.topics);
        let topics = Arc::clone(&self.topics);
        let records = self.groups.change(id, |group| match group {
            Group::Consumer(group) => group.tick(now, &topics, &settings),
            Group::Classic(_) => Vec::new(),
        });
        append(records.unwrap_or_default(), OnFailure::Rebuild, outputs);
    }

    pub(super) fn describe_consumer(&self, id: Text) -> ConsumerGroupDescribeGroup {
        if let Some(Group::Consumer(group)) = self.groups.get(&id) {
            let settings = self.settings.of_consumer_group(&id, &self.topics);
            return group.describe(&self.topics, &settings);
        }
        let kind = if self.groups.get(&id).is_some() { "a consumer group" } else { "known" };
        ConsumerGroupDescribeGroup {
            error_code: ErrorCode::GROUP_ID_NOT_FOUND,
            error_message: Some(format!("Group {id} is not {kind}.").into()),
            group_id: id,
            ..Default::default()
        }
    }
}

fn append(records: Vec<Record>, on_failure: OnFailure, outputs: &mut Outputs) {
    if !records.is_empty() {
        outputs.push(Output::Append(Append { records, transaction: None, on_failure }));
    }
}
