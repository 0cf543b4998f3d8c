//! The bytes of one connection: frames out in the order they were handed in, answers back in the
//! same order. Knows lengths and correlation ids, and nothing of what the frames mean.
//!
//! ```text
//! request: int32 length · int16 API key · int16 version · int32 correlation id · …
//! answer:  int32 length · int32 correlation id · …
//! ```
//!
//! Memory follows the bytes that came, never a length that was announced.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::error::ClientError;
use crate::tcp::{OwnedReadHalf, OwnedWriteHalf, TcpStream};

/// Pieces in one vectored write.
const PIECES: usize = 64;
/// What is read at least at once.
const READ_BYTES: usize = 64 * 1024;

/// What becomes of a frame that was handed in.
pub type Outcome = oneshot::Receiver<Result<Bytes, ClientError>>;

/// One socket with its reader and its writer.
#[derive(Debug)]
pub struct Wire {
    shared: Arc<Shared>,
    frames: mpsc::UnboundedSender<Frame>,
    tasks: [AbortHandle; 2],
}

#[derive(Debug)]
struct Shared {
    address: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next_correlation_id: i32,
    waiting: VecDeque<(i32, oneshot::Sender<Result<Bytes, ClientError>>)>,
    lost: Option<ClientError>,
}

/// A request on its way out.
#[derive(Debug)]
struct Frame {
    chunks: Vec<Bytes>,
    /// Answered as soon as it is written: the broker sends nothing back.
    written: Option<oneshot::Sender<Result<Bytes, ClientError>>>,
}

impl Wire {
    /// Takes over a socket.
    pub fn new(address: String, stream: TcpStream, max_answer_bytes: usize) -> Self {
        let (read, write) = stream.into_split();
        let shared = Arc::new(Shared { address, state: Mutex::default() });
        let (frames, queue) = mpsc::unbounded_channel();
        let reader = tokio::spawn(read_answers(Arc::clone(&shared), read, max_answer_bytes));
        let writer = tokio::spawn(write_frames(Arc::clone(&shared), write, queue));
        Self { shared, frames, tasks: [reader.abort_handle(), writer.abort_handle()] }
    }

    /// The broker's address as it was dialled.
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// Whether nothing can be asked here any more.
    pub fn is_lost(&self) -> bool {
        self.shared.state().lost.is_some()
    }

    /// Hands in a frame, made by `encode` from its correlation id; never waits. Frames leave in the
    /// order of these calls.
    ///
    /// # Errors
    /// When the connection is lost or the frame cannot be made.
    pub fn submit(
        &self,
        answered: bool,
        encode: impl FnOnce(i32) -> Result<Vec<Bytes>, ClientError>,
    ) -> Result<Outcome, ClientError> {
        let (sender, outcome) = oneshot::channel();
        let mut state = self.shared.state();
        if let Some(lost) = &state.lost {
            return Err(lost.clone());
        }
        let id = state.next_correlation_id;
        let chunks = encode(id)?;
        state.next_correlation_id = id.checked_add(1).unwrap_or(0);
        let written = if answered {
            state.waiting.push_back((id, sender));
            None
        } else {
            Some(sender)
        };
        // The queue is handed in under the lock, so that it has the order of the waiting.
        let sent = self.frames.send(Frame { chunks, written });
        drop(state);
        sent.map_err(|_| self.shared.disconnected("it was closed"))?;
        Ok(outcome)
    }

