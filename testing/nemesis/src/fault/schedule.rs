//! Which fault comes next, on whom, and for how long: a seed decides.

use std::time::Duration;

use super::kind::Kind;
use crate::random::Random;

/// Whom a fault hits. It is looked up when the time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Who leads a partition.
    Leader(u32),
    /// Who leads the metadata quorum.
    Controller,
    /// The n-th node.
    Node(usize),
}

/// A fault to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What.
    pub kind: Kind,
    /// On whom.
    pub target: Target,
    /// How long it lasts.
    pub lasting: Duration,
    /// How long everything is left alone afterwards.
    pub rest: Duration,
    /// What decides chance within it.
    pub shape: u64,
}

/// A span that chance chooses from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The shortest.
    pub least: Duration,
    /// The longest.
    pub most: Duration,
}

/// An endless sequence of faults; the same seed gives the same ones.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The kinds to choose from.
    pub kinds: Vec<Kind>,
    /// How many nodes there are.
    pub nodes: usize,
    /// How many partitions there are.
    pub partitions: u32,
    /// How long faults last.
    pub lasting: Span,
    /// How long the rests between them are.
    pub rest: Span,
    /// Chance.
    pub random: Random,
}

impl Span {
    fn choose(self, random: &mut Random) -> Duration {
        let width = self.most.saturating_sub(self.least).as_millis();
        let width = u64::try_from(width).unwrap_or(u64::MAX - 1);
        self.least + Duration::from_millis(random.below(width + 1))
    }
}

impl Iterator for Schedule {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        let random = &mut self.random;
        let kind = *self.kinds.get(random.position(self.kinds.len()))?;
        // Who leads something has more to lose.
        let target = match random.below(4) {
            0 | 1 => {
                let partition = random.below(u64::from(self.partitions));
                Target::Leader(u32::try_from(partition).unwrap_or(0))
            }
            2 => Target::Controller,
            _ => Target::Node(random.position(self.nodes)),
        };
        let (lasting, rest) = (self.lasting.choose(random), self.rest.choose(random));
        Some(Planned { kind, target, lasting, rest, shape: random.number() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(seed: u64, kinds: &[Kind]) -> Schedule {
        let span = |least, most| Span {
            least: Duration::from_millis(least),
            most: Duration::from_millis(most),
        };
        Schedule {
            kinds: kinds.to_vec(),
            nodes: 3,
            partitions: 6,
            lasting: span(100, 200),
            rest: span(0, 0),
            random: Random::of(seed),
        }
    }

    /// A run that failed could not be repeated.
    #[test]
    fn a_seed_gives_the_same_faults_again() {
        let faults =
            |seed| schedule(seed, &[Kind::Kill, Kind::Pause]).take(100).collect::<Vec<_>>();
        assert_eq!(faults(7), faults(7));
        assert_ne!(faults(7), faults(8));
    }

    /// A kind or a victim would never come, or a fault last too long.
    #[test]
    fn every_kind_and_victim_comes() {
        let kinds = [Kind::Kill, Kind::Bridge, Kind::Loss];
        let faults: Vec<Planned> = schedule(1, &kinds).take(300).collect();
        assert!(kinds.iter().all(|kind| faults.iter().any(|fault| fault.kind == *kind)));
        let targets = |wanted: fn(&Target) -> bool| faults.iter().any(|it| wanted(&it.target));
        assert!(targets(|target| *target == Target::Controller));
        assert!(targets(|target| *target == Target::Leader(5)));
        assert!(targets(|target| *target == Target::Node(2)));
        let span = Duration::from_millis(100)..=Duration::from_millis(200);
        assert!(faults.iter().all(|fault| span.contains(&fault.lasting)));
        assert!(schedule(1, &[]).next().is_none());
    }
}
