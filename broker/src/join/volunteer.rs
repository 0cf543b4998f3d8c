//! A controller that does not vote yet asks to, and one that votes makes itself known.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use milena_cluster::controller::brokers::ControllerRegistration;
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::quorum::{AddVoterRequest, RemoveVoterRequest, Voter};
use milena_cluster::wire::{Carried, Link};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::Offset;

use super::found::Found;
use crate::drivers::controller::QuorumView;
use crate::metadata::Published;
use crate::peers::ActiveController;

/// The rest between two attempts.
const REST: Duration = Duration::from_millis(100);

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
}

/// Asks for a vote until it has one.
pub async fn stand(candidacy: Candidacy) {
    loop {
        let view = candidacy.channel.local().quorum();
        let votes = view.members.iter().any(|voter| voter.key == candidacy.me.key);
        let outcome = if votes { Ok(true) } else { candidacy.ask(&view).await };
        match outcome {
            Ok(true) => {
                tracing::info!("this node votes in the metadata quorum");
                candidacy.note();
                return;
            }
            Ok(false) | Err(ErrorCode::DUPLICATE_VOTER | ErrorCode::REQUEST_TIMED_OUT) => {}
            Err(ErrorCode::UNSUPPORTED_VERSION) => {
                tracing::info!(
                    "the voters of this cluster are configured: this node stays an observer"
                );
                return;
            }
            Err(code) => tracing::debug!(%code, "not a voter yet"),
        }
        tokio::time::sleep(REST).await;
    }
}

impl Candidacy {
    /// Does what is due; true once the quorum has committed that this node votes.
    async fn ask(&self, view: &QuorumView) -> Result<bool, ErrorCode> {
        let is_known = view.high_watermark > Offset::ZERO && view.leader.0 >= 0;
        let same_node = view.members.iter().find(|voter| voter.key.id == self.me.key.id);
        if !is_known {
            return Ok(false);
        }
        if let Some(old) = same_node {
            // This node's own vote, on a directory that it has lost.
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

fn checked(code: ErrorCode) -> Result<(), ErrorCode> {
    if code.is_none() { Ok(()) } else { Err(code) }
}

/// Keeps the metadata true to where a controller listens that votes with others (KIP-919).
pub async fn keep_registered(
    registration: ControllerRegistration,
    channel: ActiveController,
    metadata: Arc<Published>,
) {
    let mut view = channel.local().watch();
    loop {
        let known = view.borrow_and_update().clone();
        let votes = known.members.iter().any(|voter| voter.key.id == registration.id);
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
