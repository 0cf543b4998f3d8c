//! How well a cluster is: the standing of its partitions, what is wrong, and what to do about it.
//!
//! A node judges from its image of the metadata for HTTP and for its figures, a client from what
//! brokers tell for the command line. What counts as wrong is said here alone.

use std::time::Duration;

use milena_client::admin::QuorumStatus;
use milena_cluster::configs;
use milena_cluster::metadata::image::PartitionImage;
use milena_protocol::ids::{NodeId, PartitionIndex};
use serde::Serialize;
use utoipa::ToSchema;

/// A voter that had not everything for so long is behind.
const BEHIND: Duration = Duration::from_secs(5);

/// How safe a partition is. There is no default: of one that nobody knows nothing is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether anybody takes its records.
    pub has_leader: bool,
    /// How many replicas it has, those on their way included.
    pub replicas: usize,
    /// How many of them a reassignment adds: they need not be in sync before it ends (KIP-455).
    pub adding: usize,
    /// How many are in sync.
    pub in_sync: usize,
    /// `min.insync.replicas`.
    pub min_in_sync: usize,
    /// Whether a reassignment is moving it.
    pub is_moving: bool,
}

impl Standing {
    /// How safe a partition is by the metadata.
    #[must_use]
    pub fn of(partition: &PartitionImage, min_in_sync: usize) -> Self {
        Self {
            has_leader: partition.leader != NodeId::NONE,
            replicas: partition.replicas.len(),
            adding: partition.adding_replicas.len(),
            in_sync: partition.isr.len(),
            min_in_sync,
            is_moving: partition.is_moving(),
        }
    }

    /// How many replicas shall be in sync.
    #[must_use]
    pub fn wanted(&self) -> usize {
        self.replicas.saturating_sub(self.adding)
    }

    /// Whether fewer replicas have everything than shall.
    #[must_use]
    pub fn is_under_replicated(&self) -> bool {
        self.in_sync < self.wanted()
    }

    /// Whether writes with acks=all are refused.
    #[must_use]
    pub fn is_under_min_isr(&self) -> bool {
        self.in_sync < self.enough()
    }

    /// Whether they are refused as soon as one more replica is lost.
    #[must_use]
    pub fn is_at_min_isr(&self) -> bool {
        self.in_sync == self.enough()
    }

    /// As many as have to be in sync; a partition cannot be asked for more than it has.
    fn enough(&self) -> usize {
        configs::min_in_sync(self.min_in_sync, self.replicas)
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Finding {
    /// What kind of thing.
    #[schema(example = "under-replicated partitions")]
    pub kind: &'static str,
    /// How many there are.
    pub count: usize,
    /// Which ones, as far as whoever asks may know of them.
    #[schema(example = json!(["orders-0"]))]
    pub which: Vec<String>,
    /// What it means, and what to do.
    pub advice: &'static str,
}

/// What is to be said of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Diagnosis {
    /// Whether nothing is wrong.
    pub healthy: bool,
    /// What is.
    pub findings: Vec<Finding>,
    /// Partitions whose replicas are on their way, which is no fault.
    pub reassignments: usize,
}

/// A broker that is fenced: its id and where it listens.
#[derive(Clone, Debug)]
pub struct Fenced {
    /// Its id.
    pub node_id: i32,
    /// Where it listens.
    pub address: String,
}

/// What there is to judge, partition by partition.
#[derive(Debug, Default)]
pub struct Examination {
    offline: Found,
    under_min_isr: Found,
    under_replicated: Found,
    moving: usize,
}

/// What was found of one kind.
#[derive(Debug, Default)]
struct Found {
    which: Vec<String>,
    /// Those that whoever asks may not know by name.
    unnamed: usize,
}

impl Examination {
    /// Looks at a partition, whose topic is none where whoever asks may not know of it. It is told
    /// once, for the worst.
    pub fn partition(&mut self, topic: Option<&str>, index: PartitionIndex, standing: &Standing) {
        self.moving += usize::from(standing.is_moving);
        let found = if !standing.has_leader {
            &mut self.offline
        } else if standing.is_under_min_isr() {
            &mut self.under_min_isr
        } else if standing.is_under_replicated() {
            &mut self.under_replicated
        } else {
            return;
        };
        match topic {
            Some(topic) => found.which.push(format!("{topic}-{index}")),
            None => found.unnamed += 1,
        }
    }

    /// What is wrong with these partitions, with these brokers, and with a quorum, of which nobody
    /// tells where nobody leads it.
    #[must_use]
    pub fn diagnose(self, fenced: &[Fenced], quorum: Option<&QuorumStatus>) -> Diagnosis {
        let shown = |broker: &Fenced| format!("{} at {}", broker.node_id, broker.address);
        let mut findings = vec![
            Finding::of(
                "fenced brokers",
                fenced.iter().map(shown).collect(),
                "start them, or take them out with `milena cluster remove NODE`",
            ),
            self.offline.finding(
                "partitions without a leader",
                "nothing can be written or read: bring back a broker that has a replica",
            ),
            self.under_min_isr.finding(
                "partitions under min.insync.replicas",
                "writes with acks=all are refused until more replicas are in sync",
            ),
            self.under_replicated.finding(
                "under-replicated partitions",
                "fewer brokers have everything than shall: they catch up, or are missing",
            ),
            of_quorum(quorum),
        ];
        findings.retain(|finding| finding.count > 0);
        Diagnosis { healthy: findings.is_empty(), findings, reassignments: self.moving }
    }
}

impl Found {
    fn finding(self, kind: &'static str, advice: &'static str) -> Finding {
        let count = self.which.len() + self.unnamed;
        Finding { count, ..Finding::of(kind, self.which, advice) }
    }
}

fn of_quorum(quorum: Option<&QuorumStatus>) -> Finding {
    let Some(quorum) = quorum else {
        return Finding::of(
            "the metadata quorum",
            vec!["no leader answers".to_owned()],
            "start voters until a majority runs; `milena quorum recover` is the last resort",
        );
    };
    Finding::of(
        "voters behind",
        quorum.behind(BEHIND).iter().map(ToString::to_string).collect(),
        "with a majority of the voters gone, nothing can be changed any more",
    )
}

impl Finding {
    fn of(kind: &'static str, which: Vec<String>, advice: &'static str) -> Self {
        Self { kind, count: which.len(), which, advice }
    }
}

#[cfg(test)]
mod tests {
    use milena_client::admin::QuorumReplica;
    use milena_protocol::ids::{LeaderEpoch, Offset, Timestamp, Uuid};

