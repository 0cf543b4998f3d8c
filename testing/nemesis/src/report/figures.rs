//! How long things took.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::rounds::Round;
use crate::fault::kind::Kind;
use crate::history::operation::{Action, Instant, Key, Operation, Outcome};

/// A distribution, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// How many.
    pub count: usize,
    /// Half of them are not longer.
    pub p50_ms: u64,
    /// Of a hundred, one is longer.
    pub p99_ms: u64,
    /// The longest.
    pub max_ms: u64,
}

impl Spread {
    /// The distribution of some spans.
    #[must_use]
    pub fn of(mut spans: Vec<Duration>) -> Self {
        spans.sort_unstable();
        // The smallest span that so many of a hundred do not exceed.
        let at = |percent: usize| {
            let index = (spans.len() * percent).div_ceil(100).saturating_sub(1);
            spans.get(index).map_or(0, millis)
        };
        Self { count: spans.len(), p50_ms: at(50), p99_ms: at(99), max_ms: at(100) }
    }
}

fn millis(span: &Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The figures of a run, by kind of fault.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Figures {
    /// How often it happened.
    pub rounds: usize,
    /// The longest time without an acknowledgement, for each partition whose leader was hit.
    pub write_gap: Spread,
    /// The same for each partition of which the victim had a copy that another node led: acks=all
    /// waits for it until it is out of the ISR.
    pub follower_gap: Spread,
    /// From the start of the process, or the end of another fault, until the others say that the
    /// victim's copies are in sync.
    pub back_in_sync: Spread,
    /// From then until all nodes answer, agree and have every copy in sync.
    pub whole: Spread,
    /// From the hit on the leader of the metadata quorum until the others name another.
    pub elected: Spread,
    /// The longest time without a change of metadata where the leader of the quorum was hit.
    pub controller_gap: Spread,
}

/// When things were acknowledged, in order.
#[derive(Debug, Default)]
pub struct Acknowledged {
    /// Records, by partition.
    pub records: BTreeMap<Key, Vec<Instant>>,
    /// Changes of metadata.
    pub changes: Vec<Instant>,
}

impl Acknowledged {
    /// What a history tells, and the changes.
    #[must_use]
    pub fn of(history: &[Operation], changes: Vec<Instant>) -> Self {
        let mut records: BTreeMap<Key, Vec<Instant>> = BTreeMap::new();
        for operation in history.iter().filter(|one| one.outcome == Outcome::Ok) {
            if let (Action::Send(send), Some(at)) = (&operation.action, operation.completed) {
                records.entry(send.key).or_default().push(at);
            }
        }
        records.values_mut().for_each(|times| times.sort_unstable());
        Self { records, changes }
    }

    /// The figures of each kind of fault.
    #[must_use]
    pub fn figures(&self, rounds: &[Round]) -> BTreeMap<Kind, Figures> {
        let mut by_kind: BTreeMap<Kind, Vec<&Round>> = BTreeMap::new();
        for round in rounds {
            by_kind.entry(round.kind).or_default().push(round);
        }
        by_kind.into_iter().map(|(kind, rounds)| (kind, self.of_rounds(&rounds))).collect()
    }

    fn of_rounds(&self, rounds: &[&Round]) -> Figures {
        let gaps = |of: fn(&Round) -> &[Key]| {
            let gap = |round: &Round, key| {
                let times = self.records.get(key).map_or(&[][..], Vec::as_slice);
                silence(times, round.began, round.end())
            };
            let mut spans = Vec::new();
            for round in rounds {
                spans.extend(of(round).iter().map(|key| gap(round, key)));
            }
            Spread::of(spans)
        };
        let led = || rounds.iter().filter(|round| round.was_controller);
        let back = |round: &&Round| Some(between(round.healed, round.in_sync?));
        let whole = |round: &&Round| Some(between(round.healed, round.whole?));
        let elected = |round: &&Round| Some(between(round.began, round.elected?));
        Figures {
            rounds: rounds.len(),
            write_gap: gaps(|round| &round.led),
            follower_gap: gaps(|round| &round.followed),
            back_in_sync: Spread::of(rounds.iter().filter_map(back).collect()),
            whole: Spread::of(rounds.iter().filter_map(whole).collect()),
            elected: Spread::of(led().filter_map(elected).collect()),
            controller_gap: Spread::of(
                led().map(|round| silence(&self.changes, round.began, round.end())).collect(),
            ),
        }
    }
}

fn between(from: Instant, to: Instant) -> Duration {
    Duration::from_nanos(to.0.saturating_sub(from.0))
}

/// The longest time without an event that has a part in a window. What began before it counts from
/// where it began; where nothing was before or comes behind, the window's edge is what is known.
fn silence(events: &[Instant], from: Instant, to: Instant) -> Duration {
    let first = events.partition_point(|event| *event <= from);
    let last = events.partition_point(|event| *event < to);
    let before = first.checked_sub(1).and_then(|before| events.get(before));
    let behind = events.get(last).copied();
    let inside = events.get(first..last).unwrap_or_default();
    let mut previous = before.copied().unwrap_or(from);
    let mut longest = Duration::ZERO;
    for event in inside.iter().copied().chain([behind.unwrap_or(to)]) {
        longest = longest.max(between(previous, event));
        previous = event;
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::plan::NodeId;
    use crate::history::operation::{Process, Send, Value};

    fn at(millis: u64) -> Instant {
        Instant(millis * 1_000_000)
    }

    fn longest(events: &[u64], from: u64, to: u64) -> u64 {
        let events: Vec<Instant> = events.iter().copied().map(at).collect();
        millis(&silence(&events, at(from), at(to)))
    }

    /// The gap would be measured from the kill and not from the last acknowledgement, or cut off.
    #[test]
    fn a_gap_is_measured_from_event_to_event() {
        let events = [0, 10, 20, 500, 510, 2_000];
        assert_eq!(longest(&events, 25, 505), 480);
        assert_eq!(longest(&events, 20, 100), 480);
        assert_eq!(longest(&events, 505, 520), 1_490);
        assert_eq!(longest(&events, 1, 15), 10);
    }

    /// What never comes back would count as no gap at all.
    #[test]
    fn a_gap_without_end_lasts_as_long_as_the_window() {
        assert_eq!(longest(&[0, 10], 5, 900), 890);
        assert_eq!(longest(&[], 100, 900), 800);
        assert_eq!(longest(&[1_000], 100, 900), 900);
    }

    /// One slow case of a hundred would be the median, or none of them the longest.
    #[test]
    fn a_spread_is_read_from_the_slow_end() {
        let spread = Spread::of((1..=200).map(Duration::from_millis).collect());
        assert_eq!(spread, Spread { count: 200, p50_ms: 100, p99_ms: 198, max_ms: 200 });
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }

    /// A partition that the victim did not lead would hide those that it led.
    #[test]
    fn only_partitions_of_the_victim_count() {
        let send = |key: u32, millis: u64| Operation {
            process: Process(key),
            invoked: at(millis),
            completed: Some(at(millis)),
            outcome: Outcome::Ok,
            action: Action::Send(Send { key: Key(key), value: Value(millis), offset: None }),
        };
        let mut history: Vec<Operation> = (0..200).map(|step| send(1, step * 10)).collect();
        history.extend([send(0, 0), send(0, 700)]);
        let round = Round {
            kind: Kind::Kill,
            node: NodeId(1),
            led: vec![Key(0)],
            followed: vec![Key(1)],
            was_controller: true,
            began: at(5),
            elected: Some(at(105)),
            healed: at(800),
            in_sync: Some(at(1_000)),
            whole: Some(at(1_000)),
            ended: Vec::new(),
        };
        let acknowledged = Acknowledged::of(&history, vec![at(0), at(300), at(310)]);
        let figures = acknowledged.figures(&[round])[&Kind::Kill];
        assert_eq!((figures.rounds, figures.write_gap.max_ms), (1, 700));
        assert_eq!(figures.follower_gap.max_ms, 10);
        assert_eq!((figures.back_in_sync.max_ms, figures.elected.max_ms), (200, 100));
        assert_eq!(figures.controller_gap.max_ms, 690);
    }
}
