//! When to kill: moments that a seed decides.

use std::time::Duration;

/// The shortest and the longest time that a broker serves before it is killed.
const SERVING_MS: (u64, u64) = (50, 600);
/// The longest time into a start at which a broker is killed.
const STARTING_MS: u64 = 40;
/// One in so many kills hits a start.
const STARTS_IN: u64 = 4;

/// What happens to the broker next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It is killed after serving for this long.
    Serving(Duration),
    /// It is killed this long after its start began.
    Starting(Duration),
}

/// An endless sequence of moments; the same seed gives the same ones.
#[derive(Clone, Debug)]
pub struct Moments {
    state: u64,
}

impl Moments {
    /// The moments of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self { state: seed }
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Iterator for Moments {
    type Item = Moment;

    fn next(&mut self) -> Option<Moment> {
        let (shortest, longest) = SERVING_MS;
        let in_start = self.random().is_multiple_of(STARTS_IN);
        let random = self.random();
        Some(if in_start {
            Moment::Starting(Duration::from_millis(random % (STARTING_MS + 1)))
        } else {
            Moment::Serving(Duration::from_millis(shortest + random % (longest - shortest + 1)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run that failed could not be repeated.
    #[test]
    fn a_seed_gives_the_same_moments_again() {
        let moments = |seed| Moments::of(seed).take(100).collect::<Vec<_>>();
        assert_eq!(moments(7), moments(7));
        assert_ne!(moments(7), moments(8));
        assert!(moments(7).iter().any(|moment| matches!(moment, Moment::Starting(_))));
    }
}
