//! The way to the other members of the quorum. The controller's thread hands requests in and never
//! waits; each is carried by a courier, and the answer comes back into the thread's queue.
//!
//! A member has two couriers: a fetch waits at the leader for something new, and a vote must not
//! wait behind it.

mod active;
mod asked;
mod courier;
mod errand;

use std::collections::BTreeMap;
use std::time::Duration;

use milena_client::connection::ConnectionOptions;
use milena_cluster::quorum::{Endpoint, Request};
use milena_cluster::wire::Link;
use milena_protocol::ids::NodeId;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Sender, channel, error::TrySendError};

use crate::config::HostPort;
use crate::drivers::controller::{Inbox, Outgoing};
use courier::Courier;
use errand::{Errand, Office};

pub use active::ActiveController;

/// Requests that may wait for one courier. The quorum asks again what it gets no answer to.
const QUEUE: usize = 16;
/// An answer holds at most a piece of the log or of a snapshot, and one batch more.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Which of a member's couriers takes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    /// What may wait at the other end.
    Fetches,
    /// What is answered at once.
    Others,
}

impl Lane {
    fn of(request: &Request) -> Self {
        match request {
            Request::Fetch(_) | Request::FetchSnapshot(_) => Self::Fetches,
            _ => Self::Others,
        }
    }
}

/// The way to the other members.
pub struct Peers {
    runtime: Handle,
    office: Office,
    /// Who can be asked for the leader by those who know nobody.
    servers: Vec<HostPort>,
    couriers: BTreeMap<(NodeId, Lane), Sender<Errand>>,
}

impl Peers {
    /// Nobody is connected yet. Couriers run on the runtime that is current.
    #[must_use]
    pub fn new(
        inbox: Inbox,
        link: Link,
        servers: Vec<HostPort>,
        request_timeout: Duration,
    ) -> Self {
        let options = ConnectionOptions {
            client_id: "milena-quorum".to_owned(),
            connect_timeout: request_timeout,
            request_timeout,
            max_answer_bytes: MAX_ANSWER_BYTES,
        };
        let office = Office { inbox, link, options };
        Self { runtime: Handle::current(), office, servers, couriers: BTreeMap::new() }
    }

    /// Takes a request on its way, or loses it.
    pub fn send(&mut self, outgoing: Outgoing) {
        let Outgoing { to, endpoints, correlation, request } = outgoing;
        let Some(address) = self.address(to, &endpoints) else {
            tracing::debug!(node = to.0, "no address of a member of the quorum is known");
            return;
        };
        let lane = Lane::of(&request);
        let errand = Errand { to, address, correlation, request };
        let courier = self
            .couriers
            .entry((to, lane))
            .or_insert_with(|| hire(&self.runtime, self.office.clone()));
        match courier.try_send(errand) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                tracing::debug!(
                    node = to.0,
                    "a member of the quorum is slow: a request is dropped"
                );
            }
            Err(TrySendError::Closed(_)) => {
                self.couriers.remove(&(to, lane));
            }
        }
    }

    fn address(&self, to: NodeId, endpoints: &[Endpoint]) -> Option<String> {
        if to < NodeId::NONE {
            let at = usize::try_from(-2 - i64::from(to.0)).ok()?;
            return self.servers.get(at).map(ToString::to_string);
        }
        let named =
            |endpoint: &&Endpoint| endpoint.name.eq_ignore_ascii_case(&self.office.link.listener);
        let endpoint = endpoints.iter().find(named).or(endpoints.first())?;
        let place = HostPort { host: endpoint.host.clone(), port: endpoint.port };
        Some(place.to_string())
    }
}

fn hire(runtime: &Handle, office: Office) -> Sender<Errand> {
    let (sender, errands) = channel(QUEUE);
    runtime.spawn(Courier::new(office).run(errands));
    sender
}
