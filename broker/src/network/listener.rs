//! Accepting connections on one listener.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::connection;
use crate::broker::Broker;
use crate::request::Peer;

/// How long accepting pauses when the process has no descriptor left: the old connections are
/// kept, new ones wait in the backlog.
const NO_DESCRIPTOR_PAUSE: Duration = Duration::from_millis(100);

/// A socket that is bound and listening, not yet accepting.
#[derive(Debug)]
pub struct Bound {
    /// The listener's name, such as `PLAINTEXT`.
    pub name: Arc<str>,
    /// Where it listens, with the port that was chosen if 0 was asked.
    pub address: SocketAddr,
    socket: std::net::TcpListener,
}

/// Binds a listener.
///
/// # Errors
/// When the address is taken or not ours.
pub fn bind(name: &str, address: SocketAddr, backlog: i32) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted broker gets its port back at once, although old connections linger.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    let socket: std::net::TcpListener = socket.into();
    Ok(Bound { name: name.into(), address: socket.local_addr()?, socket })
}

/// Accepts until the runtime ends.
///
/// # Errors
/// When the socket cannot be handed to the runtime.
pub async fn accept(broker: Arc<Broker>, bound: Bound) -> io::Result<()> {
    let listener = TcpListener::from_std(bound.socket)?;
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => start(&broker, &bound.name, stream, remote),
            Err(error) => {
                tracing::warn!(%error, listener = &*bound.name, "cannot accept a connection");
                tokio::time::sleep(NO_DESCRIPTOR_PAUSE).await;
            }
        }
    }
}

fn start(broker: &Arc<Broker>, name: &Arc<str>, stream: TcpStream, remote: SocketAddr) {
    if !broker.limits.admits_connection(broker.metrics.connections()) {
        tracing::warn!(%remote, listener = &**name, "connection refused: max.connections reached");
        return;
    }
    let local = match (stream.set_nodelay(true), stream.local_addr()) {
        (Ok(()), Ok(local)) => local,
        // The client is gone already.
        _ => return,
    };
    let peer = Peer::anonymous(name.clone(), local, remote);
    tokio::spawn(connection::serve(broker.clone(), stream, peer));
}
