//! The way to the controller, for everybody else on this node.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use milena_cluster::controller::{Controller, Decision};
use milena_cluster::quorum::{Quorum, ReplicaKey};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, Timestamp};
use milena_protocol::metadata_record::MetadataRecord;
use parking_lot::RwLock;
use tokio::sync::oneshot;

/// A request on its way: it decides, and gives what answers it.
pub(super) type Job =
    Box<dyn FnOnce(&Controller, Timestamp) -> (Vec<MetadataRecord>, Finish) + Send>;
/// Lets an answer go, or says why there is none.
pub(super) type Finish = Box<dyn FnOnce(Result<(), ErrorCode>) + Send>;

/// How the quorum stands, for those who describe it.
#[derive(Clone, Debug)]
pub struct QuorumView {
    /// The leader's epoch.
    pub epoch: LeaderEpoch,
    /// The leader.
    pub leader: NodeId,
    /// Everything below is committed.
    pub high_watermark: Offset,
    /// Where the log ends.
    pub log_end_offset: Offset,
    /// The voters.
    pub voters: Vec<ReplicaKey>,
}

impl QuorumView {
    pub(super) fn of(quorum: &Quorum) -> Self {
        Self {
            epoch: quorum.epoch(),
            leader: quorum.leader().unwrap_or(NodeId::NONE),
            high_watermark: quorum.high_watermark().unwrap_or(Offset::NONE),
            log_end_offset: quorum.log_end_offset(),
            voters: quorum.voters().keys(),
        }
    }
}

/// The way to the controller.
#[derive(Clone)]
pub struct ControllerHandle {
    pub(super) jobs: Sender<Job>,
    pub(super) node: NodeId,
    pub(super) view: Arc<RwLock<QuorumView>>,
}

impl ControllerHandle {
    /// A way that leads to no controller.
    #[cfg(test)]
    pub fn to_nobody(node: NodeId) -> Self {
        let view = QuorumView {
            epoch: LeaderEpoch(0),
            leader: NodeId::NONE,
            high_watermark: Offset::NONE,
            log_end_offset: Offset::ZERO,
            voters: Vec::new(),
        };
        let (jobs, _) = std::sync::mpsc::channel();
        Self { jobs, node, view: Arc::new(RwLock::new(view)) }
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
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |controller, now| {
            let Decision { records, answer } = decide(controller, now);
            let finish: Finish = Box::new(move |admitted| {
                // Whoever asked may have gone away.
                let _ = sender.send(admitted.map(|()| answer));
            });
            (records, finish)
        });
        self.jobs.send(job).map_err(|_| ErrorCode::NOT_CONTROLLER)?;
        receiver.await.unwrap_or(Err(ErrorCode::NOT_CONTROLLER))
    }

    /// The next block of producer ids for this broker.
    ///
    /// # Errors
    /// What the controller answers.
    pub async fn allocate_producer_ids(&self) -> Result<(i64, i64), ErrorCode> {
        let node = self.node;
        let answer = self.call(move |controller, _| controller.allocate_producer_ids(node)).await?;
        answer.map_err(|refused| refused.code)
    }

    /// How the quorum stands.
    #[must_use]
    pub fn quorum(&self) -> QuorumView {
        self.view.read().clone()
    }
}
