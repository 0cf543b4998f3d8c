//! A broker's life in the cluster: it registers, is let in once it has read the metadata up to its
//! registration, and says from time to time that it lives (KIP-631).

mod message;

use std::sync::Arc;
use std::time::Duration;

use milena_cluster::controller::brokers::{
    Application, Heartbeat, HeartbeatAnswer, Registration,
};
use milena_cluster::controller::{Controller, Decision};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::BrokerEpoch;
use milena_storage::{LogDirectory, StorageError};
use tokio::time::Instant;

use crate::drivers::controller::ControllerHandle;
use crate::metadata::Published;
use crate::peers::ActiveController;

/// How long to wait for the image before the next heartbeat of one who is not let in.
const RETRY: Duration = Duration::from_millis(100);
/// How often a failing registration is told.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

/// A broker's life.
pub struct Lifecycle {
    /// What it says about itself.
    pub registration: Registration,
    /// The cluster's id.
    pub cluster_id: String,
    /// The way to the active controller that is its own: nothing waits behind anything else.
    pub channel: ActiveController,
    /// What it has read.
    pub metadata: Arc<Published>,
    /// Its directories, which keep its epoch for the next run.
    pub directories: Vec<Arc<LogDirectory>>,
    /// The epoch of the run before, where the kernel that held its unsynced pages is still the
    /// same; −1 where something may be lost, or there was no run before.
    pub previous_epoch: BrokerEpoch,
    /// Whether the kernel is still the one that held what an earlier run had not synced.
    pub is_lossless: bool,
    /// How often it says that it lives.
    pub heartbeat_interval: Duration,
    /// How long it may take to be registered.
    pub registration_timeout: Duration,
}

/// Why a broker did not become part of its cluster.
#[derive(Debug)]
pub enum JoinError {
    /// The controller refuses it.
    Refused(ErrorCode),
    /// No controller answers.
    NoController(ErrorCode),
    /// Its epoch cannot be kept.
    Storage(StorageError),
}

impl std::fmt::Display for JoinError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(code) if *code == ErrorCode::DUPLICATE_BROKER_REGISTRATION => write!(
                f,
                "another broker with this node.id is alive in the cluster; give this one another \
                 node.id"
            ),
            Self::Refused(code) if *code == ErrorCode::INCONSISTENT_CLUSTER_ID => write!(
                f,
                "the controllers are of another cluster; set cluster.id to theirs, and begin with \
                 empty log.dirs"
            ),
            Self::Refused(code) => write!(f, "the controller refuses this broker: {code}"),
            Self::NoController(code) => write!(
                f,
                "no active controller answers ({code}); look whether a majority of \
                 controller.quorum.voters runs and can be reached from here"
            ),
            Self::Storage(error) => write!(f, "cannot keep the broker's epoch: {error}"),
        }
    }
}

impl std::error::Error for JoinError {}

impl Lifecycle {
    fn local(&self) -> &ControllerHandle {
        self.channel.local()
    }

