//! Waking those who wait for a partition to move on.
//!
//! A fetch that found too little waits on all its partitions with one [`Notify`]. Registering comes
//! before the last look, so a wake-up between look and wait is not lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Those who wait for one partition.
#[derive(Debug, Default)]
pub struct Progress {
    /// The length of the list, so that an append with nobody waiting takes no lock.
    count: AtomicUsize,
    waiters: Mutex<Vec<Arc<Notify>>>,
}

impl Progress {
    /// Adds a waiter; it stays until [`Progress::leave`].
    pub fn join(&self, waiter: &Arc<Notify>) {
        let mut waiters = self.waiters.lock();
        waiters.push(waiter.clone());
        self.count.store(waiters.len(), Ordering::SeqCst);
    }

    /// Removes a waiter.
    pub fn leave(&self, waiter: &Arc<Notify>) {
        let mut waiters = self.waiters.lock();
        if let Some(index) = waiters.iter().position(|other| Arc::ptr_eq(other, waiter)) {
            waiters.swap_remove(index);
        }
        if waiters.is_empty() {
            *waiters = Vec::new();
        }
        self.count.store(waiters.len(), Ordering::SeqCst);
    }

    /// Wakes everyone; each looks again and waits on if it must.
    pub fn wake(&self) {
        Self::wake_all([self]);
    }

    /// Wakes everyone who waits for any of these.
    pub fn wake_all<const N: usize>(lists: [&Self; N]) {
        // Pairs with the store in join: either the waiter sees the new offsets in its last look,
        // or we see the waiter here.
        std::sync::atomic::fence(Ordering::SeqCst);
        for list in lists {
            if list.count.load(Ordering::SeqCst) > 0 {
                list.waiters.lock().iter().for_each(|waiter| waiter.notify_one());
            }
        }
    }
}

/// Keeps a waiter joined to several partitions until it is dropped.
#[derive(Debug)]
pub struct Waiting<'a> {
    waiter: Arc<Notify>,
    joined: Vec<&'a Progress>,
}

impl<'a> Waiting<'a> {
    /// Joins all of them.
    #[must_use]
    pub fn on(progresses: impl Iterator<Item = &'a Progress>) -> Self {
        let waiter = Arc::new(Notify::new());
        let joined: Vec<_> = progresses.collect();
        joined.iter().for_each(|progress| progress.join(&waiter));
        Self { waiter, joined }
    }

    /// Waits until one of them moves on.
    pub async fn moved(&self) {
        self.waiter.notified().await;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.joined.iter().for_each(|progress| progress.leave(&self.waiter));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A consumer would sleep through an append that came between its look and its wait.
    #[tokio::test]
    async fn a_wake_before_the_wait_counts() {
        let progress = Progress::default();
        let waiting = Waiting::on(std::iter::once(&progress));
        progress.wake();
        waiting.moved().await;
    }

    /// Finished fetches would pile up in the list.
    #[test]
    fn dropping_leaves() {
        let progress = Progress::default();
        drop(Waiting::on(std::iter::once(&progress)));
        assert_eq!(progress.count.load(Ordering::SeqCst), 0);
        assert!(progress.waiters.lock().is_empty());
    }
}
