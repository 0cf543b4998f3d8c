//! The queue of whoever works off the runtime: a thread's, or, where a node has no threads of its
//! own, a task's.

use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::machine::Threads;

/// The way into a queue.
pub(super) enum Sender<T> {
    Thread(mpsc::Sender<T>),
    Task(UnboundedSender<T>),
}

/// What comes out of a queue.
pub(super) enum Receiver<T> {
    Thread(mpsc::Receiver<T>),
    Task(UnboundedReceiver<T>),
}

/// Nobody works any more.
#[derive(Debug)]
pub(super) struct Closed;

/// What came of waiting.
pub(super) enum Waited<T> {
    /// Something to do.
    Work(T),
    /// Nothing, in that time.
    Nothing,
    /// Nobody can have anything to do any more.
    Closed,
}

/// A queue for such threads.
pub(super) fn open<T>(threads: Threads) -> (Sender<T>, Receiver<T>) {
    match threads {
        Threads::Own => {
            let (sender, receiver) = mpsc::channel();
            (Sender::Thread(sender), Receiver::Thread(receiver))
        }
        Threads::None => {
            let (sender, receiver) = unbounded_channel();
            (Sender::Task(sender), Receiver::Task(receiver))
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Thread(sender) => Self::Thread(sender.clone()),
            Self::Task(sender) => Self::Task(sender.clone()),
        }
    }
}

impl<T> Sender<T> {
    /// Hands something in.
    ///
    /// # Errors
    /// [`Closed`].
    pub fn send(&self, work: T) -> Result<(), Closed> {
        match self {
            Self::Thread(sender) => sender.send(work).map_err(|_| Closed),
            Self::Task(sender) => sender.send(work).map_err(|_| Closed),
        }
    }
}

/// Waits as a thread does.
pub(super) fn wait<T>(work: &mpsc::Receiver<T>, patience: Duration) -> Waited<T> {
    match work.recv_timeout(patience) {
        Ok(work) => Waited::Work(work),
        Err(mpsc::RecvTimeoutError::Timeout) => Waited::Nothing,
        Err(mpsc::RecvTimeoutError::Disconnected) => Waited::Closed,
    }
}

/// Waits as a task does.
pub(super) async fn wait_as_task<T>(
    work: &mut UnboundedReceiver<T>,
    patience: Duration,
) -> Waited<T> {
    match timeout(patience, work.recv()).await {
        Ok(Some(work)) => Waited::Work(work),
        Ok(None) => Waited::Closed,
        Err(_) => Waited::Nothing,
    }
}