    /// Becomes part of the cluster: answers when this broker's partitions are in effect and it may
    /// lead.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn join(&self) -> Result<BrokerEpoch, JoinError> {
        let epoch = self.register().await?;
        for directory in &self.directories {
            directory.witness_broker_epoch(epoch).map_err(JoinError::Storage)?;
        }
        while !self.metadata.image().is_live(self.registration.id) {
            if let Err(code) = self.beat(epoch, false).await {
                tracing::debug!(%code, "no answer to a heartbeat");
            }
            // Whatever comes first: the image moves on, or it is time to ask again.
            let _ = tokio::time::timeout(RETRY, self.metadata.moved()).await;
        }
        Ok(epoch)
    }

    async fn register(&self) -> Result<BrokerEpoch, JoinError> {
        let deadline = Instant::now() + self.registration_timeout;
        let mut tell_at = Instant::now() + TELL_INTERVAL;
        loop {
            let code = match self.try_register().await {
                Ok(epoch) => return Ok(epoch),
                Err(code) => code,
            };
            let is_passing = matches!(
                code,
                ErrorCode::NOT_CONTROLLER
                    | ErrorCode::BROKER_NOT_AVAILABLE
                    | ErrorCode::DUPLICATE_BROKER_REGISTRATION
            );
            if !is_passing {
                return Err(JoinError::Refused(code));
            }
            if Instant::now() >= tell_at {
                tracing::warn!(%code, "not registered yet; trying on");
                tell_at = Instant::now() + TELL_INTERVAL;
            }
            if !self.channel.rest(deadline).await {
                return Err(match code {
                    ErrorCode::DUPLICATE_BROKER_REGISTRATION => JoinError::Refused(code),
                    code => JoinError::NoController(code),
                });
            }
        }
    }

    async fn try_register(&self) -> Result<BrokerEpoch, ErrorCode> {
        if self.local().is_active() {
            return self.register_here().await;
        }
        let request = message::registration(&self.registration, &self.cluster_id, self.previous_epoch);
        let answer = self.channel.ask(&request).await?;
        if answer.error_code.is_none() { Ok(answer.broker_epoch) } else { Err(answer.error_code) }
    }

    /// Registers with the controller on this node. The broker reads what that commits before it
    /// is answered, so it is let in together with that: one sync for everything that begins a run.
    async fn register_here(&self) -> Result<BrokerEpoch, ErrorCode> {
        let application = Application::of_this_version(self.registration.clone());
        let (id, incarnation_id) = (self.registration.id, self.registration.incarnation_id);
        let is_this_run = move |controller: &Controller| {
            let broker = controller.image().broker(id);
            broker.is_some_and(|broker| broker.incarnation_id == incarnation_id)
        };
        let nothing = || Decision { records: Vec::new(), answer: () };
        let registered = self.local().call(move |it, _| it.admit_broker(&application));
        let let_in = self.local().call(move |controller, _| {
            if is_this_run(controller) { controller.unfence_broker(id) } else { nothing() }
        });
        let is_lossless = self.is_lossless;
        let renewed = self.local().call(move |controller, _| {
            if is_lossless || !is_this_run(controller) {
                return Decision { records: Vec::new(), answer: 0 };
            }
            controller.renew_epochs(id)
        });
        let (registered, _, renewed) = tokio::join!(registered, let_in, renewed);
        if let Ok(partitions @ 1..) = renewed {
            tracing::warn!(
                partitions,
                "the machine was restarted: records that were not synced are lost, and the \
                 partitions go on in a new leader epoch"
            );
        }
        registered?.map_err(|refused| refused.code)
    }

    /// Says from time to time that it lives, as long as it does.
    pub async fn live(self, epoch: BrokerEpoch) {
        let mut ticks = tokio::time::interval(self.heartbeat_interval);
        loop {
            ticks.tick().await;
            match self.beat(epoch, false).await {
                Ok(answer) if answer.is_fenced => {
                    tracing::warn!("this broker is fenced: it leads nothing until it is let in");
                }
                Ok(_) => {}
                Err(code) => tracing::debug!(%code, "no answer to a heartbeat"),
            }
        }
    }

    async fn beat(
        &self,
        epoch: BrokerEpoch,
        wants_shut_down: bool,
    ) -> Result<HeartbeatAnswer, ErrorCode> {
        let beat = Heartbeat {
            id: self.registration.id,
            epoch,
            metadata_offset: self.metadata.image().offset(),
            wants_fence: false,
            wants_shut_down,
        };
        if self.local().is_active() {
            let answer = self.local().call(move |controller, _| controller.heartbeat(beat)).await?;
            return answer.map_err(|refused| refused.code);
        }
        let answer = self.channel.ask(&message::heartbeat(&beat)).await?;
        message::heartbeat_answer(&answer)
    }
}
