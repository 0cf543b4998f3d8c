//! A broker's life in the cluster: it registers, is let in once it has read the metadata up to its
//! registration, and says from time to time that it lives (KIP-631).

use std::sync::Arc;
use std::time::Duration;

use milena_cluster::controller::brokers::{Application, Registration};
use milena_cluster::controller::heartbeats::{Heartbeat, HeartbeatAnswer};
use milena_cluster::controller::{Controller, Decision, features};
use milena_cluster::metadata::image::BrokerImage;
use milena_cluster::wire::broker_epoch;
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, NodeId};
use milena_storage::{LogDirectory, StorageError};
use tokio::sync::watch::Ref;
use tokio::time::{Instant, timeout};

use crate::drivers::controller::{ControllerHandle, QuorumView};
use crate::metadata::Published;
use crate::peers::ActiveController;

/// How long to wait before the next heartbeat of one who is not let in, or found no controller.
const RETRY: Duration = Duration::from_millis(100);
/// How often a broker that stops asks whether it may.
const HAND_OVER_INTERVAL: Duration = Duration::from_millis(20);
/// How often a failing registration is told.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

/// A broker's life.
pub struct Lifecycle {
    /// What it says about itself.
    pub registration: Registration,
    /// The cluster's id.
    pub cluster_id: Text,
    /// The way to the active controller that is its own: nothing waits behind anything else.
    pub channel: ActiveController,
    /// What it has read.
    pub metadata: Arc<Published>,
    /// Its directories, which keep its epoch for the next run.
    pub directories: Vec<Arc<LogDirectory>>,
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
    /// It was registered, and is no more.
    Forgotten(Forgotten),
}

/// The controller knows this run of a broker no more. No later heartbeat changes that: only a new
/// registration does, which every start makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// The broker.
    pub id: NodeId,
    /// The registration that is gone.
    pub epoch: BrokerEpoch,
}

impl std::fmt::Display for Forgotten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, epoch } = self;
        write!(
            f,
            "broker {id} is forgotten: its registration {epoch} was removed from the cluster, or \
             another process has registered with node.id {id} since. Start it again, and it \
             registers anew; if it was removed on purpose, leave it; if another process has its \
             node.id, give one of them another"
        )
    }
}

