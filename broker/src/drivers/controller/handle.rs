//! The way to the controller and the quorum's member, for everybody else on this node.

use std::sync::Arc;
use std::time::Duration;

use milena_cluster::controller::{Controller, Decision, Sessions};
use milena_cluster::quorum::{
    CorrelationId, Endpoint, Envelope, Quorum, Request, Response, Role, Voter,
};
use milena_cluster::time::Now;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, Timestamp};
use milena_protocol::metadata_record::MetadataRecord;
use tokio::sync::{oneshot, watch};

use super::meter::Meter;
use super::queue::Sender;
use crate::telemetry::state::Pace;

/// What the active controller decides on.
pub struct Authority<'a> {
    /// The controller, with everything replayed that was appended.
    pub controller: &'a Controller,
    /// Who was heard of, and when.
    pub sessions: &'a mut Sessions,
    /// When this is.
    pub now: Now,
}

/// A decision on its way: it decides, and gives what answers it.
pub(super) type Job = Box<dyn FnOnce(Authority<'_>) -> (Vec<MetadataRecord>, Finish) + Send>;
/// Lets an answer go, or says why there is none.
pub(super) type Finish = Box<dyn FnOnce(Result<(), ErrorCode>) + Send>;

/// What the controller's thread is given to do.
pub(super) enum Work {
    /// A decision, which only the active controller makes.
    Decide(Job),
    /// The voters shall stand in the log, at this level of `kraft.version`.
    Upgrade(i16, Finish),
    /// Another member, or a client, asks the quorum.
    Ask(Request, oneshot::Sender<Response>),
    /// Another member answers what this one asked.
    Answered(Envelope),
    /// Another member gives no answer to what this one asked.
    Unanswered(NodeId, CorrelationId),
    /// The process of another node has ended.
    Gone(NodeId),
    /// This node stops: a leader hands over.
    Resign,
}

/// How the quorum stands, for those who describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumView {
    /// The leader's epoch.
    pub epoch: LeaderEpoch,
    /// The leader; −1 where none is known.
    pub leader: NodeId,
    /// Where the leader listens, where that is known.
    pub leader_endpoints: Vec<Endpoint>,
    /// Whether this node leads.
    pub is_leading: bool,
    /// What this node is, as Kafka names it.
    pub role: &'static str,
    /// Whom this node voted for in the epoch; −1 nobody.
    pub voted_for: NodeId,
    /// Everything below is committed.
    pub high_watermark: Offset,
    /// Where the log ends.
    pub log_end_offset: Offset,
    /// The voters, each with where it listens.
    pub members: Vec<Voter>,
    /// The level of `kraft.version`: from 1 on the voters stand in the log.
    pub kraft_version: i16,
}

impl QuorumView {
    pub(super) fn of(quorum: &Quorum) -> Self {
        let leader = quorum.leader();
        Self {
            epoch: quorum.epoch(),
            leader: leader.unwrap_or(NodeId::NONE),
            leader_endpoints: leader.map_or(Vec::new(), |id| quorum.endpoints(id).to_vec()),
            is_leading: matches!(quorum.role(), Role::Leader(_)),
            role: quorum.role().name(),
            voted_for: quorum.state().voted_id,
            high_watermark: quorum.high_watermark().unwrap_or(Offset::NONE),
            log_end_offset: quorum.log_end_offset(),
            members: quorum.voters().iter().cloned().collect(),
            kraft_version: quorum.kraft_version(),
        }
    }

    /// Of a node that has heard of no quorum.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            epoch: LeaderEpoch(0),
            leader: NodeId::NONE,
            leader_endpoints: Vec::new(),
            is_leading: false,
            role: "unattached",
            voted_for: NodeId::NONE,
            high_watermark: Offset::NONE,
            log_end_offset: Offset::ZERO,
            members: Vec::new(),
            kraft_version: 0,
        }
    }
}

/// The way into the controller's thread, for those who deliver messages.
#[derive(Clone)]
pub struct Inbox(pub(super) Sender<Work>);

impl Inbox {
    /// Another member answers what this one asked.
    pub fn answered(&self, envelope: Envelope) {
        // The thread is gone only when the process ends.
        let _ = self.0.send(Work::Answered(envelope));
    }

    /// Another member gives no answer to what this one asked.
    pub fn unanswered(&self, node: NodeId, correlation: CorrelationId) {
        let _ = self.0.send(Work::Unanswered(node, correlation));
    }

