//! Where clients write down what they do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;

use super::operation::{Action, Instant, Key, Operation, Outcome, Process};

/// A history that is being made. Clones write into the same one.
#[derive(Clone, Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    began: std::time::Instant,
    /// The same in nanoseconds since 1970, for what other programs say.
    began_by_the_wall: u64,
    processes: AtomicU32,
    operations: Mutex<Vec<Operation>>,
}

/// One process's pen: its invocations are told apart by their instants.
#[derive(Debug)]
pub struct Pen {
    recorder: Recorder,
    process: Process,
    last: Instant,
}

impl Default for Recorder {
    fn default() -> Self {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            shared: Arc::new(Shared {
                began: std::time::Instant::now(),
                began_by_the_wall: u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX),
                processes: AtomicU32::new(0),
                operations: Mutex::default(),
            }),
        }
    }
}

impl Recorder {
    /// The time of the history.
    #[must_use]
    pub fn now(&self) -> Instant {
        let elapsed = self.shared.began.elapsed().as_nanos();
        Instant(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    /// A time of the wall clock, in nanoseconds since 1970, in the time of the history.
    #[must_use]
    pub fn at(&self, wall: u64) -> Instant {
        Instant(wall.saturating_sub(self.shared.began_by_the_wall))
    }

    /// A pen for a client that begins.
    #[must_use]
    pub fn pen(&self) -> Pen {
        let process = Process(self.shared.processes.fetch_add(1, Ordering::Relaxed));
        Pen { recorder: self.clone(), process, last: Instant::default() }
    }

    /// Writes an operation down.
    pub fn record(&self, operation: Operation) {
        self.shared.operations.lock().push(operation);
    }

    /// The keys to which something was sent with success.
    #[must_use]
    pub fn acknowledged(&self) -> BTreeSet<Key> {
        let operations = self.shared.operations.lock();
        let succeeded = operations.iter().filter(|one| one.outcome == Outcome::Ok);
        succeeded.flat_map(|one| one.sends().map(|send| send.key)).collect()
    }

    /// Takes what was written so far.
    #[must_use]
    pub fn take(&self) -> Vec<Operation> {
        std::mem::take(&mut *self.shared.operations.lock())
    }
}

impl Pen {
    /// Whose it is.
    #[must_use]
    pub fn process(&self) -> Process {
        self.process
    }

    /// The instant of an operation that is invoked now.
    pub fn invoke(&mut self) -> Instant {
        let now = self.recorder.now();
        self.last = if now > self.last { now } else { Instant(self.last.0 + 1) };
        self.last
    }

    /// Writes down what was invoked then and is answered now.
    pub fn complete(&self, invoked: Instant, outcome: Outcome, action: Action) {
        let completed = Some(self.recorder.now());
        let process = self.process;
        self.recorder.record(Operation { process, invoked, completed, outcome, action });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends of one instant would have no order, and a reordering among them would not be seen.
    #[test]
    fn invocations_of_a_process_are_told_apart() {
        let mut pen = Recorder::default().pen();
        pen.last = Instant(u64::MAX / 2);
        let first = pen.invoke();
        assert!(pen.invoke() > first);
    }
}