impl std::error::Error for Forgotten {}

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
            Self::Forgotten(forgotten) => forgotten.fmt(f),
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
            let rest = match self.beat(epoch, false).await {
                Ok(_) => RETRY,
                Err(code) => self.rest_after(code, epoch).map_err(JoinError::Forgotten)?,
            };
            // Whatever comes first: the image moves on, or it is time to ask again.
            let _ = timeout(rest, self.metadata.moved()).await;
        }
        Ok(epoch)
    }

    async fn register(&self) -> Result<BrokerEpoch, JoinError> {
        if !self.is_alone().await {
            // Should the answer not find it alive, the next run takes the registration up again.
            for directory in &self.directories {
                let noted = directory.witness_incarnation(self.registration.incarnation_id);
                noted.map_err(JoinError::Storage)?;
            }
        }
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

    /// Whether this node's own controller decides, and knows no other broker: nobody would lead in
    /// its place then, and its start is a sync shorter.
    async fn is_alone(&self) -> bool {
        let id = self.registration.id;
        let look = move |controller: &Controller, _| {
            let is_alone = controller.image().brokers().all(|broker| broker.id == id);
            Decision { records: Vec::new(), answer: is_alone }
        };
        self.local().is_active() && self.local().call(look).await.unwrap_or(false)
    }

    async fn try_register(&self) -> Result<BrokerEpoch, ErrorCode> {
        if self.local().is_active() {
            return self.register_here().await;
        }
        let request = self.application().to_request(&self.cluster_id);
        broker_epoch(&self.channel.ask(&request).await?)
    }

    fn application(&self) -> Application {
        Application {
            registration: self.registration.clone(),
            features: features::ranges(),
            is_migrating: false,
        }
    }

    /// Registers with the controller on this node. The broker reads what that commits before it
    /// is answered, so it is let in together with that: one sync for everything that begins a run.
    async fn register_here(&self) -> Result<BrokerEpoch, ErrorCode> {
        let registration = self.registration.clone();
        let (id, incarnation_id) = (self.registration.id, self.registration.incarnation_id);
        let is_this_run = move |controller: &Controller| {
            let broker = controller.image().broker(id);
            broker.is_some_and(|broker| broker.incarnation_id == incarnation_id)
        };
        let nothing = || Decision { records: Vec::new(), answer: () };
        let registered = self.local().call(move |it, _| it.register_broker(&registration));
        let let_in = self.local().call(move |controller, _| {
            if is_this_run(controller) { controller.unfence_broker(id) } else { nothing() }
        });
        let (registered, _) = tokio::join!(registered, let_in);
        registered
    }

    /// Says from time to time that it lives, as long as it does; to another controller at once, for
    /// that one notices the end of a process by the connection of its heartbeats. Ends when the
    /// controller knows it no more.
    pub async fn live(self: Arc<Self>, epoch: BrokerEpoch) -> Forgotten {
        let mut view = self.local().watch();
        let mut told = (view.borrow().leader, view.borrow().epoch);
        loop {
            let rest = match self.beat(epoch, false).await {
                Ok(answer) => {
                    if answer.is_fenced {
                        tracing::warn!(
                            "this broker is fenced: it leads nothing until it is let in"
                        );
                    }
                    self.heartbeat_interval
                }
                Err(code) => match self.rest_after(code, epoch) {
                    Ok(rest) => rest,
                    Err(forgotten) => return forgotten,
                },
            };
            let is_news = |view: &QuorumView| {
                view.leader != NodeId::NONE && (view.leader, view.epoch) != told
            };
            let told_now = |view: Ref<'_, QuorumView>| (view.leader, view.epoch);
            // Whatever comes first: another controller, or the time.
            let news = timeout(rest, view.wait_for(is_news)).await;
            match news.map(|view| view.map(told_now)) {
                Ok(Ok(news)) => told = news,
                // The controller's thread ends only with the process.
                Ok(Err(_)) => std::future::pending().await,
                Err(_) => {}
            }
        }
    }

    /// How long to rest after a heartbeat that was not taken.
    ///
    /// # Errors
    /// [`Forgotten`] where no other one will be.
    fn rest_after(&self, code: ErrorCode, epoch: BrokerEpoch) -> Result<Duration, Forgotten> {
        match code {
            ErrorCode::STALE_BROKER_EPOCH => Err(Forgotten { id: self.registration.id, epoch }),
            ErrorCode::NOT_CONTROLLER | ErrorCode::BROKER_NOT_AVAILABLE => {
                tracing::debug!(%code, "no answer to a heartbeat");
                Ok(self.heartbeat_interval.min(RETRY))
            }
            code => {
                tracing::warn!(%code, "the controller does not take a heartbeat");
                Ok(self.heartbeat_interval)
            }
        }
    }

    /// Hands over what this broker leads, as far as that goes in a time; whoever stops without has
    /// only been quicker.
    pub async fn leave(&self, epoch: BrokerEpoch, patience: Duration) {
        let image = self.metadata.image_owned();
        let is_other = |broker: &&BrokerImage| broker.id != self.registration.id && !broker.fenced;
        if image.brokers().find(is_other).is_none() {
            return;
        }
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            match self.beat(epoch, true).await {
                Ok(answer) if answer.should_shut_down => return,
                Ok(_) => {}
                // Nothing is its to hand over.
                Err(ErrorCode::STALE_BROKER_EPOCH) => return,
                Err(code) => tracing::debug!(%code, "no answer to a heartbeat"),
            }
            // The others have to read what follows from it.
            tokio::time::sleep(HAND_OVER_INTERVAL).await;
        }
        tracing::warn!("not everything was handed over in time");
    }

    async fn beat(
        &self,
        epoch: BrokerEpoch,
        wants_shut_down: bool,
    ) -> Result<HeartbeatAnswer, ErrorCode> {
        let directories = self.directories.iter();
        let offline = directories.filter(|directory| directory.is_offline());
        let beat = Heartbeat {
            metadata_offset: self.metadata.image().offset(),
            wants_shut_down,
            offline_log_dirs: offline.map(|directory| directory.id()).collect(),
            ..Heartbeat::of(self.registration.id, epoch)
        };
        HeartbeatAnswer::in_response(&self.channel.decided(beat.to_request()).await?)
    }
}
