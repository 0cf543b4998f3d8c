//! A node without disk and network: it drives quorum, controller and image as the broker does, and
//! its log is a list of batches.

use std::sync::Arc;

use bytes::Bytes;
use milena_cluster::configs::Values;
use milena_cluster::controller::{Controller, Decision, Proposal};
use milena_cluster::metadata::batch;
use milena_cluster::metadata::delta::{Changes, Delta};
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::metadata::snapshot;
use milena_cluster::quorum::{
    Append, Content, EpochStart, Input, Membership, Output, Quorum, QuorumState, ReplicaKey,
    Restored, RestoredLog, SnapshotId, Timing, Voter,
};
use milena_cluster::time::{Instant, Now};
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, Timestamp, Uuid};
use milena_protocol::metadata_record::MetadataRecord;
use milena_protocol::record::batch::Batch;

/// The node under test.
pub struct Node {
    pub controller: Controller,
    pub image: Arc<MetadataImage>,
    pub changes: Changes,
    quorum: Quorum,
    static_values: Values,
    state: QuorumState,
    log: Vec<Bytes>,
    snapshot: Option<(Offset, LeaderEpoch, Bytes)>,
    uncommitted: Vec<Append>,
    now: Timestamp,
}

/// The id of the node that runs the controller.
pub const OWN: NodeId = NodeId(1);

impl Node {
    /// A node on an empty disk; it leads at once.
    pub fn new(static_values: Values) -> Self {
        let state = QuorumState::default();
        let mut node = Self {
            controller: Controller::new(OWN, static_values.clone(), MetadataImage::default()),
            image: Arc::default(),
            changes: Changes::default(),
            quorum: restore(&state, RestoredLog::default()),
            static_values,
            state,
            log: Vec::new(),
            snapshot: None,
            uncommitted: Vec::new(),
            now: Timestamp(1_000),
        };
        node.step(Input::Tick);
        node.flush();
        node
    }

    /// Decides, appends, replays and commits; answers what was decided.
    pub fn decide<A>(&mut self, decide: impl FnOnce(&Controller) -> Decision<A>) -> Decision<A> {
        let decision = decide(&self.controller);
        if !decision.records.is_empty() {
            let level = self.controller.image().metadata_version();
            let values = Proposal::encode(decision.records.clone(), level).unwrap().values;
            let (base, epoch) = (self.quorum.log_end_offset(), self.quorum.epoch());
            self.step(Input::Propose(values));
            self.controller.replay(base, epoch, &decision.records).unwrap();
            self.flush();
        }
        self.check();
        decision
    }

    /// Appends records that nobody decided, such as those of a new cluster.
    pub fn append(&mut self, records: Vec<MetadataRecord>) {
        self.decide(|_| Decision { records, answer: () });
    }

    /// Everything that must hold between machines, log and image.
    pub fn check(&self) {
        self.controller.check_invariants();
        self.quorum.check_invariants();
        self.image.check_invariants();
        assert_eq!(*self.controller.image(), *self.image, "what is committed is what was decided");
        assert_eq!(self.image.offset(), self.quorum.log_end_offset().plus(-1));
    }

    /// Makes a snapshot and forgets the log before it.
    pub fn take_snapshot(&mut self) -> Vec<MetadataRecord> {
        let membership = self.quorum.membership_at(self.image.offset().plus(1));
        let bytes = snapshot::write(&self.image, &membership, self.now).unwrap();
        let (end_offset, epoch) = (self.image.offset().plus(1), self.image.epoch());
        self.snapshot = Some((end_offset, epoch, bytes));
        self.log.clear();
        self.step(Input::SnapshotTaken(SnapshotId { end_offset, epoch }));
        snapshot::records(&self.image)
    }

