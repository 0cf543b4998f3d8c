//! One bound for the request bytes that all connections hold at once.
//!
//! Memory follows bytes received, never bytes announced: a connection asks for what its buffer is
//! about to grow by, and what it got comes back when the buffer is given up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// How long a connection waits for room before it is closed.
pub const WAIT_FOR_ROOM: Duration = Duration::from_secs(10);

/// Bytes that buffers may hold together.
#[derive(Debug)]
pub struct Budget {
    limit_bytes: usize,
    held_bytes: AtomicUsize,
    freed: Notify,
}

impl Budget {
    /// A budget of this many bytes.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, held_bytes: AtomicUsize::new(0), freed: Notify::new() }
    }

    /// Bytes held now.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::Relaxed)
    }

    /// Takes `bytes` if they fit.
    fn try_take(&self, bytes: usize) -> bool {
        self.held_bytes
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |held| {
                let after = held.checked_add(bytes)?;
                (after <= self.limit_bytes).then_some(after)
            })
            .is_ok()
    }

    fn give_back(&self, bytes: usize) {
        if bytes > 0 {
            self.held_bytes.fetch_sub(bytes, Ordering::AcqRel);
            self.freed.notify_waiters();
        }
    }
}

/// What one connection holds of the budget.
#[derive(Debug)]
pub struct Share<'a> {
    budget: &'a Budget,
    bytes: usize,
}

impl<'a> Share<'a> {
    /// A share of nothing.
    #[must_use]
    pub fn new(budget: &'a Budget) -> Self {
        Self { budget, bytes: 0 }
    }

    /// Changes the share to `bytes`, waiting for room where it grows.
    ///
    /// Answers false when there was no room within [`WAIT_FOR_ROOM`].
    pub async fn resize(&mut self, bytes: usize) -> bool {
        if bytes <= self.bytes {
            self.budget.give_back(self.bytes - bytes);
            self.bytes = bytes;
            return true;
        }
        let more = bytes - self.bytes;
        let taken = self.budget.try_take(more)
            || tokio::time::timeout(WAIT_FOR_ROOM, async {
                loop {
                    let freed = self.budget.freed.notified();
                    if self.budget.try_take(more) {
                        return;
                    }
                    freed.await;
                }
            })
            .await
            .is_ok();
        if taken {
            self.bytes = bytes;
        }
        taken
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A closed connection would keep its bytes for ever.
    #[tokio::test]
    async fn shares_come_back() {
        let budget = Budget::new(100);
        let mut one = Share::new(&budget);
        assert!(one.resize(60).await);
        assert!(!budget.try_take(41));
        assert!(one.resize(10).await);
        assert_eq!(budget.held_bytes(), 10);
        drop(one);
        assert_eq!(budget.held_bytes(), 0);
    }

    /// A frame larger than the room would be let in.
    #[tokio::test(start_paused = true)]
    async fn growth_waits_and_gives_up() {
        let budget = Budget::new(100);
        let mut one = Share::new(&budget);
        assert!(one.resize(90).await);
        let mut two = Share::new(&budget);
        assert!(!two.resize(20).await);
        assert_eq!(budget.held_bytes(), 90);
    }
}
