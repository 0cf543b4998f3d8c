//! What was committed takes effect on a thread of its own: opening the logs of many partitions
//! takes its time, and the quorum must go on meanwhile.

use std::sync::Arc;

use milena_cluster::metadata::delta::Changes;
use milena_cluster::metadata::image::MetadataImage;

use super::handle::Finish;
use super::queue::{self, Receiver, Sender};
use crate::machine::Threads;

/// Takes a committed image into effect on this broker.
pub type Publish = Box<dyn FnMut(&Arc<MetadataImage>, &Changes) + Send>;

/// What was committed, and who waits for that to be in effect.
#[derive(Default)]
pub(super) struct News {
    /// The image, and what is different in it.
    pub image: Option<(Arc<MetadataImage>, Changes)>,
    /// Whoever is answered then.
    pub answers: Vec<Finish>,
}

/// The way to the thread; without one nothing has to take effect.
#[derive(Default)]
pub(super) struct NewsDesk(Option<Sender<News>>);

impl NewsDesk {
    /// Starts the thread.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn open(mut publish: Publish, threads: Threads) -> std::io::Result<Self> {
        let (sender, news) = queue::open(threads);
        match news {
            Receiver::Thread(news) => {
                let work = move || news.into_iter().for_each(|news| take(news, &mut publish));
                std::thread::Builder::new().name("metadata".into()).spawn(work)?;
            }
            Receiver::Task(mut news) => drop(tokio::spawn(async move {
                while let Some(news) = news.recv().await {
                    take(news, &mut publish);
                }
            })),
        }
        Ok(Self(Some(sender)))
    }

    /// Hands news in; they take effect in their order.
    pub fn take(&self, news: News) {
        if news.image.is_none() && news.answers.is_empty() {
            return;
        }
        match &self.0 {
            // The thread ends only with the process.
            Some(desk) => {
                let _ = desk.send(news);
            }
            None => news.answers.into_iter().for_each(|finish| finish(Ok(()))),
        }
    }
}

fn take(News { image, answers }: News, publish: &mut Publish) {
    if let Some((image, changes)) = image {
        publish(&image, &changes);
    }
    answers.into_iter().for_each(|finish| finish(Ok(())));
}
