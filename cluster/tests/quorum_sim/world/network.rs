//! Messages on their way, and the requests that nodes are busy with.

use milena_cluster::quorum::{
    CorrelationId, Envelope, Fetched, Input, Message, Request, ResponseBody, Rules,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::NodeId;

use super::{Call, Event, LATE, World};
use crate::checks::Violation;

/// Losses that are told, in a thousand.
const TOLD: u64 = 500;

impl<R: Rules> World<R> {
    pub(super) fn send(&mut self, from: NodeId, to: NodeId, asked_as: NodeId, envelope: &Envelope) {
        let plan = &self.plan;
        let (loss, doubled, late, delay) = if self.is_calm {
            (0, 0, 0, 5)
        } else {
            (plan.loss, plan.doubled, plan.late, plan.delay)
        };
        if self.cut.contains(&(from, to)) || self.rng.chance(loss) {
            return self.break_connection(from, asked_as, envelope);
        }
        let copies = 1 + u64::from(self.rng.chance(doubled));
        for _ in 0..copies {
            let longest = if self.rng.chance(late) { LATE } else { delay };
            let delay = self.rng.within(1, longest);
            let (from, envelope) = (Some(from), envelope.clone());
            self.at(delay, Event::Deliver { to, from, asked_as, envelope });
        }
    }

    /// A connection may tell whoever asked that nothing will come, and that nobody listens there:
    /// rightly or not.
    fn break_connection(&mut self, node: NodeId, peer: NodeId, envelope: &Envelope) {
        let is_told = matches!(envelope.message, Message::Request(_)) && self.rng.chance(TOLD);
        if !is_told {
            return;
        }
        let delay = self.rng.within(1, self.plan.delay);
        let is_gone = self.rng.chance(TOLD);
        let correlation = envelope.correlation;
        self.at(delay, Event::Broken { node, peer, correlation, is_gone });
    }

    pub(super) fn deliver(
        &mut self,
        to: NodeId,
        from: Option<NodeId>,
        asked_as: NodeId,
        mut envelope: Envelope,
    ) -> Result<(), Violation> {
        match &envelope.message {
            Message::Request(request) => {
                let vote = match request {
                    Request::Vote(vote) if !vote.pre_vote => Some((vote.epoch, vote.candidate)),
                    _ => None,
                };
                let correlation = envelope.correlation;
                self.call_count += 1;
                envelope.correlation = CorrelationId(self.call_count);
                let call = Call { asker: from, asked_as, correlation, vote };
                self.calls.insert(self.call_count, call);
                envelope.peer = from.unwrap_or(NodeId::NONE);
            }
            Message::Response(_) => envelope.peer = asked_as,
        }
        self.step(to, Input::Receive(envelope))
    }

    pub(super) fn answer(&mut self, node: NodeId, envelope: Envelope) -> Result<(), Violation> {
        let Message::Response(response) = &envelope.message else {
            return Ok(());
        };
        let Some(call) = self.calls.remove(&envelope.correlation.0) else {
            return Err(format!("{node} answers what nobody asked"));
        };
        if let (ResponseBody::Vote { granted: true }, Some((epoch, candidate))) =
            (&response.body, call.vote)
        {
            self.checks.votes(node, epoch, candidate, &self.nodes[&node].disk.state)?;
        }
        let is_done = response.error == ErrorCode::NONE;
        match &response.body {
            ResponseBody::AddVoter if is_done => self.meet("voter added"),
            ResponseBody::RemoveVoter if is_done => self.meet("voter removed"),
            ResponseBody::Fetch(Fetched::Diverging { .. }) => self.meet("diverging"),
            _ => {}
        }
        if let Some(asker) = call.asker {
            let envelope = Envelope { correlation: call.correlation, ..envelope };
            self.send(node, asker, call.asked_as, &envelope);
        }
        Ok(())
    }
}
