//! Sockets that are the system's, or those of a simulated network, by where they are opened.
//!
//! A simulated connection has no retransmission: a segment that the network drops is missing for
//! good, and what comes behind it waits for ever, as behind a cut that outlasts everybody's
//! patience. A first segment that is dropped looks to `turmoil` as if nobody listened there; since
//! only a process that has ended refuses, [`cut`] says which hosts cannot be reached, and their
//! refusals are silence.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::BufMut;
use bytes::buf::UninitSlice;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net as system;
use turmoil::net as simulation;

thread_local! {
    /// Hosts towards which messages are dropped, and how many do not reach them.
    static CUTS: RefCell<BTreeMap<IpAddr, usize>> = const { RefCell::new(BTreeMap::new()) };
}

/// From now on messages of another host towards this one may be dropped.
pub fn cut(host: IpAddr) {
    CUTS.with_borrow_mut(|cuts| *cuts.entry(host).or_default() += 1);
}

/// One [`cut`] is over.
pub fn mend(host: IpAddr) {
    CUTS.with_borrow_mut(|cuts| {
        if let Some(count) = cuts.get_mut(&host) {
            *count -= 1;
            if *count == 0 {
                cuts.remove(&host);
            }
        }
    });
}

fn is_cut(host: IpAddr) -> bool {
    CUTS.with_borrow(|cuts| cuts.contains_key(&host))
}

/// Listens in the simulated network; none outside of one.
///
/// # Errors
/// When the port is taken.
pub fn listen(address: SocketAddr) -> io::Result<Option<TcpListener>> {
    if !turmoil::in_simulation() {
        return Ok(None);
    }
    let mut context = Context::from_waker(Waker::noop());
    let bind = std::pin::pin!(simulation::TcpListener::bind(address));
    match bind.poll(&mut context) {
        Poll::Ready(bound) => Ok(Some(TcpListener::Simulated(bound?))),
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// A listener.
pub enum TcpListener {
    /// The system's.
    System(system::TcpListener),
    /// One of a simulated network.
    Simulated(simulation::TcpListener),
}

impl std::fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TcpListener({:?})", self.local_addr())
    }
}

