//! One connection: frames in, answers out, in the order of the requests.
//!
//! A request runs as one async function on this task. Requests begin in order. A produce may begin
//! while only produces are waiting for their acknowledgement; everything else waits until all
//! answers before it have left, as a client of Kafka may expect.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use milena_client::tcp::TcpStream;
use tokio::time::Instant;

use super::frame::{BadFrame, Buffer, IDLE_BYTES};
use crate::broker::Broker;
use crate::caretaker;
use crate::handlers::{self, Begun};
use crate::limits::budget::Share;
use crate::request::{Answer, Peer, Refusal, Scope};

/// Answers that may wait on one connection before the next request is read.
const MAX_PENDING: usize = 64;
/// Ready answers are sent once they reach this size, or when no whole request is left to run.
const SEND_AT_BYTES: usize = 64 * 1024;
/// How long a frame may take, besides what its bytes may take.
const FRAME_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may leave its answer, besides what its bytes may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// What a client that is slow but alive moves in a second, on average over a frame or an answer.
const SLOWEST_BYTES_PER_SECOND: usize = 1024;
/// Nobody earns more than this: what has come of a frame stays in memory meanwhile.
const LONGEST_TRANSFER: Duration = Duration::from_secs(600);
/// An idle connection's large buffer is given back after this.
const RELEASE_AFTER: Duration = Duration::from_secs(2);
/// Pieces handed to the socket in one call.
const MAX_SLICES: usize = 64;

/// Why a connection ended.
#[derive(Debug)]
pub enum Closed {
    /// The client went away.
    ByPeer,
    /// Nothing came for longer than allowed.
    Idle,
    /// It stopped in the middle of a frame, or sent it too slowly.
    PartialFrame,
    /// It did not take its answer, or too slowly.
    NotTaken,
    /// A length that cannot be one.
    BadFrame(BadFrame),
    /// A request that cannot be answered.
    BadRequest(Refusal),
    /// No room for its bytes.
    NoRoom,
    /// The socket failed.
    Failed(io::Error),
}

/// Serves a connection until it ends.
pub async fn serve(broker: Arc<Broker>, stream: TcpStream, peer: Peer) {
    let peer = Arc::new(peer);
    let address = peer.remote;
    let listener = peer.listener.clone();
    broker.metrics.connection_opened();
    let closed = Connection::new(&broker, stream, peer.clone()).run().await;
    broker.metrics.connection_closed();
    if let Some((node, epoch)) = peer.lives_as.get().copied() {
        tokio::spawn(caretaker::look_after(broker.clone(), node, epoch));
    }
    log_closed(&closed, address, &listener);
}

fn log_closed(closed: &Closed, address: SocketAddr, listener: &str) {
    match closed {
        Closed::ByPeer => tracing::debug!(%address, listener, "connection closed by the client"),
        Closed::Idle => tracing::debug!(%address, listener, "idle connection closed"),
        Closed::PartialFrame => {
            tracing::debug!(%address, listener, "connection closed: it stopped inside a frame");
        }
        Closed::NotTaken => {
            tracing::debug!(%address, listener, "connection closed: it does not take its answer");
        }
        Closed::BadFrame(frame) => {
            tracing::debug!(%address, listener, ?frame, "connection closed: impossible length");
        }
        Closed::BadRequest(refusal) => {
            tracing::debug!(%address, listener, %refusal, "connection closed: bad request");
        }
        Closed::NoRoom => {
            tracing::debug!(%address, listener, "connection closed: request memory is used up");
        }
        Closed::Failed(error) => {
            tracing::debug!(%address, listener, %error, "connection failed");
        }
    }
}

type Pending = Pin<Box<dyn Future<Output = Answer> + Send>>;

struct Connection<'a> {
    broker: &'a Arc<Broker>,
    stream: TcpStream,
    peer: Arc<Peer>,
    buffer: Buffer,
    share: Share<'a>,
    /// Produces that wait for their acknowledgement, oldest first.
    pending: VecDeque<Pending>,
    /// Answers that are ready and not sent.
    ready: Vec<Bytes>,
    ready_bytes: usize,
    /// When the frame that is being received began.
    frame_began_at: Option<Instant>,
}

impl<'a> Connection<'a> {
    fn new(broker: &'a Arc<Broker>, stream: TcpStream, peer: Arc<Peer>) -> Self {
        Self {
            broker,
            stream,
            peer,
            buffer: Buffer::default(),
            share: Share::new(&broker.request_budget),
            pending: VecDeque::new(),
            ready: Vec::new(),
            ready_bytes: 0,
            frame_began_at: None,
        }
    }

