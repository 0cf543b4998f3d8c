//! Which faults a seed stands for, and when. The plan is made before anything runs, so it is the
//! same however the run goes.
//!
//! What is promised bounds what is done: `min.insync.replicas` − 1 losses at a time. Whether an
//! earlier loss has been made good is known only while it runs (`run`), so a loss that would be one
//! too many becomes a kill.

use std::time::Duration;

use crate::rng::Rng;

/// Nodes of a cluster.
pub const NODES: usize = 3;
/// How long faults go on.
pub const FAULTY: Duration = Duration::from_secs(25);
/// How long a message takes at most, in milliseconds, where nothing is slow.
pub const FAST_MILLIS: u64 = 8;
/// How long a process is gone that is started again at once.
const DOWN: Duration = Duration::from_millis(10);
/// The cluster forms, and somebody writes, before the first fault.
const FIRST_AT: Duration = Duration::from_secs(2);

/// A node, by its index.
pub type Node = usize;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process ends; its machine refuses connections until it is back.
    Kill(Node),
    /// The machine ends with everything that was not synced, and says nothing until it is back.
    CutPower(Node),
    /// A process starts again.
    Start(Node),
    /// What two nodes send each other waits, as behind a cut that TCP survives.
    Hold(Node, Node),
    /// What waited is delivered.
    Release(Node, Node),
    /// A node is cut off from everybody, clients too.
    Isolate(Node),
    /// It is back, and what waited is delivered.
    Rejoin(Node),
    /// What two nodes send each other is lost.
    Drop(Node, Node),
    /// What the first sends the second is lost.
    DropOneWay(Node, Node),
    /// Messages arrive again.
    Repair(Node, Node),
    /// Messages between two nodes take as long as this, in milliseconds.
    Slow(Node, Node, u64),
    /// The disk of a node has no room.
    Fill(Node),
    /// It has.
    Empty(Node),
    /// A step of a node's disk fails, so many steps from now.
    FailStep(Node, u64),
    /// A write of a node is torn, so many steps from now, and its power is gone then.
    TearStep(Node, u64),
}

/// A fault with its time, from the moment at which the cluster serves.
pub type Planned = (Duration, Fault);

/// What a seed stands for.
#[must_use]
pub fn of(seed: u64) -> Vec<Planned> {
    let mut planner = Planner { rng: Rng::new(seed), plan: Vec::new() };
    let mut at = FIRST_AT;
    while at < FAULTY {
        planner.add(at);
        at += Duration::from_millis(planner.rng.within(200, 4_000));
    }
    planner.plan.sort_by_key(|(at, _)| *at);
    planner.plan
}

struct Planner {
    rng: Rng,
    plan: Vec<Planned>,
}

impl Planner {
    fn add(&mut self, at: Duration) {
        let node = self.rng.below(NODES as u64) as Node;
        let other = (node + 1 + self.rng.below(NODES as u64 - 1) as Node) % NODES;
        let until = at + Duration::from_millis(self.rng.within(50, 6_000));
        match self.rng.below(15) {
            0..3 => self.pair(at, until, Fault::Kill(node), Fault::Start(node)),
            3..5 => self.pair(at, until, Fault::CutPower(node), Fault::Start(node)),
            5 => {
                let torn = Fault::TearStep(node, self.rng.within(1, 60));
                self.pair(at, until, torn, Fault::Start(node));
            }
            6 => self.pair(at, until, Fault::Hold(node, other), Fault::Release(node, other)),
            7 => self.pair(at, until, Fault::Isolate(node), Fault::Rejoin(node)),
            8 => self.pair(at, until, Fault::Drop(node, other), Fault::Repair(node, other)),
            9 => self.pair(at, until, Fault::DropOneWay(node, other), Fault::Repair(node, other)),
            10 => {
                let slow = Fault::Slow(node, other, self.rng.within(20, 400));
                self.pair(at, until, slow, Fault::Slow(node, other, FAST_MILLIS));
            }
            11 => self.pair(at, until, Fault::Fill(node), Fault::Empty(node)),
            12 => {
                let failing = Fault::FailStep(node, self.rng.within(1, 200));
                self.plan.push((at, failing));
                self.pair(until, until + DOWN, Fault::Kill(node), Fault::Start(node));
            }
            13 => self.black_out(at, until, node),
            _ => self.pair(at, at + DOWN, Fault::Kill(node), Fault::Start(node)),
        }
    }

    /// All end within a moment, one of them without what it had not synced; and that one is the
    /// first to come back.
    fn black_out(&mut self, at: Duration, until: Duration, node: Node) {
        let others = (0..NODES).filter(|other| *other != node);
        for other in others {
            let moment = Duration::from_millis(self.rng.below(300));
            let later = Duration::from_millis(self.rng.within(1, 4_000));
            self.pair(at + moment, until + moment + later, Fault::Kill(other), Fault::Start(other));
        }
        let last = Duration::from_millis(300);
        self.pair(at + last, until + last, Fault::CutPower(node), Fault::Start(node));
    }

    fn pair(&mut self, at: Duration, until: Duration, begins: Fault, ends: Fault) {
        self.plan.push((at, begins));
        self.plan.push((until.min(FAULTY), ends));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A seed would not say what happened.
    #[test]
    fn a_seed_is_one_plan() {
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }
}