    /// Stops without warning and starts from what is on the disk.
    pub fn restart(&mut self) {
        let mut image = match &self.snapshot {
            Some((end, epoch, bytes)) => snapshot::read(bytes, *end, *epoch).unwrap().image,
            None => MetadataImage::default(),
        };
        let mut epochs: Vec<EpochStart> = Vec::new();
        for bytes in &self.log {
            let (found, rest) = Batch::parse(bytes).unwrap();
            assert!(rest.is_empty());
            let (base, epoch) = (found.base_offset(), found.leader_epoch());
            if epochs.last().is_none_or(|last| last.epoch < epoch) {
                epochs.push(EpochStart { epoch, start_offset: base });
            }
            image.advance(found.last_offset(), epoch);
            for (index, record) in batch::records(&found).unwrap().iter().enumerate() {
                image.replay(base.plus(index as i64).max(image.offset()), epoch, record).unwrap();
            }
        }
        assert_eq!(image, *self.image, "the disk holds what was committed");
        let snapshot = self
            .snapshot
            .as_ref()
            .map(|(end_offset, epoch, _)| SnapshotId { end_offset: *end_offset, epoch: *epoch });
        let log = RestoredLog { snapshot, epochs, end_offset: image.offset().plus(1) };
        self.quorum = restore(&self.state, log);
        self.controller = Controller::new(OWN, self.static_values.clone(), image);
        self.step(Input::Tick);
        self.flush();
        self.check();
    }

    fn step(&mut self, input: Input) {
        self.now.0 += 1;
        let mut outputs = Vec::new();
        let now = Now { instant: Instant(self.now.0 as u64), wall: self.now };
        self.quorum.step(now, input, &mut outputs);
        for output in outputs {
            match output {
                Output::PersistQuorumState(state) => {
                    self.state = QuorumState::parse(&state.to_text()).unwrap();
                }
                Output::BecomeLeader { epoch, .. } => assert_eq!(epoch, self.state.leader_epoch),
                Output::Append(append) => self.write(append),
                Output::Commit(high_watermark) => self.commit(high_watermark),
                Output::TrimLog(start_offset) => {
                    assert_eq!(start_offset, self.quorum.log().start())
                }
                other => panic!("the only voter has no use for {other:?}"),
            }
        }
    }

    fn write(&mut self, append: Append) {
        let bytes = batch::bytes(&append).unwrap();
        let (found, _) = Batch::parse(&bytes).unwrap();
        assert_eq!(found.next_offset(), append.end_offset());
        assert_eq!(found.leader_epoch(), append.epoch);
        self.log.push(bytes);
        if matches!(append.content, Content::LeaderChange { .. }) {
            self.controller.advance(append.base_offset, append.epoch);
        }
        self.uncommitted.push(append);
    }

    fn flush(&mut self) {
        let end = self.quorum.log_end_offset();
        self.step(Input::Flushed(self.quorum.log().generation(), end));
    }

    fn commit(&mut self, high_watermark: Offset) {
        let mut delta = Delta::new(&self.image);
        for append in self.uncommitted.drain(..) {
            assert!(append.end_offset() <= high_watermark);
            match &append.content {
                Content::LeaderChange { .. } => delta.advance(append.base_offset, append.epoch),
                Content::Records(values) => {
                    for (index, value) in values.iter().enumerate() {
                        let record = MetadataRecord::decode(value.clone()).unwrap();
                        let offset = append.base_offset.plus(index as i64);
                        delta.replay(offset, append.epoch, &record).unwrap();
                    }
                }
                other => panic!("the only voter does not append {other:?}"),
            }
        }
        let (image, changes) = delta.finish();
        self.image = Arc::new(image);
        self.changes = changes;
    }
}

fn restore(state: &QuorumState, log: RestoredLog) -> Quorum {
    let me = Voter::bare(ReplicaKey { id: OWN, directory_id: Uuid::from_u128(1000) });
    let restored = Restored {
        base: Membership { kraft_version: 0, voters: [me.clone()].into_iter().collect() },
        me,
        cluster_id: "cluster".into(),
        seed: 1,
        timing: Timing::default(),
        state: state.clone(),
        log,
        control: Vec::new(),
        bootstrap_count: 0,
    };
    Quorum::restore(restored, Now::default())
}