    async fn run(mut self) -> Closed {
        let closed = loop {
            if let Err(closed) = self.turn().await {
                break closed;
            }
        };
        // What was answered before the fault still belongs to the client.
        let _ = self.send().await;
        closed
    }

    /// Runs the requests that have arrived, sends what is ready, then waits for more.
    async fn turn(&mut self) -> Result<(), Closed> {
        while self.pending.len() < MAX_PENDING {
            let max_bytes = self.broker.limits.request_max_bytes(&self.peer);
            match self.buffer.next_frame(max_bytes).map_err(Closed::BadFrame)? {
                Some(frame) => {
                    self.frame_began_at = None;
                    self.begin(frame).await?;
                }
                None => break,
            }
            if self.ready_bytes >= SEND_AT_BYTES {
                self.send().await?;
            }
        }
        self.send().await?;
        if self.pending.is_empty() {
            return self.receive().await;
        }
        if self.pending.len() >= MAX_PENDING {
            return self.settle_one().await;
        }
        self.receive_or_settle().await
    }

    async fn begin(&mut self, frame: Bytes) -> Result<(), Closed> {
        let request = handlers::open(&self.peer, frame).map_err(Closed::BadRequest)?;
        if self.peer.scope == Scope::All && !self.broker.readiness.is_ready() {
            handlers::ready(self.broker, &request).await;
        }
        if !request.is_produce() {
            while !self.pending.is_empty() {
                self.send().await?;
                self.settle_one().await?;
            }
        }
        let begun = handlers::begin(self.broker, request);
        match begun.map_err(Closed::BadRequest)? {
            Begun::Done(answer) if self.pending.is_empty() => self.take(answer),
            Begun::Done(answer) => {
                self.pending.push_back(Box::pin(std::future::ready(answer)));
                Ok(())
            }
            Begun::Produce(later) => {
                self.pending.push_back(later);
                Ok(())
            }
            Begun::Other(later) => {
                // A produce that has to ask first keeps its place behind those that wait.
                while !self.pending.is_empty() {
                    self.send().await?;
                    self.settle_one().await?;
                }
                self.send().await?;
                let answer = self.unless_gone(later).await?;
                self.take(answer)
            }
        }
    }

    /// Runs a request, unless its client goes away first: a long poll must not outlive it.
    async fn unless_gone(&mut self, mut later: Pending) -> Result<Answer, Closed> {
        let mut probe = [0u8; 1];
        let mut watch = true;
        loop {
            if !watch {
                return Ok(later.await);
            }
            tokio::select! {
                biased;
                answer = &mut later => return Ok(answer),
                peeked = self.stream.peek(&mut probe) => match peeked {
                    Ok(0) | Err(_) => return Err(Closed::ByPeer),
                    // A pipelined request waits its turn.
                    Ok(_) => watch = false,
                },
            }
        }
    }

    fn take(&mut self, answer: Answer) -> Result<(), Closed> {
        match answer {
            Answer::Send(chunks) => {
                self.ready_bytes += chunks.iter().map(Bytes::len).sum::<usize>();
                self.ready.extend(chunks);
                Ok(())
            }
            Answer::Nothing => Ok(()),
            Answer::Close(refusal) => Err(Closed::BadRequest(refusal)),
        }
    }

    /// Waits for the oldest pending answer, and takes those behind it that are ready.
    async fn settle_one(&mut self) -> Result<(), Closed> {
        let Some(oldest) = self.pending.front_mut() else {
            return Ok(());
        };
        let answer = oldest.await;
        self.pending.pop_front();
        self.take(answer)
    }

    /// Waits for more requests or for the oldest pending answer, whichever is first.
    async fn receive_or_settle(&mut self) -> Result<(), Closed> {
        let Some(oldest) = self.pending.front_mut() else {
            return Ok(());
        };
        let settled = tokio::select! {
            biased;
            answer = oldest => Some(answer),
            readable = self.stream.readable() => {
                readable.map_err(Closed::Failed)?;
                None
            }
        };
        match settled {
            Some(answer) => {
                self.pending.pop_front();
                self.take(answer)
            }
            // Nothing may be there after all; then the pending answer is waited for again.
            None => self.read_once().await.map(|_| ()),
        }
    }

    /// Reads, waiting until something comes.
    async fn receive(&mut self) -> Result<(), Closed> {
        while !self.read_once().await? {
            self.wait_readable().await?;
        }
        Ok(())
    }