    use super::*;

    const WELL: Standing = Standing {
        has_leader: true,
        replicas: 3,
        adding: 0,
        in_sync: 3,
        min_in_sync: 2,
        is_moving: false,
    };

    fn quorum(caught_up: [i64; 3]) -> QuorumStatus {
        let voter = |(id, at): (i32, i64)| QuorumReplica {
            node_id: NodeId(id),
            directory_id: Uuid::ZERO,
            log_end_offset: Offset(10),
            last_fetch: Timestamp(at),
            last_caught_up: Timestamp(at),
        };
        QuorumStatus {
            leader_id: NodeId(1),
            leader_epoch: LeaderEpoch(4),
            high_watermark: Offset(10),
            voters: (1..).zip(caught_up).map(voter).collect(),
            observers: Vec::new(),
            listeners: std::collections::BTreeMap::new(),
        }
    }

    fn kinds(diagnosis: &Diagnosis) -> Vec<(&'static str, Vec<&str>)> {
        let which = |finding: &Finding| finding.kind;
        let findings = diagnosis.findings.iter();
        findings.map(|it| (which(it), it.which.iter().map(String::as_str).collect())).collect()
    }

    /// An operator would be told of one partition three times, or of the lesser trouble only.
    #[test]
    fn a_partition_is_told_once_for_the_worst() {
        let mut seen = Examination::default();
        let standings = [
            WELL,
            Standing { in_sync: 2, ..WELL },
            Standing { in_sync: 1, ..WELL },
            Standing { in_sync: 0, has_leader: false, ..WELL },
        ];
        for (index, standing) in (0..).zip(standings) {
            seen.partition(Some("t"), PartitionIndex(index), &standing);
        }
        let diagnosis = seen.diagnose(&[], Some(&quorum([9_000, 9_000, 8_000])));
        let expected = [
            ("partitions without a leader", vec!["t-3"]),
            ("partitions under min.insync.replicas", vec!["t-2"]),
            ("under-replicated partitions", vec!["t-1"]),
        ];
        assert_eq!(kinds(&diagnosis), expected);
        assert!(!diagnosis.healthy);
    }

    /// Whoever may look at the cluster would learn the names of all topics, or be told that all is
    /// well with those that are kept from them.
    #[test]
    fn topics_that_are_kept_from_whoever_asks_are_counted() {
        let mut seen = Examination::default();
        let lost = Standing { has_leader: false, ..WELL };
        seen.partition(None, PartitionIndex(0), &lost);
        seen.partition(Some("t"), PartitionIndex(1), &lost);
        let diagnosis = seen.diagnose(&[], Some(&quorum([9_000; 3])));
        let finding = &diagnosis.findings[0];
        assert_eq!((finding.count, finding.which.as_slice()), (2, &["t-1".to_owned()][..]));
    }

    /// A cluster without a controller, with dead brokers or voters would be called well.
    #[test]
    fn brokers_and_voters_that_are_missed_are_told() {
        let fenced = [Fenced { node_id: 3, address: "c:9092".to_owned() }];
        let diagnosis = Examination::default().diagnose(&fenced, None);
        let expected = [
            ("fenced brokers", vec!["3 at c:9092"]),
            ("the metadata quorum", vec!["no leader answers"]),
        ];
        assert_eq!(kinds(&diagnosis), expected);
        let told = |caught_up| {
            let quorum = quorum(caught_up);
            Examination::default().diagnose(&[], Some(&quorum)).findings
        };
        assert_eq!(told([9_000, 9_000, 4_000]), []);
        assert_eq!(told([9_000, -1, 3_999])[0].which, ["2", "3"]);
    }

    /// Every move would raise the alarm that a replica is lost.
    #[test]
    fn what_moves_is_no_fault() {
        let mut seen = Examination::default();
        let moved = Standing { replicas: 4, adding: 1, is_moving: true, ..WELL };
        seen.partition(Some("t"), PartitionIndex(0), &moved);
        let diagnosis = seen.diagnose(&[], Some(&quorum([9_000; 3])));
        assert_eq!((diagnosis.healthy, diagnosis.reassignments), (true, 1));
    }

    /// A topic that asks for more replicas than it has could never be written to.
    #[test]
    fn all_replicas_are_enough() {
        let single = Standing { replicas: 1, in_sync: 1, min_in_sync: 3, ..WELL };
        assert!(!single.is_under_min_isr() && single.is_at_min_isr());
        assert!(!single.is_under_replicated());
        let emptied = Standing { in_sync: 0, min_in_sync: 0, ..single };
        assert!(emptied.is_under_min_isr() && !emptied.is_at_min_isr());
    }
}
