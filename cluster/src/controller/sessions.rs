//! Who was heard of, and when (KIP-631; facts K4, K5, K6).
//!
//! The soft state of the active controller: it is in no log. A controller that becomes active
//! begins anew, with a full session for every broker that is not fenced, since silence before its
//! time says nothing.
//!
//! The driver keeps it beside the [`Controller`](super::Controller), tells it of every heartbeat
//! before that is decided on ([`Sessions::heard`]) and of every batch that was replayed
//! ([`Sessions::follow`]). It holds exactly the registered brokers, each under the epoch of its
//! registration.

use std::collections::BTreeMap;
use std::time::Duration;

use milena_protocol::ids::{BrokerEpoch, NodeId, Offset};

use crate::metadata::image::{BrokerImage, MetadataImage};
use crate::time::Instant;

/// When each broker was heard of, and what it had read by then.
#[derive(Clone, Debug)]
pub struct Sessions {
    timeout: Duration,
    brokers: BTreeMap<NodeId, Session>,
}

/// One registration of a broker.
#[derive(Clone, Debug)]
struct Session {
    epoch: BrokerEpoch,
    is_fenced: bool,
    is_stopping: bool,
    /// Nothing where it was not heard of yet, or is known to be gone.
    heard_at: Option<Instant>,
    /// The last offset of the metadata that it has read.
    metadata_offset: Offset,
    /// What the others have to have read before it may stop.
    stops_after: Option<Offset>,
}

impl Session {
    fn of(broker: &BrokerImage, heard_at: Option<Instant>) -> Self {
        Self {
            epoch: broker.epoch,
            is_fenced: broker.fenced,
            is_stopping: broker.in_controlled_shutdown,
            heard_at,
            metadata_offset: Offset::NONE,
            stops_after: None,
        }
    }

    fn is_live(&self, now: Instant, timeout: Duration) -> bool {
        self.heard_at.is_some_and(|heard_at| now.since(heard_at) < timeout)
    }
}

impl Sessions {
    /// Begins when a controller becomes active. The timeout is
    /// [`Controller::session_timeout`](super::Controller::session_timeout).
    #[must_use]
    pub fn begin(now: Instant, timeout: Duration, image: &MetadataImage) -> Self {
        let known = |broker: &BrokerImage| {
            (broker.id, Session::of(broker, (!broker.fenced).then_some(now)))
        };
        let mut sessions = Self { timeout, brokers: image.brokers().map(known).collect() };
        sessions.follow(now, image);
        sessions
    }

    /// Takes note of what was decided and replayed. Whoever is registered or unfenced by that
    /// begins a session: of two that want the same id at the same time only one gets it. What tells
    /// that a broker stops has to be read by the others before it may.
    pub fn follow(&mut self, now: Instant, image: &MetadataImage) {
        self.brokers
            .retain(|id, known| image.broker(*id).is_some_and(|it| it.epoch == known.epoch));
        for broker in image.brokers() {
            let known =
                self.brokers.entry(broker.id).or_insert_with(|| Session::of(broker, Some(now)));
            if known.is_fenced && !broker.fenced && known.heard_at.is_none() {
                known.heard_at = Some(now);
            }
            known.is_fenced = broker.fenced;
            known.is_stopping = broker.in_controlled_shutdown;
            let is_leaving = known.is_stopping && !known.is_fenced;
            known.stops_after = is_leaving.then(|| known.stops_after.unwrap_or(image.offset()));
        }
    }

    /// Takes note of a heartbeat, and of how far its broker has read the metadata. One of another
    /// registration is no sign of life of this one.
    pub fn heard(&mut self, now: Instant, id: NodeId, epoch: BrokerEpoch, read: Offset) {
        if let Some(known) = self.brokers.get_mut(&id).filter(|known| known.epoch == epoch) {
            known.heard_at = Some(now);
            known.metadata_offset = read;
        }
    }

    /// Ends the session of a broker whose process is known to be gone: its connection was reset,
    /// and a new one is refused.
    pub fn expire(&mut self, id: NodeId) {
        if let Some(known) = self.brokers.get_mut(&id) {
            known.heard_at = None;
        }
    }

