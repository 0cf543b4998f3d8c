//! The system's sockets.

pub use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
pub use tokio::net::{TcpListener, TcpStream};

/// The system's socket behind a stream, to set what only it has.
#[must_use]
pub fn of_system(stream: &TcpStream) -> Option<&TcpStream> {
    Some(stream)
}
