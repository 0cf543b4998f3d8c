//! Take-over by rank, in every way in which up to five replicas fail, come back and catch up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, Offset, Uuid};
use milena_protocol::metadata_record::{
    FeatureLevelRecord, PartitionRecord, RegisterBrokerRecord, TopicRecord,
};

use super::*;
use crate::controller::isr::IsrChange;
use crate::metadata::image::MetadataImage;

const TOPIC: Uuid = Uuid::from_u128(4711);
const ONLY: PartitionIndex = PartitionIndex(0);

/// What happens to a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Move {
    Fails(NodeId),
    Returns(NodeId),
    CatchesUp(NodeId),
}

/// All that a decision depends on but for epochs, and who has everything that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    live: BTreeSet<NodeId>,
    leader: NodeId,
    isr: BTreeSet<NodeId>,
    elr: BTreeSet<NodeId>,
    last_known: Vec<NodeId>,
    complete: BTreeSet<NodeId>,
}

/// One partition under a controller.
#[derive(Clone)]
struct World {
    controller: Controller,
    min_in_sync: usize,
    /// Who has everything that was acknowledged.
    complete: BTreeSet<NodeId>,
}

impl World {
    /// A partition on brokers 1 to `count`, all in sync, led by the first.
    fn new(count: i32, min_in_sync: usize, has_eligible: bool) -> Self {
        let ids: Vec<NodeId> = (1..=count).map(NodeId).collect();
        let feature = FeatureLevelRecord {
            name: ELIGIBLE_LEADERS.into(),
            feature_level: i16::from(has_eligible),
        };
        let mut records: Vec<MetadataRecord> = vec![feature.into()];
        records.extend(ids.iter().map(|id| {
            MetadataRecord::from(RegisterBrokerRecord {
                broker_id: *id,
                broker_epoch: epoch_of(*id),
                fenced: false,
                ..Default::default()
            })
        }));
        records.push(TopicRecord { name: "t".into(), topic_id: TOPIC }.into());
        let partition = PartitionRecord {
            topic_id: TOPIC,
            partition_id: ONLY,
            replicas: ids.clone(),
            isr: ids.clone(),
            leader: NodeId(1),
            ..Default::default()
        };
        records.push(partition.into());
        let values = [("min.insync.replicas".to_owned(), min_in_sync.to_string())].into();
        let controller = Controller::new(NodeId(0), values, MetadataImage::default());
        let mut world = Self { controller, min_in_sync, complete: ids.into_iter().collect() };
        world.replay(&records);
        world
    }

    fn replay(&mut self, records: &[MetadataRecord]) {
        let base = self.controller.image().offset().plus(1).max(Offset::ZERO);
        self.controller.replay(base, LeaderEpoch(1), records).unwrap();
    }

    fn partition(&self) -> &PartitionImage {
        self.controller.image().partition(TOPIC, ONLY).unwrap()
    }

    fn is_live(&self, id: NodeId) -> bool {
        self.controller.is_active(id)
    }

    fn key(&self) -> Key {
        let partition = self.partition();
        let replicas = partition.replicas.iter().copied();
        Key {
            live: replicas.filter(|id| self.is_live(*id)).collect(),
            leader: partition.leader,
            isr: partition.isr.iter().copied().collect(),
            elr: partition.elr.iter().copied().collect(),
            last_known: partition.last_known_elr.clone(),
            complete: self.complete.clone(),
        }
    }

    /// What may happen next.
    fn moves(&self) -> Vec<Move> {
        let partition = self.partition();
        let mut moves = Vec::new();
        for id in partition.replicas.iter().copied() {
            let is_live = self.is_live(id);
            moves.push(if is_live { Move::Fails(id) } else { Move::Returns(id) });
            if is_live && partition.leader != NodeId::NONE && !partition.isr.contains(&id) {
                moves.push(Move::CatchesUp(id));
            }
        }
        moves
    }

    fn apply(&mut self, step: Move) {
        let records = match step {
            Move::Fails(id) => self.controller.fence_broker(id).records,
            Move::Returns(id) => self.controller.unfence_broker(id).records,
            Move::CatchesUp(id) => self.proposal(id),
        };
        self.replay(&records);
        let partition = self.partition();
        let (leader, isr) = (partition.leader, partition.isr.clone());
        if let Move::CatchesUp(id) = step
            && self.complete.contains(&leader)
        {
            self.complete.insert(id);
        }
        // Whoever leads has something acknowledged, which only those in sync have.
        if leader != NodeId::NONE && isr.len() >= self.min_in_sync {
            self.complete = isr.into_iter().collect();
        }
    }

