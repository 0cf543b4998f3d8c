//! How fast the metadata quorum works: what Kafka measures of a member, over the last minute.
//!
//! A figure covers two spans of [`SPAN`]: the last whole one and what has passed of the next. A
//! rate is per second of them, also before they have passed, as in Kafka.

use std::collections::VecDeque;
use std::time::Duration;

use milena_protocol::ids::Offset;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::telemetry::state::{Latency, Pace};

/// Half of what a figure covers.
const SPAN: Duration = Duration::from_secs(30);
/// Appends of which it is noted when they came, until they are committed.
const MANY_APPENDS: usize = 1024;

/// What a member is measured by.
#[derive(Debug)]
pub struct Meter {
    started_at: Instant,
    gauges: Mutex<Gauges>,
}

#[derive(Debug, Default)]
struct Gauges {
    appended: Window,
    fetched: Window,
    commits: Window,
    elections: Window,
    /// Where appends of this leader end, and when they came.
    uncommitted: VecDeque<(Offset, Duration)>,
    /// When this voter began to stand for election.
    stands_since: Option<Duration>,
}

impl Default for Meter {
    fn default() -> Self {
        Self { started_at: Instant::now(), gauges: Mutex::default() }
    }
}

impl Meter {
    /// The figures now.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.gauges.lock().pace(self.started_at.elapsed())
    }

    /// The leader appended so many records, the last of which is before `end`.
    pub(super) fn appended(&self, count: i64, end: Offset) {
        self.gauges.lock().append(self.started_at.elapsed(), count, end);
    }

    /// A follower took over so many records.
    pub(super) fn fetched(&self, count: i64) {
        self.gauges.lock().fetched.add(self.started_at.elapsed(), count as f64);
    }

    /// Everything below is committed.
    pub(super) fn committed(&self, high_watermark: Offset) {
        self.gauges.lock().commit(self.started_at.elapsed(), high_watermark);
    }

    /// This node leads no longer: what it appended may never be committed.
    pub(super) fn resigned(&self) {
        self.gauges.lock().uncommitted.clear();
    }

    /// What this member is now, by the name of its role.
    pub(super) fn is(&self, role: &'static str) {
        self.gauges.lock().is(self.started_at.elapsed(), role);
    }
}

impl Gauges {
    fn append(&mut self, at: Duration, count: i64, end: Offset) {
        self.appended.add(at, count as f64);
        if self.uncommitted.len() < MANY_APPENDS {
            self.uncommitted.push_back((end, at));
        }
    }

    fn commit(&mut self, at: Duration, high_watermark: Offset) {
        while let Some((_, since)) = self.uncommitted.pop_front_if(|it| it.0 <= high_watermark) {
            self.commits.add(at, milliseconds(at.saturating_sub(since)));
        }
    }

    fn is(&mut self, at: Duration, role: &'static str) {
        match role {
            "prospective" | "candidate" => {
                self.stands_since.get_or_insert(at);
            }
            "leader" | "follower" => {
                if let Some(since) = self.stands_since.take() {
                    self.elections.add(at, milliseconds(at.saturating_sub(since)));
                }
            }
            "observer" => self.stands_since = None,
            // It waits for a leader, or to stand again.
            _ => {}
        }
    }

    fn pace(&mut self, at: Duration) -> Pace {
        Pace {
            append_records_rate: self.appended.rate(at),
            fetch_records_rate: self.fetched.rate(at),
            commit_latency: self.commits.latency(at),
            election_latency: self.elections.latency(at),
        }
    }
}

fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// What was measured lately.
#[derive(Debug, Default)]
struct Window {
    /// When the span that goes on began.
    began_at: Duration,
    current: Sum,
    previous: Sum,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    count: u64,
    total: f64,
    max: f64,
}

impl Window {
    fn add(&mut self, at: Duration, value: f64) {
        self.turn(at);
        self.current.count += 1;
        self.current.total += value;
        self.current.max = self.current.max.max(value);
    }

    /// Ends the spans that have passed.
    fn turn(&mut self, at: Duration) {
        let age = at.saturating_sub(self.began_at);
        if age < SPAN {
            return;
        }
        let is_next = age < 2 * SPAN;
        let ended = std::mem::take(&mut self.current);
        self.previous = if is_next { ended } else { Sum::default() };
        self.began_at = if is_next { self.began_at + SPAN } else { at };
    }

    fn rate(&mut self, at: Duration) -> f64 {
        self.turn(at);
        let covered = SPAN + at.saturating_sub(self.began_at);
        (self.current.total + self.previous.total) / covered.as_secs_f64()
    }

    fn latency(&mut self, at: Duration) -> Latency {
        self.turn(at);
        let count = self.current.count + self.previous.count;
        if count == 0 {
            return Latency { avg_ms: f64::NAN, max_ms: f64::NAN };
        }
        Latency {
            avg_ms: (self.current.total + self.previous.total) / count as f64,
            max_ms: self.current.max.max(self.previous.max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A dashboard would show a busy quorum as idle, or one that was busy long ago as busy.
    #[test]
    fn rates_are_of_the_last_minute() {
        let mut gauges = Gauges::default();
        gauges.append(at(10), 30, Offset(30));
        gauges.append(at(20), 30, Offset(60));
        assert_eq!(gauges.pace(at(30)).append_records_rate, 2.0);
        assert_eq!(gauges.pace(at(50)).append_records_rate, 1.2);
        assert_eq!(gauges.pace(at(60)).append_records_rate, 0.0);
        gauges.fetched.add(at(500), 45.0);
        assert_eq!(gauges.pace(at(515)).fetch_records_rate, 1.0);
        assert_eq!(gauges.pace(at(515)).append_records_rate, 0.0);
    }

    /// A slow disk or network under the quorum would not be seen.
    #[test]
    fn a_commit_takes_from_the_append_to_the_high_watermark() {
        let mut gauges = Gauges::default();
        assert!(gauges.pace(at(0)).commit_latency.avg_ms.is_nan(), "nothing was committed");
        gauges.append(at(1), 1, Offset(5));
        gauges.append(at(2), 1, Offset(6));
        gauges.append(at(2), 1, Offset(7));
        gauges.commit(at(4), Offset(6));
        let expected = Latency { avg_ms: 2500.0, max_ms: 3000.0 };
        assert_eq!(gauges.pace(at(5)).commit_latency, expected);
        gauges.uncommitted.clear();
        gauges.commit(at(6), Offset(9));
        assert_eq!(gauges.pace(at(6)).commit_latency, expected, "it was another leader's");
    }

    /// Elections that take long would be seen by nobody but the clients.
    #[test]
    fn an_election_takes_until_somebody_leads() {
        let mut gauges = Gauges::default();
        for (seconds, role) in (1..).zip(["follower", "prospective", "candidate", "unattached"]) {
            gauges.is(at(seconds), role);
        }
        assert!(gauges.pace(at(4)).election_latency.max_ms.is_nan(), "nobody leads yet");
        for (seconds, role) in (5..).zip(["candidate", "leader", "leader", "follower"]) {
            gauges.is(at(seconds), role);
        }
        let expected = Latency { avg_ms: 4000.0, max_ms: 4000.0 };
        assert_eq!(gauges.pace(at(8)).election_latency, expected, "from 2 to 6, and once");
    }
}
