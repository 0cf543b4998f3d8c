//! A controller that does not vote yet asks to, and one that votes makes itself known.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use milena_client::admin::{QuorumReplica, QuorumStatus};
use milena_cluster::controller::brokers::ControllerRegistration;
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::quorum::{AddVoterRequest, RemoveVoterRequest, Voter};
use milena_cluster::wire::{Carried, Link};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, Offset, Timestamp, Uuid};
use tokio::time::Instant;

use super::found::Found;
use super::server::JoinError;
use crate::drivers::controller::QuorumView;
use crate::metadata::Published;
use crate::peers::ActiveController;

/// The rest between two attempts.
const REST: Duration = Duration::from_millis(100);
/// So many times as long as a voter may go without fetching, one that is missed has to be silent
/// before another directory takes its place.
const SILENT_FETCH_TIMEOUTS: u32 = 2;

/// A node that wants to vote.
pub struct Candidacy {
    /// Itself.
    pub me: Voter,
    /// It stands while there are fewer voters; none while it is none itself, however many there
    /// are (KIP-1186).
    pub limit: Option<usize>,
    /// The way to the active controller.
    pub channel: ActiveController,
    /// What its messages name.
    pub link: Link,
    /// Where to note that it has become a voter.
    pub directory: PathBuf,
    /// How long a voter may go without fetching.
    pub fetch_timeout: Duration,
}

/// Asks for a vote until it has one, or needs none.
///
/// # Errors
/// [`JoinError::NodeIdTaken`].
pub async fn stand(candidacy: Candidacy) -> Result<(), JoinError> {
    let mut watch = NamesakeWatch::new(candidacy.fetch_timeout * SILENT_FETCH_TIMEOUTS);
    loop {
        let view = candidacy.channel.local().quorum();
        let votes = view.members.iter().any(|voter| voter.key == candidacy.me.key);
        let outcome = if votes { Ok(true) } else { candidacy.ask(&view, &mut watch).await };
        if watch.has_seen_life {
            return Err(JoinError::NodeIdTaken { id: candidacy.me.key.id });
        }
        match outcome {
            Ok(true) => {
                tracing::info!("this node votes in the metadata quorum");
                candidacy.note();
                return Ok(());
            }
            Ok(false) | Err(ErrorCode::DUPLICATE_VOTER | ErrorCode::REQUEST_TIMED_OUT) => {}
            Err(ErrorCode::UNSUPPORTED_VERSION) => {
                tracing::info!(
                    "the voters of this cluster are configured: this node stays an observer"
                );
                return Ok(());
            }
            Err(code) => tracing::debug!(%code, "not a voter yet"),
        }
        tokio::time::sleep(REST).await;
    }
}

impl Candidacy {
    /// Does what is due; true once the quorum has committed that this node votes.
    async fn ask(&self, view: &QuorumView, watch: &mut NamesakeWatch) -> Result<bool, ErrorCode> {
        let is_known = view.high_watermark > Offset::ZERO && view.leader.0 >= 0;
        let same_node = view.members.iter().find(|voter| voter.key.id == self.me.key.id);
        if !is_known {
            return Ok(false);
        }
        if let Some(old) = same_node {
            // This node's own vote, on a directory that it has lost; or another node has its id.
            if !self.is_gone(old, watch).await? {
                return Ok(false);
            }
            let request = RemoveVoterRequest { voter: old.key }.carry(&self.link);
            return checked(self.channel.ask(&request).await?.error_code).map(|()| false);
        }
        if self.limit.is_some_and(|limit| view.members.len() >= limit) {
            return Ok(false);
        }
        let request = AddVoterRequest { voter: self.me.clone(), ack_when_committed: true };
        let answer = self.channel.ask(&request.carry(&self.link)).await?;
        checked(answer.error_code).map(|()| true)
    }

    /// Whether a voter with this node's id has been silent for long enough.
    async fn is_gone(&self, old: &Voter, watch: &mut NamesakeWatch) -> Result<bool, ErrorCode> {
        let described = self.channel.ask(&QuorumStatus::request()).await?;
        let status = QuorumStatus::read(&described).map_err(|refused| refused.code)?;
        let is_old = |voter: &&QuorumReplica| {
            (voter.node_id, voter.directory_id) == (old.key.id, old.key.directory_id)
        };
        let last_fetch = status.voters.iter().find(is_old).map(|voter| voter.last_fetch);
        // Whoever votes no more need not be removed.
        let Some(last_fetch) = last_fetch else { return Ok(false) };
        Ok(watch.is_gone(status.leader_epoch, last_fetch, Instant::now()))
    }

