//! What members of consumer groups ask, and what falls due in these groups.

use std::sync::Arc;

use milena_protocol::api::consumer_group_describe::ConsumerGroupDescribeGroup;
use milena_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;

use super::consumer;
use super::coordinator::{Coordinator, Outputs};
use super::held::Group;
use super::request::{Answer, Caller};
use crate::coordinator::{OnFailure, Output, Ticket};
use crate::time::Now;

impl Coordinator {
    pub(super) fn consumer_heartbeat(
        &mut self,
        now: Now,
        ticket: Ticket,
        caller: &Caller,
        request: &ConsumerGroupHeartbeatRequest,
        outputs: &mut Outputs,
    ) {
        let answer = self.try_heartbeat(now, caller, request, outputs);
        let answer = answer.unwrap_or_else(|refused| refused.to_response());
        outputs.push(Output::Answer(ticket, Answer::ConsumerHeartbeat(answer)));
    }

    fn try_heartbeat(
        &mut self,
        now: Now,
        caller: &Caller,
        request: &ConsumerGroupHeartbeatRequest,
        outputs: &mut Outputs,
    ) -> Result<ConsumerGroupHeartbeatResponse, consumer::Refused> {
        let id = &request.group_id;
        let settings = self.settings.of_consumer_group(id, &self.topics);
        let topics = Arc::clone(&self.topics);
        let decide =
            |group: &mut consumer::Group| group.heartbeat(now, caller, request, &topics, &settings);
        if let Some(decision) = self.with_consumer(id, decide) {
            self.conclude(now, id, decision.records, OnFailure::Refuse, outputs);
            return decision.answer;
        }
        // The group that there would be is asked first: where it refuses, nothing has changed.
        let mut beginning = self.beginning(now, request, &settings)?;
        let decision = decide(&mut beginning.group);
        if decision.answer.is_ok() {
            self.begin_consumer(id, beginning, decision.records, outputs);
        }
        decision.answer
    }

    pub(super) fn tick_consumer(&mut self, now: Now, id: &Text, outputs: &mut Outputs) {
        let settings = self.settings.of_consumer_group(id, &self.topics);
        let topics = Arc::clone(&self.topics);
        let records = self.with_consumer(id, |group| group.tick(now, &topics, &settings));
        self.conclude(now, id, records.unwrap_or_default(), OnFailure::Rebuild, outputs);
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
