//! One courier: one connection to one member, one request at a time.

use std::time::Duration;

use milena_client::connection::Connection;
use milena_client::error::ClientError;
use milena_cluster::quorum::{Envelope, Message, Request, Response};
use milena_cluster::wire::{BadAnswer, Carried};
use tokio::sync::mpsc::Receiver;

use super::errand::{Errand, Office};
use crate::network::gone::is_refused;

/// How often a member whose connection broke is tried: a process that ends does not close all its
/// sockets at the same moment.
const ATTEMPTS: usize = 3;
/// The rest between two attempts.
const REST: Duration = Duration::from_millis(10);

/// Why a request came to nothing.
enum Trouble {
    /// The connection.
    Client(ClientError),
    /// What came over it.
    Answer(BadAnswer),
    /// It is none that goes over the wire.
    NotCarried,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Client(error) => error.fmt(f),
            Self::Answer(error) => error.fmt(f),
            Self::NotCarried => f.write_str("the request is not one of the quorum's own"),
        }
    }
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// Takes requests to one member.
pub(super) struct Courier {
    office: Office,
    connection: Option<Connection>,
}

impl Courier {
    pub(super) fn new(office: Office) -> Self {
        Self { office, connection: None }
    }

    /// Carries until nobody hands anything in any more.
    pub(super) async fn run(mut self, mut errands: Receiver<Errand>) {
        while let Some(errand) = errands.recv().await {
            match self.carry(&errand).await {
                Ok(response) => {
                    let (error, epoch) = (response.error, response.epoch.0);
                    tracing::trace!(node = errand.to.0, %error, epoch, "answer of the quorum");
                    self.office.inbox.answered(Envelope {
                        peer: errand.to,
                        correlation: errand.correlation,
                        message: Message::Response(response),
                    });
                }
                Err(trouble) => {
                    tracing::debug!(node = errand.to.0, %trouble, "no answer of the quorum");
                    self.connection = None;
                    self.office.inbox.unanswered(errand.to, errand.correlation);
                    self.look_after(&errand, &trouble).await;
                }
            }
        }
    }

    async fn carry(&mut self, errand: &Errand) -> Result<Response, Trouble> {
        let is_usable = |known: &Connection| known.address() == errand.address && !known.is_lost();
        if !self.connection.as_ref().is_some_and(is_usable) {
            self.connection = None;
            let options = self.office.options.clone();
            self.connection = Some(Connection::open(&errand.address, options).await?);
        }
        match &errand.request {
            Request::Vote(message) => self.exchange(message).await,
            Request::BeginQuorumEpoch(message) => self.exchange(message).await,
            Request::EndQuorumEpoch(message) => self.exchange(message).await,
            Request::Fetch(message) => self.exchange(message).await,
            Request::FetchSnapshot(message) => self.exchange(message).await,
            Request::UpdateVoter(message) => self.exchange(message).await,
            Request::AddVoter(_) | Request::RemoveVoter(_) | Request::DescribeQuorum => {
                Err(Trouble::NotCarried)
            }
        }
    }

    async fn exchange<M: Carried>(&self, message: &M) -> Result<Response, Trouble> {
        let connection = self.connection.as_ref().ok_or(Trouble::NotCarried)?;
        let answer = connection.ask(&message.carry(&self.office.link)).await?;
        M::unpack_answer(answer, &self.office.link).map_err(Trouble::Answer)
    }

    /// A connection that broke may tell that the other process has ended: then nobody listens
    /// there any more, and its silence need not be waited for.
    async fn look_after(&self, errand: &Errand, trouble: &Trouble) {
        let is_lost = matches!(
            trouble,
            Trouble::Client(ClientError::Disconnected { .. } | ClientError::Unreachable { .. })
        );
        if !is_lost {
            return;
        }
        for _ in 0..ATTEMPTS {
            if is_refused(&errand.address, self.office.options.connect_timeout).await {
                return self.office.inbox.gone(errand.to);
            }
            tokio::time::sleep(REST).await;
        }
    }
}