    /// Reads what has arrived; answers whether anything had.
    async fn read_once(&mut self) -> Result<bool, Closed> {
        let max_bytes = self.broker.limits.request_max_bytes(&self.peer);
        let capacity = self.buffer.wanted_capacity(max_bytes).max(self.buffer.capacity());
        if !self.share.resize(capacity).await {
            return Err(Closed::NoRoom);
        }
        self.buffer.grow_to(capacity);
        match self.stream.try_read_buf(self.buffer.incoming()) {
            Ok(0) => Err(Closed::ByPeer),
            Ok(_) => Ok(true),
            Err(error) if is_passing(&error) => Ok(false),
            Err(error) => Err(Closed::Failed(error)),
        }
    }

    async fn wait_readable(&mut self) -> Result<(), Closed> {
        let idle = self.broker.limits.idle_timeout();
        let patience = if self.buffer.is_empty() {
            if self.buffer.capacity() > IDLE_BYTES {
                let soon = tokio::time::timeout(RELEASE_AFTER, self.stream.readable()).await;
                if let Ok(ready) = soon {
                    return ready.map_err(Closed::Failed);
                }
                self.buffer.release();
                self.share.resize(0).await;
            }
            self.frame_began_at = None;
            idle
        } else {
            let began_at = *self.frame_began_at.get_or_insert_with(Instant::now);
            left_of(FRAME_TIMEOUT, began_at, self.buffer.len()).min(idle)
        };
        match tokio::time::timeout(patience, self.stream.readable()).await {
            Ok(ready) => ready.map_err(Closed::Failed),
            Err(_) if self.buffer.is_empty() => Err(Closed::Idle),
            Err(_) => Err(Closed::PartialFrame),
        }
    }

    /// Sends everything that is ready.
    async fn send(&mut self) -> Result<(), Closed> {
        if self.ready.is_empty() {
            return Ok(());
        }
        let mut chunks: VecDeque<Bytes> = std::mem::take(&mut self.ready).into();
        self.ready_bytes = 0;
        let idle = self.broker.limits.idle_timeout();
        let (began_at, mut sent_bytes) = (Instant::now(), 0);
        while !chunks.is_empty() {
            let slices: Vec<io::IoSlice<'_>> =
                chunks.iter().take(MAX_SLICES).map(|chunk| io::IoSlice::new(chunk)).collect();
            match self.stream.try_write_vectored(&slices) {
                Ok(0) => return Err(Closed::ByPeer),
                Ok(sent) => {
                    sent_bytes += sent;
                    drop_sent(&mut chunks, sent);
                }
                Err(error) if is_passing(&error) => {
                    let patience = left_of(ANSWER_TIMEOUT, began_at, sent_bytes).min(idle);
                    match tokio::time::timeout(patience, self.stream.writable()).await {
                        Ok(ready) => ready.map_err(Closed::Failed)?,
                        Err(_) => return Err(Closed::NotTaken),
                    }
                }
                Err(error) => return Err(Closed::Failed(error)),
            }
        }
        // The vector's memory serves the next answers.
        self.ready = Vec::from(chunks);
        Ok(())
    }
}

/// How much longer a transfer may take that has come so far.
fn left_of(timeout: Duration, began_at: Instant, moved_bytes: usize) -> Duration {
    let earned = Duration::from_secs((moved_bytes / SLOWEST_BYTES_PER_SECOND) as u64);
    (timeout + earned.min(LONGEST_TRANSFER)).saturating_sub(began_at.elapsed())
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn drop_sent(chunks: &mut VecDeque<Bytes>, mut sent: usize) {
    while let Some(first) = chunks.front_mut() {
        if sent < first.len() {
            *first = first.slice(sent..);
            return;
        }
        sent -= first.len();
        chunks.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that sends a byte now and then would hold its memory for ever, or one behind a thin
    /// line be cut off in the middle of a large batch.
    #[test]
    fn a_transfer_has_time_by_its_bytes() {
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        let timeout = Duration::from_secs(30);
        assert!(left_of(timeout, ago(0), 0) > Duration::from_secs(29));
        assert_eq!(left_of(timeout, ago(40), 100), Duration::ZERO);
        assert_eq!(left_of(timeout, ago(700), 90 << 20), Duration::ZERO);
        assert!(left_of(timeout, ago(40), 20 * SLOWEST_BYTES_PER_SECOND) > Duration::from_secs(9));
    }
}