    /// The process of another node has ended.
    pub fn gone(&self, node: NodeId) {
        let _ = self.0.send(Work::Gone(node));
    }
}

/// The way to the controller.
#[derive(Clone)]
pub struct ControllerHandle {
    pub(super) inbox: Inbox,
    pub(super) node: NodeId,
    pub(super) view: watch::Receiver<QuorumView>,
    pub(super) meter: Arc<Meter>,
}

impl ControllerHandle {
    /// A way that leads to no controller.
    #[cfg(test)]
    pub fn to_nobody(node: NodeId) -> Self {
        let (work, _) = super::queue::open(crate::machine::Threads::Own);
        let (_, view) = watch::channel(QuorumView::unknown());
        Self { inbox: Inbox(work), node, view, meter: Arc::default() }
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Lets the controller decide, and returns its answer once it is committed and applied.
    ///
    /// # Errors
    /// NOT_CONTROLLER when the controller is gone or another node's leads, KAFKA_STORAGE_ERROR when
    /// its disk is full, INVALID_REQUEST when the decision is too large.
    pub async fn call<A: Send + 'static>(
        &self,
        decide: impl FnOnce(&Controller, Timestamp) -> Decision<A> + Send + 'static,
    ) -> Result<A, ErrorCode> {
        self.call_with(move |authority| decide(authority.controller, authority.now.wall)).await
    }

    /// The same, for what has to do with who was heard of.
    ///
    /// # Errors
    /// As [`ControllerHandle::call`].
    pub async fn call_with<A: Send + 'static>(
        &self,
        decide: impl FnOnce(Authority<'_>) -> Decision<A> + Send + 'static,
    ) -> Result<A, ErrorCode> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |authority| {
            let Decision { records, answer } = decide(authority);
            let finish: Finish = Box::new(move |admitted| {
                // Whoever asked may have gone away.
                let _ = sender.send(admitted.map(|()| answer));
            });
            (records, finish)
        });
        self.inbox.0.send(Work::Decide(job)).map_err(|_| ErrorCode::NOT_CONTROLLER)?;
        receiver.await.unwrap_or(Err(ErrorCode::NOT_CONTROLLER))
    }

    /// Puts a request of another member, or of a client, to this node's member of the quorum.
    ///
    /// # Errors
    /// BROKER_NOT_AVAILABLE when it gives no answer.
    pub async fn ask(&self, request: Request) -> Result<Response, ErrorCode> {
        let (sender, receiver) = oneshot::channel();
        let work = Work::Ask(request, sender);
        self.inbox.0.send(work).map_err(|_| ErrorCode::BROKER_NOT_AVAILABLE)?;
        receiver.await.map_err(|_| ErrorCode::BROKER_NOT_AVAILABLE)
    }

    /// Raises the level of `kraft.version`, and returns once that is committed.
    ///
    /// # Errors
    /// NOT_CONTROLLER where this node does not lead, INVALID_UPDATE_VERSION where the quorum cannot
    /// be at that level, or not yet.
    pub async fn upgrade_kraft_version(&self, level: i16) -> Result<(), ErrorCode> {
        let (sender, receiver) = oneshot::channel();
        let finish: Finish = Box::new(move |outcome| {
            // Whoever asked may have gone away.
            let _ = sender.send(outcome);
        });
        let work = Work::Upgrade(level, finish);
        self.inbox.0.send(work).map_err(|_| ErrorCode::NOT_CONTROLLER)?;
        receiver.await.unwrap_or(Err(ErrorCode::NOT_CONTROLLER))
    }

    /// The level of `kraft.version` that holds.
    #[must_use]
    pub fn kraft_version(&self) -> i16 {
        self.view.borrow().kraft_version
    }

    /// How the quorum stands.
    #[must_use]
    pub fn quorum(&self) -> QuorumView {
        self.view.borrow().clone()
    }

    /// How fast the quorum works, as this node sees it.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.meter.pace()
    }

    /// Whether this node's controller decides.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.view.borrow().is_leading
    }

    /// Hands the lead of the quorum over, where this node has it, as far as that goes in a time.
    pub async fn resign(&self, patience: Duration) {
        if self.inbox.0.send(Work::Resign).is_ok() {
            let mut view = self.watch();
            let has_successor =
                |view: &QuorumView| view.leader != self.node && view.leader != NodeId::NONE;
            // Nobody may be there to take over.
            let _ = tokio::time::timeout(patience, view.wait_for(has_successor)).await;
        }
    }

    /// How the quorum stands, with every change of it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<QuorumView> {
        self.view.clone()
    }
}
