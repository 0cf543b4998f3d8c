//! A machine: disks that outlive its processes, all but what is not synced outlives its kernel;
//! and the process that runs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use milena_cluster::controller::Sessions;
use milena_cluster::controller::ledger::Ledger;
use milena_cluster::metadata::delta::Changes;
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::quorum::{self, Batch, Membership, SnapshotId, Voter};
use milena_cluster::time::Instant;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionIndex, Uuid};

use crate::broker::Broker;
use crate::clock::Clock;
use crate::disk::Disk;
use crate::network::Told;
use crate::recovery;
use crate::simulation::rng::Rng;

/// A partition of a topic.
pub type Key = (Uuid, PartitionIndex);

/// A replica's log as it lies on a disk.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The log.
    pub log: Disk,
    /// The high watermark as of some time ago.
    pub high_watermark: Offset,
}

/// A machine.
pub struct Host<Q, L> {
    pub id: NodeId,
    pub is_broker: bool,
    pub me: Voter,
    /// What it knows of the voters without a log.
    pub base: Membership,
    pub bootstrap_count: usize,
    /// The metadata log with the quorum state, and its snapshots.
    pub metadata: Disk,
    pub snapshots: BTreeMap<SnapshotId, Bytes>,
    /// A snapshot that is being fetched.
    pub download: Vec<u8>,
    pub replicas: BTreeMap<Key, Stored>,
    /// Which kernel holds its pages.
    pub boot: u64,
    /// The loss witness: the registration, and the kernel that it ran on.
    pub witness: Option<(BrokerEpoch, u64)>,
    /// Under which incarnation it asked to be registered, and on which kernel, where it has not
    /// heard the answer.
    pub unanswered: Option<(Uuid, u64)>,
    /// Something was lost, and the controller does not know yet.
    pub is_unaware: bool,
    /// Counts the runs of its process.
    pub run: u64,
    pub process: Option<Process<Q, L>>,
    /// It is stopped until then: what reaches it waits.
    pub paused_until: u64,
    /// How often in a row it was woken at one moment.
    pub ticked_at: u64,
    pub ticks: u32,
}

/// A run of the process.
pub struct Process<Q, L> {
    pub clock: Clock,
    pub quorum: quorum::Machine<Q>,
    pub ledger: Ledger,
    /// Below this the log is applied.
    pub applied: Offset,
    /// The controller's work, while this node leads.
    pub office: Option<Office>,
    /// What was decided and is not committed: the end of its batch, and who waits.
    pub waiting: VecDeque<(Offset, Reply)>,
    /// Committed images and answers that have not taken effect yet.
    pub news: VecDeque<News>,
    /// Whether the quorum did not take the last proposal.
    pub is_rejected: bool,
    pub broker: Option<Broker<L>>,
}

/// The active controller's work.
pub struct Office {
    pub epoch: LeaderEpoch,
    pub sessions: Sessions,
    pub chores_at: Instant,
}

/// Whoever waits for the controller's answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub to: NodeId,
    /// The run of the process that asked.
    pub run: u64,
    /// The number that it gave.
    pub id: u64,
    pub told: Result<Told, ErrorCode>,
}

/// What takes effect on a node at once.
pub struct News {
    pub image: Option<(Arc<MetadataImage>, Changes)>,
    pub replies: Vec<Reply>,
}

impl<Q: quorum::Rules, L: milena_cluster::replica::Rules> Host<Q, L> {
    /// Its directory, which holds all its replicas.
    pub fn directory(&self) -> Uuid {
        self.me.key.directory_id
    }

    /// Its process as a broker.
    pub fn broker(&self) -> Option<&Broker<L>> {
        self.process.as_ref()?.broker.as_ref()
    }

    /// Its process as a broker, to change.
    pub fn broker_mut(&mut self) -> Option<&mut Broker<L>> {
        self.process.as_mut()?.broker.as_mut()
    }

    /// The machine of the quorum, while a process runs.
    pub fn quorum(&self) -> Option<&quorum::Machine<Q>> {
        Some(&self.process.as_ref()?.quorum)
    }