    /// Whether a registered broker was heard of within its session, fenced or not.
    #[must_use]
    pub fn is_live(&self, now: Instant, id: NodeId) -> bool {
        self.brokers.get(&id).is_some_and(|known| known.is_live(now, self.timeout))
    }

    /// The broker that is to be fenced now: of those that were not heard of within their session,
    /// the one that has been silent for longest. One at a time, so that what follows from its
    /// going is known when the next one goes.
    #[must_use]
    pub fn stale(&self, now: Instant) -> Option<NodeId> {
        let silent = self.unfenced().filter(|(_, known)| !known.is_live(now, self.timeout));
        silent.min_by_key(|(_, known)| known.heard_at).map(|(id, _)| *id)
    }

    /// When to look for silent brokers again; nothing where none could fall silent.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let lapses = |known: &Session| {
            known.heard_at.map_or(Instant::default(), |heard_at| heard_at.plus(self.timeout))
        };
        self.unfenced().map(|(_, known)| lapses(known)).min()
    }

    /// Whether every other broker that takes part has read that this one stops.
    #[must_use]
    pub fn may_stop(&self, id: NodeId) -> bool {
        let Some(offset) = self.brokers.get(&id).and_then(|known| known.stops_after) else {
            return false;
        };
        let others = self.unfenced().filter(|(other, known)| **other != id && !known.is_stopping);
        others.map(|(_, known)| known.metadata_offset).all(|read| read >= offset)
    }

    fn unfenced(&self) -> impl Iterator<Item = (&NodeId, &Session)> {
        self.brokers.iter().filter(|(_, known)| !known.is_fenced)
    }

    /// What holds after every batch that was followed.
    ///
    /// # Panics
    /// When it does not: a bug.
    pub fn check_invariants(&self, image: &MetadataImage) {
        assert_eq!(self.brokers.len(), image.brokers().len(), "exactly the registered brokers");
        for broker in image.brokers() {
            let known = self.brokers.get(&broker.id).expect("a registered broker");
            assert_eq!((known.epoch, known.is_fenced), (broker.epoch, broker.fenced));
            let is_leaving = broker.in_controlled_shutdown && !broker.fenced;
            assert_eq!(known.stops_after.is_some(), is_leaving, "who stops waits for the others");
        }
    }
}

#[cfg(test)]
mod tests {
    use milena_protocol::ids::LeaderEpoch;
    use milena_protocol::metadata_record::{
        BrokerRegistrationChangeRecord, MetadataRecord, RegisterBrokerRecord,
    };

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(9);

    fn at(seconds: u64) -> Instant {
        Instant(seconds * 1000)
    }

    struct Stage {
        image: MetadataImage,
        sessions: Sessions,
    }

    impl Stage {
        /// Brokers 1, 2 and 3, unfenced, with the epochs 101, 102 and 103; active since second 0.
        fn new() -> Self {
            let mut image = MetadataImage::default();
            for (offset, id) in (1..=3).enumerate() {
                let record = registration(id, 100 + i64::from(id), false);
                image.replay(Offset(offset as i64), LeaderEpoch(1), &record).unwrap();
            }
            let sessions = Sessions::begin(at(0), TIMEOUT, &image);
            Self { image, sessions }
        }

        fn replay(&mut self, seconds: u64, record: impl Into<MetadataRecord>) {
            let offset = self.image.offset().plus(1);
            self.image.replay(offset, LeaderEpoch(1), &record.into()).unwrap();
            self.sessions.follow(at(seconds), &self.image);
            self.sessions.check_invariants(&self.image);
        }

        fn hear(&mut self, seconds: u64, id: i32) {
            self.hear_epoch(seconds, id, 100 + i64::from(id));
        }

        fn hear_epoch(&mut self, seconds: u64, id: i32, epoch: i64) {
            self.sessions.heard(at(seconds), NodeId(id), BrokerEpoch(epoch), self.image.offset());
        }

        fn stale(&self, seconds: u64) -> Option<i32> {
            self.sessions.stale(at(seconds)).map(|id| id.0)
        }
    }

