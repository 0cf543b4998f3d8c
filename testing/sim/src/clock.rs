//! A machine's own clock: it begins anywhere, and goes a little too fast or too slow.

use milena_cluster::time::{Instant, Now};
use milena_protocol::ids::Timestamp;

use crate::simulation::rng::Rng;

/// What the wall clocks show, about, when a run begins.
const BEGIN: i64 = 1_700_000_000_000;
/// Thousandths that a clock is wrong by, at most.
const DRIFT: u64 = 50;

/// The clock of a run of a process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// What it showed at the true time 0.
    begin: u64,
    /// Its milliseconds in a true second.
    rate: u64,
    /// How far the wall clock is off.
    wall: i64,
}

impl Clock {
    /// A clock as chance gives it, wrong or right.
    pub fn draw(rng: &mut Rng, drifts: bool) -> Self {
        let drift = if drifts { DRIFT } else { 0 };
        Self {
            begin: rng.below(10_000),
            rate: rng.within(1000 - drift, 1000 + drift),
            wall: BEGIN + rng.below(20_000) as i64 - 10_000,
        }
    }

    /// What it shows at a true time.
    pub fn at(&self, time: u64) -> Now {
        let instant = Instant(self.begin + time * self.rate / 1000);
        Now { instant, wall: Timestamp(self.wall + time as i64) }
    }

    /// The true time at which it first shows an instant.
    pub fn when(&self, instant: Instant) -> u64 {
        instant.0.saturating_sub(self.begin).saturating_mul(1000).div_ceil(self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine would be woken before its deadline, again and again.
    #[test]
    fn a_clock_shows_an_instant_when_it_says_so() {
        let mut rng = Rng::new(7);
        for _ in 0..100 {
            let clock = Clock::draw(&mut rng, true);
            let instant = Instant(rng.within(10_000, 1_000_000));
            let time = clock.when(instant);
            assert!(clock.at(time).instant >= instant);
            assert!(time == 0 || clock.at(time - 1).instant < instant);
        }
    }
}