    /// Whether it believes to lead the quorum.
    pub fn is_leading(&self) -> bool {
        self.quorum().is_some_and(|quorum| matches!(quorum.role(), quorum::Role::Leader(_)))
    }

    /// Its log of a partition.
    pub fn log(&self, key: Key) -> &[Batch] {
        self.replicas.get(&key).map_or(&[], |stored| &stored.log.cached.batches)
    }

    /// The incarnation that the next run registers under.
    pub fn next_incarnation(&mut self) -> Uuid {
        let (id, run) = (self.id.0 as u128, u128::from(self.run));
        let known = self.unanswered.filter(|(_, boot)| *boot == self.boot);
        known.map_or(Uuid::from_u128(id << 64 | run << 8 | 1), |(incarnation, _)| incarnation)
    }

    /// The registration before, if nothing was lost since.
    pub fn previous_epoch(&self) -> Option<BrokerEpoch> {
        let (epoch, boot) = self.witness?;
        (boot == self.boot).then_some(epoch)
    }

    /// The loss witness names a registration from now on.
    pub fn note_registration(&mut self, epoch: BrokerEpoch) {
        self.witness = Some((epoch, self.boot));
        self.unanswered = None;
    }

    /// The process ends; some time ago it noted its high watermarks.
    pub fn kill(&mut self, rng: &mut Rng) {
        let Some(process) = self.process.take() else { return };
        self.download.clear();
        for (key, known) in process.broker.iter().flat_map(Broker::high_watermarks) {
            if let Some(stored) = self.replicas.get_mut(&key) {
                let low = stored.high_watermark.0.min(known.0);
                let noted = rng.within(low as u64, known.0 as u64);
                stored.high_watermark = Offset(noted as i64);
            }
        }
    }

    /// The kernel ends too, and with it some of what was not synced; what was just written is
    /// torn.
    pub fn cut_power(&mut self, rng: &mut Rng) {
        self.kill(rng);
        self.boot += 1;
        crash(&mut self.metadata, rng);
        for stored in self.replicas.values_mut() {
            crash(&mut stored.log, rng);
            let end = stored.log.cached.end();
            stored.high_watermark = stored.high_watermark.min(end);
        }
        self.is_unaware |= self.is_broker;
    }

    /// A bit of a replica's log turns while no process runs; a start finds that, and knows that
    /// something is lost.
    pub fn rot(&mut self, key: Key, rng: &mut Rng) {
        let Some(stored) = self.replicas.get_mut(&key) else { return };
        let (batches, start) = (&stored.log.cached.batches, stored.log.cached.start());
        let at = rng.below(batches.len() as u64) as usize;
        let Some((whole, rest)) = batches.split_at_checked(at) else { return };
        let Some(bent) = rest.first().map(|batch| recovery::flipped(&batch.bytes, rng)) else {
            return;
        };
        let mut bytes = recovery::with_tail(whole, &bent).to_vec();
        rest.iter().skip(1).for_each(|batch| bytes.extend_from_slice(&batch.bytes));
        let found = recovery::recovered(&bytes.into(), start);
        assert_eq!(found, whole, "a bit that turned was not seen");
        let end = stored.log.cached.batches.get(at).map_or(start, |batch| batch.base_offset);
        stored.log.truncate(end);
        stored.high_watermark = stored.high_watermark.min(end);
        // A log that was damaged takes the witness back.
        self.witness = None;
        self.unanswered = None;
        self.is_unaware = true;
    }
}

/// Power goes at a disk; of what was being written there may be a torn piece behind what is kept.
fn crash(disk: &mut Disk, rng: &mut Rng) {
    let before = disk.cached.batches.clone();
    disk.crash(rng);
    let kept = &disk.cached.batches;
    let Some(lost) = before.get(kept.len()).or(before.last()) else { return };
    let mut tail = lost.bytes.clone();
    if rng.chance(700) {
        tail = recovery::torn(&tail, rng);
    } else {
        tail.clear();
    }
    let found = recovery::recovered(&recovery::with_tail(kept, &tail), disk.cached.start());
    assert_eq!(found, *kept, "what was torn was taken for whole");
}
