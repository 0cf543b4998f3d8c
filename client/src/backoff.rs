//! How long to wait before something is tried again: doubling, bounded, jittered so that many
//! clients that failed together do not come back together.

use std::time::Duration;

use milena_protocol::error_code::ErrorCode;

use crate::entropy::Entropy;
use crate::error::ClientError;

/// The first wait.
const FIRST: Duration = Duration::from_millis(20);
/// By how much waits for markers are shorter.
const SOONER: u32 = 8;
/// No wait is longer.
const LAST: Duration = Duration::from_secs(1);

/// The waits of one thing that is tried again and again.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
    entropy: Entropy,
}

impl Backoff {
    /// The next wait.
    pub fn next(&mut self) -> Duration {
        let wait = FIRST.saturating_mul(1 << self.failures.min(10)).min(LAST);
        self.failures += 1;
        let jitter = (self.entropy.draw(self.failures.into()) % 400) as f64 / 1000.0;
        wait.mul_f64(0.8 + jitter)
    }

    /// The next wait after an error. Markers of an earlier transaction are written in a moment: who
    /// waits for them asks again sooner.
    pub fn next_after(&mut self, error: &ClientError) -> Duration {
        let wait = self.next();
        match error.code() {
            Some(ErrorCode::CONCURRENT_TRANSACTIONS) => wait / SOONER,
            _ => wait,
        }
    }

    /// It worked: the next failure is a first one.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A broker that is down would be asked without pause, or forgotten for minutes.
    #[test]
    fn waits_double_up_to_their_bound() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..40).map(|_| backoff.next()).collect();
        assert!(waits.iter().all(|wait| *wait >= FIRST.mul_f64(0.8)));
        assert!(waits.iter().all(|wait| *wait <= LAST.mul_f64(1.2)));
        assert!(waits[4] > waits[0] * 4 && waits[39] >= LAST.mul_f64(0.8));
        backoff.reset();
        assert!(backoff.next() <= FIRST.mul_f64(1.2));
    }
}
