//! Appends that wait until they count: those of acks=all, in the order of their offsets.
//!
//! The queue lives under the partition's lock, where the high watermark moves and leadership ends,
//! so nobody is missed, and only those are woken who have reached what they wait for.

use std::collections::VecDeque;

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::Offset;
use tokio::sync::oneshot;

/// What becomes of an append: it counts, or why it does not.
pub type Verdict = Result<(), ErrorCode>;

/// From this length on, those who went away are looked for before it grows.
const SWEEP_FROM: usize = 256;

/// Those who wait.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// By the high watermark that each waits for, ascending.
    queue: VecDeque<(Offset, oneshot::Sender<Verdict>)>,
    sweep_at: usize,
}

impl Waits {
    /// Waits until the high watermark is at `end`.
    pub(super) fn join(&mut self, end: Offset) -> oneshot::Receiver<Verdict> {
        if self.queue.len() >= self.sweep_at.max(SWEEP_FROM) {
            self.queue.retain(|(_, waiter)| !waiter.is_closed());
            self.sweep_at = self.queue.len() * 2;
        }
        let (waiter, verdict) = oneshot::channel();
        // Nearly always the end of the queue.
        let behind = self.queue.iter().rev().take_while(|(other, _)| *other > end).count();
        self.queue.insert(self.queue.len() - behind, (end, waiter));
        verdict
    }

    /// Tells all that wait for no more than this.
    pub(super) fn reached(&mut self, high_watermark: Offset, verdict: Verdict) {
        while self.queue.front().is_some_and(|(end, _)| *end <= high_watermark) {
            if let Some((_, waiter)) = self.queue.pop_front() {
                // Whoever waited may have gone away.
                let _ = waiter.send(verdict);
            }
        }
    }

    /// Tells everybody that it comes to nothing.
    pub(super) fn refuse(&mut self, code: ErrorCode) {
        for (_, waiter) in std::mem::take(&mut self.queue) {
            // Whoever waited may have gone away.
            let _ = waiter.send(Err(code));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An append would be acknowledged with one behind it, or never.
    #[test]
    fn each_is_told_when_its_own_end_is_reached() {
        let mut waits = Waits::default();
        let (mut late, mut early) = (waits.join(Offset(9)), waits.join(Offset(5)));
        waits.reached(Offset(8), Ok(()));
        assert_eq!(early.try_recv(), Ok(Ok(())));
        assert!(late.try_recv().is_err());
        waits.refuse(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        assert_eq!(late.try_recv(), Ok(Err(ErrorCode::NOT_LEADER_OR_FOLLOWER)));
    }

    /// Clients that time out while nothing moves would fill the memory.
    #[test]
    fn those_who_went_away_are_forgotten() {
        let mut waits = Waits::default();
        for end in 0..10 * SWEEP_FROM {
            drop(waits.join(Offset(end as i64)));
        }
        assert!(waits.queue.len() <= SWEEP_FROM, "{}", waits.queue.len());
    }
}
