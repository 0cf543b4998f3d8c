//! What this broker lets throttled replicas take (KIP-73): one quota for what followers fetch from
//! it, one for what it fetches itself. Partitions that nobody throttles never come here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use milena_cluster::replica;
use milena_cluster::replica::quota::{Allowance, Quota, Windows};
use milena_cluster::time::Instant;
use milena_protocol::ids::NodeId;
use parking_lot::Mutex;

/// A quota that many fetches share.
#[derive(Debug)]
pub struct Throttle(Mutex<Quota>);

impl Throttle {
    fn new(windows: Windows) -> Self {
        Self(Mutex::new(Quota::new(windows)))
    }

    /// What may go now.
    #[must_use]
    pub fn allowance(&self, now: Instant) -> Allowance {
        self.0.lock().allowance(now)
    }

    /// Counts what went.
    pub fn record(&self, now: Instant, bytes: usize) {
        self.0.lock().record(now, u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Bytes a second of late.
    #[must_use]
    pub fn rate(&self, now: Instant) -> f64 {
        self.0.lock().rate(now)
    }

    fn set_limit(&self, bytes_per_second: i64) -> bool {
        self.0.lock().set_limit(bytes_per_second)
    }
}

/// Both quotas of a broker.
#[derive(Debug)]
pub struct Throttles {
    /// Of what followers fetch here.
    pub leader: Throttle,
    /// Of what is fetched from leaders.
    pub follower: Throttle,
}

/// `leader.replication.throttled.rate` and `follower.replication.throttled.rate`, in bytes a
/// second; `i64::MAX` is without limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Of what followers fetch here.
    pub leader: i64,
    /// Of what is fetched from leaders.
    pub follower: i64,
}

impl Throttles {
    /// Without limits.
    #[must_use]
    pub fn new(windows: Windows) -> Self {
        Self { leader: Throttle::new(windows), follower: Throttle::new(windows) }
    }

    /// From now on it is so much; whether that is news to those who fetch.
    pub fn set_limits(&self, rates: Rates) -> bool {
        self.leader.set_limit(rates.leader);
        self.follower.set_limit(rates.follower)
    }
}

/// Whether a partition is throttled on this broker, by the role that it has here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttling {
    /// Where this broker leads.
    pub as_leader: bool,
    /// Where it follows.
    pub as_follower: bool,
}

/// What is known of a partition without its lock.
#[derive(Debug, Default)]
pub struct Throttled {
    as_leader: AtomicBool,
    as_follower: AtomicBool,
    is_in_sync: AtomicBool,
}

impl Throttled {
    /// Throttles it otherwise; answers how it was.
    pub fn swap(&self, throttling: Throttling) -> Throttling {
        Throttling {
            as_leader: self.as_leader.swap(throttling.as_leader, Ordering::AcqRel),
            as_follower: self.as_follower.swap(throttling.as_follower, Ordering::AcqRel),
        }
    }

    /// Whether it is throttled where this broker leads it.
    #[must_use]
    pub fn as_leader(&self) -> bool {
        self.as_leader.load(Ordering::Acquire)
    }

    /// Whether it is throttled where this broker follows.
    #[must_use]
    pub fn as_follower(&self) -> bool {
        self.as_follower.load(Ordering::Acquire)
    }

    /// Notes whether this broker is in sync by the controller's books.
    pub fn stand_in_sync(&self, is_in_sync: bool) {
        self.is_in_sync.store(is_in_sync, Ordering::Release);
    }

    /// Whether it is.
    #[must_use]
    pub fn is_in_sync(&self) -> bool {
        self.is_in_sync.load(Ordering::Acquire)
    }
}

/// A list of throttled replicas, and what it says.
#[derive(Debug)]
struct List {
    text: String,
    meaning: Arc<replica::Throttled>,
}

/// What topics' lists of throttled replicas say of this broker. A list that names every partition
/// is as long as the topic is large, and asked for with every change of one of them: it is read
/// once.
#[derive(Debug, Default)]
pub struct Lists(Mutex<BTreeMap<String, BTreeMap<&'static str, List>>>);

impl Lists {
    /// What the list of a topic under this key, which is `text` now, says of a broker that never
    /// is another.
    #[must_use]
    pub fn read(
        &self,
        node: NodeId,
        (topic, key): (&str, &'static str),
        text: String,
    ) -> Arc<replica::Throttled> {
        if text.is_empty() {
            // So it is with nearly all of them.
            self.forget(topic, key);
            return Arc::default();
        }
        let mut lists = self.0.lock();
        if let Some(list) = lists.get(topic).and_then(|lists| lists.get(key))
            && list.text == text
        {
            return Arc::clone(&list.meaning);
        }
        let meaning = Arc::new(replica::Throttled::on(node, &text));
        let list = List { text, meaning: Arc::clone(&meaning) };
        lists.entry(topic.to_owned()).or_default().insert(key, list);
        meaning
    }

    fn forget(&self, topic: &str, key: &str) {
        let mut lists = self.0.lock();
        if let Some(of_topic) = lists.get_mut(topic) {
            of_topic.remove(key);
            if of_topic.is_empty() {
                lists.remove(topic);
            }
        }
    }

    /// The topic is gone.
    pub fn forget_topic(&self, topic: &str) {
        self.0.lock().remove(topic);
    }
}

#[cfg(test)]
mod tests {
    use milena_protocol::ids::PartitionIndex;

    use super::*;

    /// Every change of a large topic would take as long as the topic is large, or a list of before
    /// stay in force.
    #[test]
    fn a_list_is_read_anew_only_if_it_is_another() {
        let lists = Lists::default();
        let read = |text: &str| lists.read(NodeId(1), ("t", "key"), text.to_owned());
        let first = read("0:1,1:2");
        assert!(first.contains(PartitionIndex(0)) && !first.contains(PartitionIndex(1)));
        assert!(Arc::ptr_eq(&first, &read("0:1,1:2")));
        assert!(read("1:1").contains(PartitionIndex(1)));
        assert!(!read("").contains(PartitionIndex(1)));
        assert!(lists.0.lock().is_empty());
        let of_other = lists.read(NodeId(1), ("u", "key"), "*".to_owned());
        assert!(of_other.contains(PartitionIndex(7)));
        lists.forget_topic("u");
        assert!(lists.0.lock().is_empty());
    }
}
