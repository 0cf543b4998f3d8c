//! How often a group is assigned anew, and how often its members shall ask.
//!
//! Kafka makes at most one assignment in each interval, a second by default, and has members ask
//! every five seconds even while partitions change hands. That is what a group of fifty spends its
//! five seconds on. Here the interval bounds what a group may cost in the long run: a group that
//! was left alone may be assigned several times in quick succession, the quicker the smaller it
//! is, and after that once in an interval. And members that have not got everything yet are told
//! to ask again soon, less and less so where somebody takes long to give up partitions.

use std::time::Duration;

use super::settings::Settings;
use crate::time::Instant;

/// So many assignments may follow on each other before the interval counts.
const BURST: u32 = 20;
/// The least time between two assignments of the smallest group.
const MIN_SPACING: Duration = Duration::from_millis(20);
/// And as much more for each member and partition, several times what assigning it takes.
const SPACING_PER_ITEM: Duration = Duration::from_micros(20);

/// While a group converges, all its members together ask no more often than this.
const UNSETTLED_INTERVAL_PER_MEMBER: Duration = Duration::from_millis(1);
/// And no member more often than this.
const MIN_UNSETTLED_INTERVAL: Duration = Duration::from_millis(20);
/// After a longer wait the next one may be longer too: this part of what has gone by.
const PATIENCE: u32 = 8;

/// In a stable group whose interval nobody has set, all members together ask no more often than
/// this, which costs less than half a percent of a core.
const SETTLED_INTERVAL_PER_MEMBER: Duration = Duration::from_millis(5);
/// And no member more often than this: it is how long another that joins waits for partitions.
const MIN_SETTLED_INTERVAL: Duration = Duration::from_millis(300);

/// When a group was assigned, and when it last changed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// No assignment is made before.
    next_at: Instant,
    /// Up to when the assignments so far would take at one in each interval.
    credit_at: Instant,
    /// When the group epoch last grew.
    changed_at: Option<Instant>,
}

impl Pace {
    /// When the next assignment may be made.
    pub(super) fn next_at(&self) -> Instant {
        self.next_at
    }

    /// Notes an assignment of so many members and partitions.
    pub(super) fn assigned(&mut self, now: Instant, items: usize, settings: &Settings) {
        let interval = settings.assignment_interval;
        let items = u32::try_from(items).unwrap_or(u32::MAX);
        let spacing = MIN_SPACING.saturating_add(SPACING_PER_ITEM.saturating_mul(items));
        self.credit_at = self.credit_at.max(now).plus(interval);
        let burst_ms = interval.saturating_mul(BURST).as_millis();
        let earned_at = self.credit_at.0.saturating_sub(u64::try_from(burst_ms).unwrap_or(0));
        self.next_at = now.plus(spacing.min(interval)).max(Instant(earned_at));
    }

    /// Notes that the group has changed.
    pub(super) fn changed(&mut self, now: Instant) {
        self.changed_at = Some(now);
    }

    /// When a member shall ask again.
    pub(super) fn heartbeat_interval(
        &self,
        now: Instant,
        members: usize,
        is_settled: bool,
        settings: &Settings,
    ) -> Duration {
        let configured = settings.heartbeat_interval;
        let members = u32::try_from(members).unwrap_or(u32::MAX);
        if is_settled {
            let few = SETTLED_INTERVAL_PER_MEMBER.saturating_mul(members).max(MIN_SETTLED_INTERVAL);
            return if settings.is_heartbeat_interval_set {
                configured
            } else {
                few.min(configured)
            };
        }
        let soon =
            UNSETTLED_INTERVAL_PER_MEMBER.saturating_mul(members).max(MIN_UNSETTLED_INTERVAL);
        let waited = self.changed_at.map_or(Duration::ZERO, |at| now.since(at));
        soon.max(waited / PATIENCE).min(configured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The configured interval would mean nothing, or stand in the way of a group that begins.
    #[test]
    fn assignments_come_quickly_at_first_and_once_in_an_interval_later() {
        let settings = Settings::default();
        let mut pace = Pace::default();
        let mut at = Instant(1_000_000);
        let mut times = Vec::new();
        for _ in 0..40 {
            at = at.max(pace.next_at());
            times.push(at);
            pace.assigned(at, 150, &settings);
        }
        let gap = |n: usize| times[n + 1].since(times[n]).as_millis();
        assert!((0..18).all(|n| gap(n) == 23), "{times:?}");
        assert!((21..39).all(|n| gap(n) == 1000), "{times:?}");
    }

    /// An interval of nothing would be waited for.
    #[test]
    fn an_interval_of_nothing_is_none() {
        let settings = Settings { assignment_interval: Duration::ZERO, ..Settings::default() };
        let mut pace = Pace::default();
        pace.assigned(Instant(5), 1_000_000, &settings);
        assert_eq!(pace.next_at(), Instant(5));
    }

    /// A group would take as long to converge as one of its members takes to ask.
    #[test]
    fn members_ask_soon_while_the_group_converges() {
        let mut settings = Settings::default();
        let mut pace = Pace::default();
        pace.changed(Instant(1000));
        let interval = |pace: &Pace, at, members, is_settled, settings: &Settings| {
            pace.heartbeat_interval(Instant(at), members, is_settled, settings).as_millis()
        };
        assert_eq!(interval(&pace, 1000, 50, false, &settings), 50);
        assert_eq!(interval(&pace, 1000, 2, false, &settings), 20);
        assert_eq!(interval(&pace, 9000, 50, false, &settings), 1000);
        assert_eq!(interval(&pace, 900_000, 50, false, &settings), 5000);
        assert_eq!(interval(&pace, 1000, 50, true, &settings), 300);
        assert_eq!(interval(&pace, 1000, 2000, true, &settings), 5000);
        settings.is_heartbeat_interval_set = true;
        assert_eq!(interval(&pace, 1000, 50, true, &settings), 5000);
        assert_eq!(interval(&pace, 1000, 50, false, &settings), 50);
    }
}
