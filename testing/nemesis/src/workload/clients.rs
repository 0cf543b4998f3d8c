//! All clients of a run, each on its own thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rdkafka::error::KafkaResult;

use super::settings::Settings;
use super::{consumer, group, producer, transaction};
use crate::history::recorder::Recorder;
use crate::random::Random;

/// How many of which.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Producers.
    pub producers: u64,
    /// Consumers that name their partitions.
    pub readers: u64,
    /// Members of the one group.
    pub members: u64,
    /// Transactional clients.
    pub movers: u64,
}

/// Clients that run.
#[derive(Debug)]
pub struct Clients {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<KafkaResult<()>>>,
}

impl Clients {
    /// Starts them. The rate is that of all producers together, in records a second.
    #[must_use]
    pub fn start(
        settings: &Settings,
        recorder: &Recorder,
        counts: Counts,
        rate: u64,
        random: &mut Random,
    ) -> Self {
        let mut clients = Self { is_over: Arc::default(), threads: Vec::new() };
        let each = rate / counts.producers.max(1);
        for _ in 0..counts.producers {
            clients.spawn(settings, recorder, move |settings, recorder, is_over| {
                producer::run(settings, recorder, each, is_over)
            });
        }
        for _ in 0..counts.readers {
            clients.spawn(settings, recorder, consumer::run);
        }
        for _ in 0..counts.members {
            clients.spawn(settings, recorder, group::run);
        }
        for _ in 0..counts.movers {
            let random = random.branch();
            clients.spawn(settings, recorder, move |settings, recorder, is_over| {
                transaction::run(settings, recorder, random, is_over)
            });
        }
        clients
    }

    fn spawn(
        &mut self,
        settings: &Settings,
        recorder: &Recorder,
        client: impl FnOnce(&Settings, &Recorder, &AtomicBool) -> KafkaResult<()> + Send + 'static,
    ) {
        let (settings, recorder) = (settings.clone(), recorder.clone());
        let is_over = Arc::clone(&self.is_over);
        self.threads.push(std::thread::spawn(move || client(&settings, &recorder, &is_over)));
    }

    /// Lets them finish, and waits for it.
    ///
    /// # Errors
    /// When one of them could not do its work.
    pub fn stop(self) -> KafkaResult<()> {
        self.is_over.store(true, Ordering::Relaxed);
        let mut outcome = Ok(());
        for thread in self.threads {
            match thread.join() {
                Ok(result) => outcome = outcome.and(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        outcome
    }
}