    /// Whoever takes this node out of the quorum from now on means it.
    fn note(&self) {
        let noted = Found::read(&self.directory).and_then(|found| match found {
            Some(found) if found.wants_vote => {
                Found { wants_vote: false, ..found }.write(&self.directory)
            }
            _ => Ok(()),
        });
        if let Err(error) = noted {
            tracing::warn!(%error, "not noted that this node votes: it asks again after a restart");
        }
    }
}

/// Tells a voter that lives from one whose directory is lost. It lives when it fetches while it is
/// looked at, as its leader tells: clocks are not compared, and a leader that is new and has heard
/// of nobody yet counts for nothing.
struct NamesakeWatch {
    patience: Duration,
    /// Under which leader it was first seen, its last fetch by then, and when that was.
    seen: Option<(LeaderEpoch, Timestamp, Instant)>,
    /// Whether it has fetched since.
    has_seen_life: bool,
}

impl NamesakeWatch {
    fn new(patience: Duration) -> Self {
        Self { patience, seen: None, has_seen_life: false }
    }

    /// Looks at it; true once it has been silent for long enough under one leader.
    fn is_gone(&mut self, epoch: LeaderEpoch, last_fetch: Timestamp, now: Instant) -> bool {
        match self.seen {
            Some((seen_epoch, seen_fetch, since)) if seen_epoch == epoch => {
                self.has_seen_life |= last_fetch != seen_fetch;
                !self.has_seen_life && now.duration_since(since) >= self.patience
            }
            _ => {
                self.seen = Some((epoch, last_fetch, now));
                false
            }
        }
    }
}

fn checked(code: ErrorCode) -> Result<(), ErrorCode> {
    if code.is_none() { Ok(()) } else { Err(code) }
}

/// Keeps the metadata true to where a controller listens that votes with others (KIP-919), with
/// its log in this directory.
pub async fn keep_registered(
    registration: ControllerRegistration,
    directory_id: Uuid,
    channel: ActiveController,
    metadata: Arc<Published>,
) {
    let mut view = channel.local().watch();
    loop {
        let known = view.borrow_and_update().clone();
        // Configured voters' directories are unknown; another directory is another node's.
        let is_here = |voter: &Voter| [Uuid::ZERO, directory_id].contains(&voter.key.directory_id);
        let mut own = known.members.iter().filter(|voter| voter.key.id == registration.id);
        let votes = own.any(is_here);
        let is_due = votes
            && known.members.len() > 1
            && known.leader.0 >= 0
            && !is_registered(&metadata.image(), &registration);
        if is_due {
            if let Err(code) = channel.decided(registration.to_request()).await {
                tracing::debug!(%code, "the controller is not registered yet");
            }
            tokio::time::sleep(REST).await;
        } else if view.changed().await.is_err() {
            return;
        }
    }
}

fn is_registered(image: &MetadataImage, registration: &ControllerRegistration) -> bool {
    let known = image.controllers().find(|known| known.controller_id == registration.id);
    known.is_some_and(|known| {
        let places = registration.endpoints.iter().map(|at| (&at.name, &at.host, at.port));
        known.end_points.iter().map(|at| (&at.name, &at.host, at.port)).eq(places)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(4);

    fn look(watch: &mut NamesakeWatch, epoch: i32, last_fetch: i64, now: Instant) -> bool {
        watch.is_gone(LeaderEpoch(epoch), Timestamp(last_fetch), now)
    }

    /// A node whose disk was lost could never vote again.
    #[test]
    fn a_namesake_that_never_fetches_is_gone() {
        let (mut watch, begin) = (NamesakeWatch::new(PATIENCE), Instant::now());
        assert!(!look(&mut watch, 1, 500, begin));
        assert!(!look(&mut watch, 1, 500, begin + PATIENCE / 2));
        assert!(look(&mut watch, 1, 500, begin + PATIENCE));
        assert!(!watch.has_seen_life);
    }

    /// A live voter would be taken out by whoever has its id.
    #[test]
    fn a_namesake_that_fetches_lives() {
        let (mut watch, begin) = (NamesakeWatch::new(PATIENCE), Instant::now());
        assert!(!look(&mut watch, 1, 500, begin));
        assert!(!look(&mut watch, 1, 900, begin + PATIENCE));
        assert!(watch.has_seen_life);
        assert!(!look(&mut watch, 1, 900, begin + 3 * PATIENCE));
    }

    /// A leader that has just been elected has heard of nobody, however alive.
    #[test]
    fn a_new_leader_begins_the_watch_anew() {
        let (mut watch, begin) = (NamesakeWatch::new(PATIENCE), Instant::now());
        assert!(!look(&mut watch, 1, 500, begin));
        assert!(!look(&mut watch, 2, -1, begin + PATIENCE));
        assert!(!watch.has_seen_life, "another leader's knowledge is no fetch");
        assert!(look(&mut watch, 2, -1, begin + 2 * PATIENCE));
    }
}
