//! One direction between two ends, and what is wrong with it.
//!
//! What is written to a link arrives in order and whole, or not yet: TCP hides loss behind time. A
//! cut holds everything back until it is healed, as retransmission would.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::cluster::plan::NodeId;
use crate::random::Random;

/// How long until a lost packet is sent again, as Linux does at least.
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// How often it may be lost again.
const MAX_LOSSES: u32 = 4;

/// Who is at an end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Any client.
    Client,
    /// A node.
    Node(NodeId),
}

/// What a link does to what it carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// Nothing arrives.
    pub is_cut: bool,
    /// Of a hundred pieces, how many are lost and sent again.
    pub loss_percent: u64,
    /// How late everything is.
    pub delay: Duration,
    /// How much later than that some of it is.
    pub jitter: Duration,
}

impl Quality {
    /// A cut.
    #[must_use]
    pub fn cut() -> Self {
        Self { is_cut: true, ..Self::default() }
    }

    /// Loses 5 to 30 of a hundred.
    #[must_use]
    pub fn lossy(random: &mut Random) -> Self {
        Self { loss_percent: 5 + random.below(26), ..Self::default() }
    }

    /// Is 20 to 200 ms late, give or take as much.
    #[must_use]
    pub fn slow(random: &mut Random) -> Self {
        let delay = Duration::from_millis(20 + random.below(181));
        Self { delay, jitter: delay, ..Self::default() }
    }

    /// How long a piece takes.
    #[must_use]
    pub fn latency(&self, random: &mut Random) -> Duration {
        let jitter = u64::try_from(self.jitter.as_micros()).unwrap_or(u64::MAX);
        let mut latency = self.delay + Duration::from_micros(random.below(jitter));
        let mut wait = RETRANSMISSION;
        for _ in 0..MAX_LOSSES {
            if random.below(100) >= self.loss_percent {
                break;
            }
            latency += wait;
            wait *= 2;
        }
        latency
    }
}

/// Links by where they begin and end.
type ByEnds = BTreeMap<(End, End), watch::Sender<Quality>>;

/// All links; those that nobody asked for yet are good.
#[derive(Clone, Debug, Default)]
pub struct Links {
    links: Arc<Mutex<ByEnds>>,
}

impl Links {
    /// The link from one end to another, to be looked at and waited for.
    #[must_use]
    pub fn get(&self, from: End, to: End) -> watch::Receiver<Quality> {
        self.links.lock().entry((from, to)).or_default().subscribe()
    }

    /// Changes a link. What an end sends to itself is not touched.
    pub fn set(&self, from: End, to: End, quality: Quality) {
        if from != to {
            self.links.lock().entry((from, to)).or_default().send_replace(quality);
        }
    }

    /// Makes all links good.
    pub fn heal(&self) {
        for link in self.links.lock().values() {
            link.send_replace(Quality::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loss would be without effect, or a piece never come.
    #[test]
    fn loss_is_time() {
        let mut random = Random::of(1);
        let latencies = |quality: Quality, random: &mut Random| -> Vec<Duration> {
            (0..1_000).map(|_| quality.latency(random)).collect()
        };
        assert!(latencies(Quality::default(), &mut random).iter().all(Duration::is_zero));
        let lossy = latencies(Quality { loss_percent: 20, ..Quality::default() }, &mut random);
        let late = lossy.iter().filter(|latency| **latency >= RETRANSMISSION).count();
        assert!((100..300).contains(&late), "{late}");
        assert!(lossy.iter().all(|latency| *latency <= RETRANSMISSION * 15));
        let delay = Duration::from_millis(50);
        let slow = latencies(Quality { delay, jitter: delay, ..Quality::default() }, &mut random);
        assert!(slow.iter().all(|latency| (delay..delay * 2).contains(latency)));
    }

    /// A partition would be one-way, or outlast its time.
    #[test]
    fn each_direction_is_its_own() {
        let links = Links::default();
        let (one, other) = (End::Node(NodeId(1)), End::Node(NodeId(2)));
        links.set(one, other, Quality::cut());
        links.set(one, one, Quality::cut());
        let is_cut = |from, to| links.get(from, to).borrow().is_cut;
        assert!(is_cut(one, other) && !is_cut(other, one) && !is_cut(one, one));
        links.heal();
        assert!(!links.get(one, other).borrow().is_cut);
    }
}
