//! One lane to each broker: a connection, a request at a time, and what waits for the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use milena_client::connection::Connection;
use milena_protocol::ids::NodeId;
use parking_lot::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

use super::joined::Joined;
use crate::replicas::fetcher::{Network, Wired};

/// What goes into one request at most.
const MAX_JOINED: usize = 500;
/// What may wait for one broker; more is refused, and asked again by whoever wants it.
const QUEUE: usize = 10_000;

/// What goes into one request, and who waits for the answers.
type Batch<J> = (Vec<<J as Joined>::Item>, BTreeMap<<J as Joined>::Key, Reply<J>>);
type Reply<J> = oneshot::Sender<Result<<J as Joined>::Answer, Silence>>;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The broker was not asked, and will not be.
    NotAsked,
    /// It may have done what it was asked, or may do it yet.
    NoAnswer,
}

struct Errand<J: Joined> {
    item: J::Item,
    reply: Reply<J>,
}

/// The lanes of one kind of request.
pub struct Lanes<J: Joined> {
    network: Arc<Wired>,
    by_broker: Mutex<BTreeMap<NodeId, Sender<Errand<J>>>>,
}

impl<J: Joined> Lanes<J> {
    /// Nobody is connected yet.
    #[must_use]
    pub fn new(network: Wired) -> Self {
        Self { network: Arc::new(network), by_broker: Mutex::default() }
    }

    /// Asks a broker, together with what others ask of it. Whoever drops this before it is on its
    /// way has asked for nothing.
    ///
    /// # Errors
    /// [`Silence`].
    pub async fn ask(&self, broker: NodeId, item: J::Item) -> Result<J::Answer, Silence> {
        let (reply, answer) = oneshot::channel();
        if self.lane(broker).try_send(Errand { item, reply }).is_err() {
            return Err(Silence::NotAsked);
        }
        answer.await.unwrap_or(Err(Silence::NoAnswer))
    }

    fn lane(&self, broker: NodeId) -> Sender<Errand<J>> {
        let open = || {
            let (sender, errands) = channel(QUEUE);
            tokio::spawn(run(Arc::clone(&self.network), broker, errands));
            sender
        };
        self.by_broker.lock().entry(broker).or_insert_with(open).clone()
    }
}

impl<J: Joined> fmt::Debug for Lanes<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lanes({})", self.by_broker.lock().len())
    }
}

/// Carries errands to a broker until nobody can have any more.
async fn run<J: Joined>(network: Arc<Wired>, to: NodeId, mut errands: Receiver<Errand<J>>) {
    let mut connection = None;
    let mut waiting = Vec::new();
    loop {
        if waiting.is_empty() && errands.recv_many(&mut waiting, MAX_JOINED).await == 0 {
            return;
        }
        let (items, mut replies) = together(&mut waiting);
        if items.is_empty() {
            continue;
        }
        let answers = ask::<J>(&network, to, &mut connection, items).await;
        let silence = answers.as_ref().err().copied().unwrap_or(Silence::NoAnswer);
        for (key, answer) in answers.unwrap_or_default() {
            if let Some(reply) = replies.remove(&key) {
                // Whoever asked may have gone away.
                let _ = reply.send(Ok(answer));
            }
        }
        for reply in replies.into_values() {
            let _ = reply.send(Err(silence));
        }
    }
}

/// What goes into one request: the first of each key; the others stay. Whoever has gone away wants
/// nothing any more.
fn together<J: Joined>(waiting: &mut Vec<Errand<J>>) -> Batch<J> {
    let (mut items, mut replies) = (Vec::new(), BTreeMap::new());
    let mut seen = BTreeSet::new();
    let mut others = Vec::new();
    for errand in waiting.drain(..).filter(|errand| !errand.reply.is_closed()) {
        if !seen.insert(J::key(&errand.item)) {
            others.push(errand);
            continue;
        }
        replies.insert(J::key(&errand.item), errand.reply);
        items.push(errand.item);
    }
    *waiting = others;
    (items, replies)
}

async fn ask<J: Joined>(
    network: &Wired,
    to: NodeId,
    known: &mut Option<Connection>,
    items: Vec<J::Item>,
) -> Result<BTreeMap<J::Key, J::Answer>, Silence> {
    let connection = match known.take().filter(|known| !known.is_lost()) {
        Some(connection) => connection,
        None => network.connect(to).await.map_err(|error| {
            tracing::debug!(broker = to.0, %error, "cannot reach a broker");
            Silence::NotAsked
        })?,
    };
    let response = connection.ask(&J::join(items)).await.map_err(|error| {
        tracing::debug!(broker = to.0, %error, "no answer of a broker");
        Silence::NoAnswer
    })?;
    *known = Some(connection);
    Ok(J::part(response))
}

#[cfg(test)]
mod tests {
    use super::super::markers::Markers;
    use super::*;
    use milena_protocol::api::write_txn_markers::WriteTxnMarkersMarker;
    use milena_protocol::ids::ProducerId;

    fn errand(producer: i64) -> (Errand<Markers>, oneshot::Receiver<impl Sized>) {
        let (reply, answer) = oneshot::channel();
        let producer_id = ProducerId(producer);
        let item = WriteTxnMarkersMarker { producer_id, ..Default::default() };
        (Errand { item, reply }, answer)
    }

    /// One of two would be told what became of the other, or something be done for nobody.
    #[test]
    fn what_cannot_be_told_apart_goes_one_after_the_other() {
        let (mut waiting, mut answers) = (Vec::new(), Vec::new());
        for producer in [1, 2, 1, 3] {
            let (errand, answer) = errand(producer);
            waiting.push(errand);
            answers.push(answer);
        }
        drop(answers.pop());
        let mut rounds = Vec::new();
        while !waiting.is_empty() {
            let (items, replies) = together(&mut waiting);
            assert_eq!(items.len(), replies.len());
            rounds.push(items.iter().map(|item| item.producer_id.0).collect::<Vec<_>>());
        }
        assert_eq!(rounds, [vec![1, 2], vec![1]]);
    }
}
