//! A member of a classic group.

use std::time::Duration;

use bytes::Bytes;
use milena_protocol::api::join_group::JoinGroupRequestProtocol;
use milena_protocol::codec::Text;

use crate::coordinator::Ticket;
use crate::time::Instant;

/// What a member has in a record besides its texts: the rest of its id, timeouts and lengths.
const MEMBER_BYTES: usize = 100;

/// A member of a classic group.
#[derive(Clone, Debug)]
pub struct Member {
    /// The name of a static member.
    pub instance_id: Option<Text>,
    /// What the client calls itself.
    pub client_id: Text,
    /// The host that it connects from.
    pub client_host: Text,
    /// Without a word for so long it counts as gone.
    pub session_timeout: Duration,
    /// So long it may take to join again.
    pub rebalance_timeout: Duration,
    /// The protocols that it could use, best first, each once.
    pub protocols: Vec<JoinGroupRequestProtocol>,
    /// Its part of the generation.
    pub assignment: Bytes,
    /// It waits for the next generation.
    pub joining: Option<Ticket>,
    /// It waits for its part.
    pub syncing: Option<Ticket>,
    /// It has not been told its id in an answer yet, so it cannot send heartbeats.
    pub is_new: bool,
    /// When its session ends.
    pub expires_at: Instant,
}

impl Member {
    /// What it says of itself, in bytes of a record, or more. Its id is not known here: it is made
    /// of what is, or was.
    pub(super) fn said_bytes(&self) -> usize {
        let instance_id = self.instance_id.as_ref();
        said_bytes(&self.client_id, &self.client_host, instance_id, &self.protocols)
    }

    /// What it says in a protocol.
    #[must_use]
    pub fn metadata(&self, protocol: &str) -> Bytes {
        let known = self.protocols.iter().find(|known| known.name == *protocol);
        known.map(|known| known.metadata.clone()).unwrap_or_default()
    }

    /// When it counts as gone. One that waits for an answer is alive, unless it is new and waits
    /// for longer than anyone would.
    #[must_use]
    pub fn gone_at(&self) -> Option<Instant> {
        let waits = self.joining.is_some() || self.syncing.is_some();
        (self.is_new || !waits).then_some(self.expires_at)
    }
}

/// What a member says of itself, in bytes of a record, or more.
pub(super) fn said_bytes(
    client_id: &str,
    client_host: &str,
    instance_id: Option<&Text>,
    protocols: &[JoinGroupRequestProtocol],
) -> usize {
    let said: usize =
        protocols.iter().map(|protocol| protocol.name.len() + protocol.metadata.len()).sum();
    // The id begins with one of the names.
    let names = 2 * client_id.len() + 2 * instance_id.map_or(0, |id| id.len());
    MEMBER_BYTES + names + client_host.len() + said
}
