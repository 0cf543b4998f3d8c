//! Whether a process has ended, as far as its machine tells: it is there, and nobody listens.

use std::io;
use std::time::Duration;

use milena_client::tcp::TcpStream;

/// Whether a connection to `HOST:PORT` is refused. Whatever else happens, such as no answer in
/// time, may be the network.
pub async fn is_refused(address: &str, patience: Duration) -> bool {
    let outcome = tokio::time::timeout(patience, TcpStream::connect(address)).await;
    matches!(outcome, Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused)
}