impl TcpListener {
    /// Takes over a listener of the system.
    ///
    /// # Errors
    /// When the runtime does not take it.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        system::TcpListener::from_std(listener).map(Self::System)
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// When the system has no room for one.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match self {
            Self::System(listener) => {
                let (stream, remote) = listener.accept().await?;
                Ok((TcpStream::System(stream), remote))
            }
            Self::Simulated(listener) => {
                let (stream, remote) = listener.accept().await?;
                Ok((TcpStream::Simulated(stream), remote))
            }
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::System(listener) => listener.local_addr(),
            Self::Simulated(listener) => listener.local_addr(),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub enum TcpStream {
    /// The system's.
    System(system::TcpStream),
    /// One of a simulated network.
    Simulated(simulation::TcpStream),
}

/// The system's socket behind a stream, to set what only it has.
#[must_use]
pub fn of_system(stream: &TcpStream) -> Option<&system::TcpStream> {
    match stream {
        TcpStream::System(stream) => Some(stream),
        TcpStream::Simulated(_) => None,
    }
}

impl TcpStream {
    /// Connects to `HOST:PORT`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(address: &str) -> io::Result<Self> {
        if !turmoil::in_simulation() {
            return system::TcpStream::connect(address).await.map(Self::System);
        }
        match simulation::TcpStream::connect(address).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
                if is_cut(turmoil::lookup(host)) {
                    std::future::pending::<()>().await;
                }
                Err(error)
            }
            connected => connected.map(Self::Simulated),
        }
    }

    /// Sends small pieces at once.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        match self {
            Self::System(stream) => stream.set_nodelay(nodelay),
            Self::Simulated(stream) => stream.set_nodelay(nodelay),
        }
    }

    /// This end.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::System(stream) => stream.local_addr(),
            Self::Simulated(stream) => stream.local_addr(),
        }
    }

    /// Looks at what has come, and leaves it there.
    ///
    /// # Errors
    /// When the connection failed.
    pub async fn peek(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::System(stream) => stream.peek(buffer).await,
            Self::Simulated(stream) => stream.peek(buffer).await,
        }
    }

    /// Waits until something can be read.
    ///
    /// # Errors
    /// When the connection failed.
    pub async fn readable(&mut self) -> io::Result<()> {
        match self {
            Self::System(stream) => stream.readable().await,
            Self::Simulated(stream) => stream.peek(&mut [0]).await.map(|_| ()),
        }
    }

    /// Reads what has come.
    ///
    /// # Errors
    /// `WouldBlock` where nothing has, or what the connection failed with.
    pub fn try_read_buf(&mut self, buffer: &mut impl BufMut) -> io::Result<usize> {
        match self {
            Self::System(stream) => stream.try_read_buf(buffer),
            Self::Simulated(stream) => {
                let chunk: &mut UninitSlice = buffer.chunk_mut();
                let mut bytes = vec![0; chunk.len()];
                let mut filled = ReadBuf::new(&mut bytes);
                let mut context = Context::from_waker(Waker::noop());
                match Pin::new(stream).poll_read(&mut context, &mut filled) {
                    Poll::Ready(read) => read?,
                    Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
                }
                buffer.put_slice(filled.filled());
                Ok(filled.filled().len())
            }
        }
    }

    /// Waits until something can be written.
    ///
    /// # Errors
    /// When the connection failed.
    pub async fn writable(&self) -> io::Result<()> {
        match self {
            Self::System(stream) => stream.writable().await,
            Self::Simulated(stream) => stream.writable().await,
        }
    }

    /// Writes what goes.
    ///
    /// # Errors
    /// `WouldBlock` where nothing does, or what the connection failed with.
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::System(stream) => stream.try_write_vectored(slices),
            Self::Simulated(stream) => stream.try_write(&together(slices)),
        }
    }

    /// Its two directions.
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        match self {
            Self::System(stream) => {
                let (read, write) = stream.into_split();
                (OwnedReadHalf::System(read), OwnedWriteHalf::System(write))
            }
            Self::Simulated(stream) => {
                let (read, write) = stream.into_split();
                (OwnedReadHalf::Simulated(read), OwnedWriteHalf::Simulated(write))
            }
        }
    }
}

/// One segment, as one call to the system would be.
fn together(slices: &[IoSlice<'_>]) -> Vec<u8> {
    slices.iter().flat_map(|slice| slice.iter().copied()).collect()
}

/// What comes in.
#[derive(Debug)]
pub enum OwnedReadHalf {
    /// The system's.
    System(system::tcp::OwnedReadHalf),
    /// One of a simulated network.
    Simulated(simulation::tcp::OwnedReadHalf),
}

/// What goes out.
#[derive(Debug)]
pub enum OwnedWriteHalf {
    /// The system's.
    System(system::tcp::OwnedWriteHalf),
    /// One of a simulated network.
    Simulated(simulation::tcp::OwnedWriteHalf),
}

impl AsyncRead for OwnedReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::System(half) => Pin::new(half).poll_read(context, buffer),
            Self::Simulated(half) => Pin::new(half).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for OwnedWriteHalf {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::System(half) => Pin::new(half).poll_write(context, bytes),
            Self::Simulated(half) => Pin::new(half).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::System(half) => Pin::new(half).poll_write_vectored(context, slices),
            Self::Simulated(half) => {
                let count = ready!(Pin::new(half).poll_write(context, &together(slices)))?;
                Poll::Ready(Ok(count))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::System(half) => Pin::new(half).poll_flush(context),
            Self::Simulated(half) => Pin::new(half).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::System(half) => Pin::new(half).poll_shutdown(context),
            Self::Simulated(half) => Pin::new(half).poll_shutdown(context),
        }
    }
}