    /// What follows when the leader proposes one more for the ISR.
    fn proposal(&self, id: NodeId) -> Vec<MetadataRecord> {
        let partition = self.partition();
        let change = IsrChange {
            topic_id: TOPIC,
            partition: ONLY,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            isr: partition.isr.iter().chain([&id]).map(|id| (*id, Some(epoch_of(*id)))).collect(),
            is_recovering: false,
        };
        let (leader, epoch) = (partition.leader, epoch_of(partition.leader));
        let decided = self.controller.alter_partitions(leader, epoch, &[change]);
        assert!(decided.answer.unwrap().iter().all(Result::is_ok), "a proposal is refused");
        decided.records
    }

    /// Everybody comes back and catches up, and leaders are given back.
    fn recover(&mut self) {
        while let Some(step) = self.moves().into_iter().find(|it| !matches!(it, Move::Fails(_))) {
            self.apply(step);
        }
        let records = self.controller.balance_leaders(0, 1).records;
        self.replay(&records);
    }
}

fn epoch_of(id: NodeId) -> BrokerEpoch {
    BrokerEpoch(100 + i64::from(id.0))
}

/// Who leads after a step: who led, while it lives and is in sync; else of those in sync that live
/// the first in the order of the assignment; else of those that are eligible; else nobody.
fn expected(before: &Key, live: &BTreeSet<NodeId>) -> NodeId {
    if live.contains(&before.leader) && before.isr.contains(&before.leader) {
        return before.leader;
    }
    // Ids are ranks: the assignment is in their order.
    let of = |set: &BTreeSet<NodeId>| set.intersection(live).next().copied();
    of(&before.isr).or_else(|| of(&before.elr)).unwrap_or(NodeId::NONE)
}

/// Where each step leads from each state that can be reached.
type Graph = BTreeMap<Key, BTreeMap<Move, Key>>;

/// Visits every state and takes every step from it; what must hold is looked at after each.
fn explore(begin: World) -> Graph {
    let mut graph = Graph::new();
    let mut waiting = VecDeque::from([begin]);
    while let Some(world) = waiting.pop_front() {
        let before = world.key();
        if graph.contains_key(&before) {
            continue;
        }
        let mut steps = BTreeMap::new();
        for step in world.moves() {
            let mut next = world.clone();
            next.apply(step);
            let after = next.key();
            check(&before, step, &after);
            steps.insert(step, after.clone());
            if !graph.contains_key(&after) {
                waiting.push_back(next);
            }
        }
        graph.insert(before, steps);
        let mut recovered = world;
        recovered.recover();
        let key = recovered.key();
        assert_eq!(key.leader, NodeId(1), "the preferred leader is not given back: {key:?}");
        assert_eq!(key.isr, key.live, "somebody is left out: {key:?}");
    }
    graph
}

fn check(before: &Key, step: Move, after: &Key) {
    let way = || format!("{step:?} from {before:?} to {after:?}");
    assert_eq!(after.leader, expected(before, &after.live), "{}", way());
    let is_outside = after.leader != NodeId::NONE && !after.isr.contains(&after.leader);
    assert!(!is_outside, "a leader is in sync with itself: {}", way());
    let may_lead = after.isr.union(&after.elr);
    let lacking: Vec<_> = may_lead.filter(|id| !after.complete.contains(id)).collect();
    assert!(lacking.is_empty(), "{lacking:?} lack what was acknowledged: {}", way());
}

/// How many ways there are to let some replicas fail, in any order, and then come back, in any
/// order, each of which is in the graph.
fn patterns(graph: &Graph, key: &Key, is_returning: bool) -> u64 {
    let steps = &graph[key];
    let returns = steps.iter().filter(|(step, _)| matches!(step, Move::Returns(_)));
    let ways: u64 = returns.map(|(_, next)| patterns(graph, next, true)).sum();
    if is_returning {
        return ways.max(1);
    }
    let fails = steps.iter().filter(|(step, _)| matches!(step, Move::Fails(_)));
    ways.max(1) + fails.map(|(_, next)| patterns(graph, next, false)).sum::<u64>()
}

/// After some order of failures one would lead that lacks what was acknowledged, or nobody though
/// one could, or the wrong one; or the preferred leader would never be given back.
#[test]
fn the_first_that_has_everything_leads_whatever_fails_and_returns() {
    let (mut states, mut steps, mut ways) = (0, 0, 0);
    for count in 1..=5 {
        for min_in_sync in 1..=count as usize {
            for has_eligible in [false, true] {
                let begin = World::new(count, min_in_sync, has_eligible);
                let key = begin.key();
                let graph = explore(begin);
                states += graph.len();
                steps += graph.values().map(BTreeMap::len).sum::<usize>();
                ways += patterns(&graph, &key, false);
            }
        }
    }
    println!("{states} states, {steps} steps, {ways} orders of failures and returns");
    assert_eq!(ways, 2 * (2 + 2 * 7 + 3 * 52 + 4 * 749 + 5 * 17_686));
}