    fn registration(id: i32, epoch: i64, fenced: bool) -> MetadataRecord {
        RegisterBrokerRecord {
            broker_id: NodeId(id),
            broker_epoch: BrokerEpoch(epoch),
            fenced,
            ..Default::default()
        }
        .into()
    }

    fn change(id: i32, fenced: i8, in_controlled_shutdown: i8) -> BrokerRegistrationChangeRecord {
        BrokerRegistrationChangeRecord {
            broker_id: NodeId(id),
            broker_epoch: BrokerEpoch(100 + i64::from(id)),
            fenced,
            in_controlled_shutdown,
            ..Default::default()
        }
    }

    /// Whoever falls silent would lead on, or whoever speaks would be fenced.
    #[test]
    fn the_longest_silent_is_fenced_first() {
        let mut stage = Stage::new();
        stage.hear(4, 1);
        stage.hear(2, 2);
        stage.hear(3, 3);
        assert_eq!(stage.sessions.deadline(), Some(at(11)));
        assert_eq!(stage.stale(10), None);
        assert_eq!(stage.stale(14), Some(2));
        stage.replay(14, change(2, 1, 0));
        assert_eq!(stage.stale(14), Some(3));
        stage.replay(14, change(3, 1, 0));
        assert_eq!(stage.stale(14), Some(1));
        stage.replay(14, change(1, 1, 0));
        assert_eq!((stage.stale(14), stage.sessions.deadline()), (None, None));
    }

    /// A controller that takes over would fence everybody who had no time to find it.
    #[test]
    fn a_new_controller_begins_with_full_sessions() {
        let stage = Stage::new();
        let sessions = Sessions::begin(at(100), TIMEOUT, &stage.image);
        assert_eq!(sessions.stale(at(108)), None);
        assert_eq!(sessions.deadline(), Some(at(109)));
        assert_eq!(sessions.stale(at(109)), Some(NodeId(1)));
    }

    /// A killed process would be waited for all of its session.
    #[test]
    fn a_process_that_is_gone_is_stale_at_once() {
        let mut stage = Stage::new();
        stage.hear(1, 2);
        stage.sessions.expire(NodeId(2));
        assert!(!stage.sessions.is_live(at(1), NodeId(2)));
        assert_eq!((stage.stale(1), stage.sessions.deadline()), (Some(2), Some(at(0))));
        // What is decided about others does not bring it back; a sign of life does.
        stage.replay(1, change(3, 1, 0));
        assert_eq!(stage.stale(1), Some(2));
        stage.hear(1, 2);
        assert_eq!(stage.stale(1), None);
    }

    /// The heartbeats of a zombie would keep the session of its successor alive.
    #[test]
    fn only_the_registered_epoch_is_a_sign_of_life() {
        let mut stage = Stage::new();
        stage.hear_epoch(5, 1, 99);
        assert_eq!(stage.stale(9), Some(1));
        stage.replay(9, registration(1, 200, true));
        assert!(stage.sessions.is_live(at(17), NodeId(1)), "who registers is there, if fenced");
        stage.hear(17, 1);
        assert!(!stage.sessions.is_live(at(18), NodeId(1)));
        stage.hear_epoch(18, 1, 200);
        assert!(stage.sessions.is_live(at(18), NodeId(1)), "a fenced broker has a session too");
    }

    /// A client would be sent to a broker that is gone, by one that has not read that it goes.
    #[test]
    fn a_broker_stops_after_all_others_have_read_of_it() {
        let mut stage = Stage::new();
        (1..=3).for_each(|id| stage.hear(1, id));
        assert!(!stage.sessions.may_stop(NodeId(1)));
        stage.replay(2, change(1, 0, 1));
        assert!(!stage.sessions.may_stop(NodeId(1)));
        stage.hear(3, 2);
        assert!(!stage.sessions.may_stop(NodeId(1)));
        stage.hear(3, 3);
        assert!(stage.sessions.may_stop(NodeId(1)));
        // What comes later is not waited for.
        stage.replay(4, change(2, 0, 1));
        assert!(stage.sessions.may_stop(NodeId(1)) && !stage.sessions.may_stop(NodeId(2)));
        stage.hear(5, 3);
        assert!(stage.sessions.may_stop(NodeId(2)));
    }
}
