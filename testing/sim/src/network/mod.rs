//! Messages on their way, and the requests that members of the quorum are busy with.

mod message;

use milena_cluster::group;
use milena_cluster::quorum::{
    self, Batch, CorrelationId, Envelope, Fetched, Input, Piece, ReplicaKey, Request, Response,
    ResponseBody,
};
use milena_cluster::replica;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId};

use crate::broker::{Asked, Caller};
use crate::quorum_checks::Violation;
use crate::recovery::{flipped, received, turned};
use crate::world::{Event, World};
pub use message::{Ask, Message, Parcel, Place, Told};

/// Losses that are told, in a thousand.
const TOLD: u64 = 500;
/// Clients are numbered from here on.
pub const FIRST_CLIENT: i32 = 1000;

/// A request that some member of the quorum is busy with.
pub struct Call {
    /// Who asked; none for a client.
    asker: Option<(NodeId, u64)>,
    /// By which name the asker knows whom it asked.
    asked_as: NodeId,
    correlation: CorrelationId,
    /// What it asked for, where that was a vote that counts.
    vote: Option<(LeaderEpoch, ReplicaKey)>,
}

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// Puts a message on its way.
    pub fn send(&mut self, from: NodeId, to: NodeId, run: Option<u64>, message: Message) {
        let sender_run = self.hosts.get(&from).map_or(0, |host| host.run);
        let parcel = Parcel { from, sender_run, to, run, message };
        if from == to {
            return self.at(0, Event::Deliver(Box::new(parcel)));
        }
        let (mut loss, mut doubled, mut late) = (0, 0, 0);
        if !self.is_calm {
            (loss, doubled, late) = (self.plan.loss, self.plan.doubled, self.plan.late);
        }
        if self.cut.contains(&(from, to)) || self.rng.chance(loss) {
            return self.break_connection(parcel);
        }
        if parcel.message.is_once() {
            (doubled, late) = (0, 0);
        }
        for _ in 0..1 + u64::from(self.rng.chance(doubled)) {
            let is_late = self.rng.chance(late);
            let longest = match (self.is_calm, is_late) {
                (true, _) => 3,
                (_, true) => self.plan.late_span,
                _ => self.plan.delay,
            };
            // A connection keeps the order of what a producer sends.
            let delay = match parcel.message.is_of_client() {
                true => self.plan.delay.min(3),
                false => self.rng.within(1, longest),
            };
            let mut copy = parcel.clone();
            self.damage(&mut copy.message);
            self.at(delay, Event::Deliver(Box::new(copy)));
        }
    }

    /// A bit turns on the way.
    fn damage(&mut self, message: &mut Message) {
        if self.is_calm || !self.rng.chance(self.plan.damaged) {
            return;
        }
        let rng = &mut self.rng;
        let bend = |batches: &mut Vec<Batch>, rng: &mut _| {
            if let Some(last) = batches.last_mut() {
                last.bytes = flipped(&last.bytes, rng);
            }
        };
        match message {
            Message::Quorum { envelope, .. } => {
                let quorum::Message::Response(Response { body, .. }) = &mut envelope.message else {
                    return;
                };
                match body {
                    ResponseBody::Fetch(Fetched::Batches { batches, .. }) => bend(batches, rng),
                    ResponseBody::FetchSnapshot(Piece { bytes, .. }) if !bytes.is_empty() => {
                        *bytes = turned(bytes, rng);
                    }
                    _ => {}
                }
            }
            Message::Fetched { batches, .. } => bend(batches, rng),
            Message::Produce { batch, .. } => *batch = flipped(batch, rng),
            _ => {}
        }
    }

    /// A connection may tell whoever asked that nothing will come, and that nobody listens there:
    /// rightly or not.
    fn break_connection(&mut self, parcel: Parcel) {
        let Message::Quorum { asked_as, envelope } = parcel.message else { return };
        let is_request = matches!(envelope.message, quorum::Message::Request(_));
        if !is_request || !self.rng.chance(TOLD) {
            return;
        }
        let delay = self.rng.within(1, self.plan.delay);
        let is_gone = self.rng.chance(TOLD);
        let (node, run) = (parcel.from, parcel.sender_run);
        let correlation = envelope.correlation;
        self.at(delay, Event::Broken { node, run, peer: asked_as, correlation, is_gone });
    }

    /// A message arrives.
    pub fn deliver(&mut self, parcel: Parcel) -> Result<(), Violation> {
        if !matches!(parcel.message, Message::Quorum { .. }) {
            self.note(format_args!("{} < {} {}", parcel.to, parcel.from, parcel.message));
        }
        let Parcel { from, sender_run, to, run, message } = parcel;
        match message {
            Message::Quorum { asked_as, envelope } => {
                self.deliver_to_quorum(to, (from, sender_run), asked_as, envelope)
            }
            Message::Ask { id, ask } => self.asked(to, (from, sender_run), id, ask),
            Message::Told { id, told } => self.told(to, id, told),
            Message::Fetch { key, serial, fetch, last_epoch } => {
                self.serve(to, (from, sender_run), key, serial, fetch, last_epoch)
            }
            Message::Fetched { key, serial, epoch, answer, batches } => {
                let is_whole = |batch: &Batch| received(&batch.bytes).as_ref() == Some(batch);
                if !batches.iter().all(is_whole) {
                    self.met("damaged");
                    return Ok(());
                }
                self.fetched(to, key, serial, epoch, answer, batches)
            }
            Message::Produce { key, attempt, batch, naming: None } => {
                self.produce(to, (from, attempt), key, &batch, None)
            }
            Message::Produce { key, attempt, batch, naming: Some(naming) } => {
                self.produce_in_transaction(to, (from, attempt), key, batch, naming)
            }
            Message::Consume { key, attempt, from: offset, is_committed } => {
                self.consume(to, from, key, attempt, (offset, is_committed))
            }
            Message::Produced { key, attempt, result } => self.produced(to, key, attempt, result),
            Message::AskGroup { key, attempt, request } => {
                if !self.may_come(from, attempt) {
                    return Ok(());
                }
                let caller = Caller::Client(from, attempt);
                self.ask_coordinator::<group::Coordinator>(to, key, Asked { caller, request })
            }
            Message::AskTransaction { key, attempt, asked } => {
                self.ask_transactions(to, Caller::Client(from, attempt), key, asked)
            }
            Message::TransactionTold { attempt, result } => {
                self.transaction_told(to, attempt, result)
            }
            Message::Clear { home, caller, transaction } => {
                self.clear(to, caller, home, transaction)
            }
            Message::Cleared { place, number, code } => self.cleared(to, place, number, code),
            Message::Mark { place, home, number, marker } => {
                self.mark(to, (from, sender_run), place, home, number, marker)
            }
            Message::Marked { home, number, outcome } => self.marked(to, home, number, outcome),
            Message::GroupTold { attempt, result, is_current, .. } => {
                let is_found = matches!(result, Ok(group::Answer::Fetch(_)));
                if is_found && !is_current {
                    // One that was deposed and does not know it yet tells what it knew, as Apache
                    // Kafka's does. Whoever goes on from there reads again what it has read.
                    return Ok(());
                }
                self.group_told(to, attempt, result)
            }
            Message::Consumed { key, attempt, result } => {
                debug_assert!(run.is_none());
                self.consumed(to, key, attempt, result)
            }
        }
    }

    fn deliver_to_quorum(
        &mut self,
        to: NodeId,
        from: (NodeId, u64),
        asked_as: NodeId,
        mut envelope: Envelope,
    ) -> Result<(), Violation> {
        match &envelope.message {
            quorum::Message::Request(request) => {
                let vote = match request {
                    Request::Vote(vote) if !vote.pre_vote => Some((vote.epoch, vote.candidate)),
                    _ => None,
                };
                let asker = Some(from).filter(|(id, _)| *id != NodeId::NONE);
                let correlation = envelope.correlation;
                self.call_count += 1;
                envelope.correlation = CorrelationId(self.call_count);
                let call = Call { asker, asked_as, correlation, vote };
                self.calls.insert(self.call_count, call);
                envelope.peer = from.0;
            }
            quorum::Message::Response(response) => {
                if let ResponseBody::Fetch(Fetched::Batches { batches, .. }) = &response.body
                    && !batches.iter().all(|it| received(&it.bytes).as_ref() == Some(it))
                {
                    self.met("damaged");
                    let unanswered = Input::Unanswered(asked_as, envelope.correlation);
                    return self.step(to, unanswered);
                }
                envelope.peer = asked_as;
            }
        }
        self.step(to, Input::Receive(envelope))
    }

    /// A client asks a member of the quorum.
    pub fn ask_quorum(&mut self, to: NodeId, request: Request) -> Result<(), Violation> {
        let envelope = Envelope {
            peer: NodeId::NONE,
            correlation: CorrelationId(0),
            message: quorum::Message::Request(request),
        };
        self.deliver_to_quorum(to, (NodeId::NONE, 0), to, envelope)
    }

    /// A member of the quorum answers.
    pub fn answer(&mut self, node: NodeId, envelope: Envelope) -> Result<(), Violation> {
        let quorum::Message::Response(response) = &envelope.message else { return Ok(()) };
        let Some(call) = self.calls.remove(&envelope.correlation.0) else {
            return Err(format!("{node} answers what nobody asked"));
        };
        if let (ResponseBody::Vote { granted: true }, Some((epoch, candidate))) =
            (&response.body, call.vote)
        {
            let host = self.hosts.get(&node).ok_or("a node that votes is there")?;
            self.checks.quorum.votes(node, epoch, candidate, &host.metadata.state)?;
        }
        let is_done = response.error == ErrorCode::NONE;
        match &response.body {
            ResponseBody::AddVoter if is_done => self.met("voter added"),
            ResponseBody::RemoveVoter if is_done => self.met("voter removed"),
            ResponseBody::Fetch(Fetched::Diverging { .. }) => self.met("metadata diverging"),
            _ => {}
        }
        if let Some((asker, _)) = call.asker {
            let envelope = Envelope { correlation: call.correlation, ..envelope };
            let message = Message::Quorum { asked_as: call.asked_as, envelope };
            // The machine tells answers apart by what it gave with the request.
            self.send(node, asker, None, message);
        }
        Ok(())
    }
}
