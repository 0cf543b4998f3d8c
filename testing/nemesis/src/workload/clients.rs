//! All clients of a run, each on its own thread.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::foreign::Program;
use super::settings::Settings;
use super::{consumer, foreign, group, producer, transaction};
use crate::history::recorder::Recorder;
use crate::random::Random;

/// How many of which.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Producers of librdkafka.
    pub producers: u64,
    /// Consumers that name their partitions.
    pub readers: u64,
    /// Members of the one group.
    pub members: u64,
    /// Transactional clients.
    pub movers: u64,
    /// Producers of others, one of each.
    pub foreign: Vec<Program>,
}

/// What becomes of a client.
type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// Clients that run.
#[derive(Debug)]
pub struct Clients {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Outcome>>,
}

impl Clients {
    /// Starts them. The rate is that of all producers together, in records a second.
    #[must_use]
    pub fn start(
        settings: &Settings,
        recorder: &Recorder,
        counts: &Counts,
        rate: u64,
        random: &mut Random,
    ) -> Self {
        let mut clients = Self { is_over: Arc::default(), threads: Vec::new() };
        let each = rate / (counts.producers + counts.foreign.len() as u64).max(1);
        for _ in 0..counts.producers {
            clients.spawn(settings, recorder, move |settings, recorder, is_over| {
                producer::run(settings, recorder, each, is_over)
            });
        }
        for program in counts.foreign.clone() {
            clients.spawn(settings, recorder, move |settings, recorder, is_over| {
                foreign::run(&program, settings, recorder, each, is_over)
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

    fn spawn<E: Into<Box<dyn Error + Send + Sync>>>(
        &mut self,
        settings: &Settings,
        recorder: &Recorder,
        client: impl FnOnce(&Settings, &Recorder, &AtomicBool) -> Result<(), E> + Send + 'static,
    ) {
        let (settings, recorder) = (settings.clone(), recorder.clone());
        let is_over = Arc::clone(&self.is_over);
        self.threads.push(std::thread::spawn(move || {
            client(&settings, &recorder, &is_over).map_err(Into::into)
        }));
    }

    /// Lets them finish, and waits for it.
    ///
    /// # Errors
    /// When one of them could not do its work.
    pub fn stop(self) -> Outcome {
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