    /// Gives the connection up: every request that waits fails.
    pub fn close(&self, why: ClientError) {
        self.shared.lose(why);
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn disconnected(&self, why: impl ToString) -> ClientError {
        ClientError::Disconnected { address: self.address.clone(), why: why.to_string() }
    }

    fn garbled(&self, why: impl ToString) -> ClientError {
        ClientError::Garbled { address: self.address.clone(), why: why.to_string() }
    }

    /// The first reason counts.
    fn lose(&self, why: ClientError) {
        let mut state = self.state();
        let why = state.lost.get_or_insert(why).clone();
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for (_, sender) in waiting {
            // Whoever asked may have gone away.
            let _ = sender.send(Err(why.clone()));
        }
    }
}

async fn read_answers(shared: Arc<Shared>, mut read: OwnedReadHalf, max_bytes: usize) {
    let mut buffer = BytesMut::new();
    loop {
        match read_answer(&shared, &mut read, &mut buffer, max_bytes).await {
            Ok(frame) => {
                if let Err(why) = deliver(&shared, frame) {
                    return shared.lose(why);
                }
            }
            Err(why) => return shared.lose(why),
        }
    }
}

/// One whole answer, without its length.
async fn read_answer(
    shared: &Shared,
    read: &mut OwnedReadHalf,
    buffer: &mut BytesMut,
    max_bytes: usize,
) -> Result<Bytes, ClientError> {
    fill(shared, read, buffer, 4).await?;
    let announced = buffer.get_i32();
    let length = usize::try_from(announced)
        .ok()
        .filter(|length| (4..=max_bytes).contains(length))
        .ok_or_else(|| shared.garbled(format!("an answer of {announced} bytes")))?;
    fill(shared, read, buffer, length).await?;
    Ok(buffer.split_to(length).freeze())
}

/// Reads until the buffer holds `needed` bytes.
async fn fill(
    shared: &Shared,
    read: &mut OwnedReadHalf,
    buffer: &mut BytesMut,
    needed: usize,
) -> Result<(), ClientError> {
    while buffer.len() < needed {
        let missing = needed - buffer.len();
        buffer.reserve(missing.clamp(1, READ_BYTES.max(buffer.len())));
        let count = read.read_buf(buffer).await.map_err(|error| shared.disconnected(error))?;
        if count == 0 {
            return Err(shared.disconnected("the broker closed it"));
        }
    }
    Ok(())
}

/// Gives an answer to the request that waits longest, which must be its own.
fn deliver(shared: &Shared, frame: Bytes) -> Result<(), ClientError> {
    let mut peek = frame.clone();
    let got = peek.try_get_i32().map_err(|_| shared.garbled("an answer without an id"))?;
    let waiting = shared.state().waiting.pop_front();
    let Some((id, sender)) = waiting else {
        return Err(shared.garbled("an answer that nobody asked for"));
    };
    if id != got {
        let why = shared.garbled(format!("an answer to request {got}, it was {id}'s turn"));
        let _ = sender.send(Err(why.clone()));
        return Err(why);
    }
    // Whoever asked may have gone away.
    let _ = sender.send(Ok(frame));
    Ok(())
}

async fn write_frames(
    shared: Arc<Shared>,
    mut write: OwnedWriteHalf,
    mut queue: mpsc::UnboundedReceiver<Frame>,
) {
    let mut frames = Vec::new();
    let mut chunks = VecDeque::new();
    let mut written = Vec::new();
    while queue.recv_many(&mut frames, PIECES).await > 0 {
        for frame in frames.drain(..) {
            chunks.extend(frame.chunks);
            written.extend(frame.written);
        }
        if let Err(error) = write_all(&mut write, &mut chunks).await {
            return shared.lose(shared.disconnected(error));
        }
        for sender in written.drain(..) {
            let _ = sender.send(Ok(Bytes::new()));
        }
    }
}

async fn write_all(
    write: &mut OwnedWriteHalf,
    chunks: &mut VecDeque<Bytes>,
) -> std::io::Result<()> {
    while !chunks.is_empty() {
        let slices: Vec<IoSlice<'_>> =
            chunks.iter().take(PIECES).map(|chunk| IoSlice::new(chunk)).collect();
        let mut count = write.write_vectored(&slices).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        while let Some(front) = chunks.front_mut() {
            let step = count.min(front.len());
            front.advance(step);
            count -= step;
            if !front.is_empty() {
                break;
            }
            chunks.pop_front();
        }
    }
    Ok(())
}
