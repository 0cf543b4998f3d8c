//! Accepting connections on one listener.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use milena_client::tcp::{self, TcpListener, TcpStream};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::connection;
use crate::broker::Broker;
use crate::request::{Peer, Scope};

/// How long accepting pauses when the process has no descriptor left: the old connections are
/// kept, new ones wait in the backlog.
const NO_DESCRIPTOR_PAUSE: Duration = Duration::from_millis(100);

/// How long a silent client is believed before it is asked whether it is there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// How long it has for each of a few such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// A socket that is bound and listening, not yet accepting.
#[derive(Debug)]
pub struct Bound {
    /// The listener's name, such as `PLAINTEXT`.
    pub name: Arc<str>,
    /// Whom it is for.
    pub scope: Scope,
    /// Where it listens, with the port that was chosen if 0 was asked.
    pub address: SocketAddr,
    socket: Listening,
}

#[derive(Debug)]
enum Listening {
    System(std::net::TcpListener),
    #[cfg(feature = "simulation")]
    Simulated(TcpListener),
}

/// Binds a listener.
///
/// # Errors
/// When the address is taken or not ours.
pub fn bind(name: &str, scope: Scope, address: SocketAddr, backlog: i32) -> io::Result<Bound> {
    #[cfg(feature = "simulation")]
    if let Some(listener) = tcp::listen(address)? {
        let address = listener.local_addr()?;
        return Ok(Bound {
            name: name.into(),
            scope,
            address,
            socket: Listening::Simulated(listener),
        });
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted broker gets its port back at once, although old connections linger.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    let socket: std::net::TcpListener = socket.into();
    let address = socket.local_addr()?;
    Ok(Bound { name: name.into(), scope, address, socket: Listening::System(socket) })
}

/// Accepts until the runtime ends.
///
/// # Errors
/// When the socket cannot be handed to the runtime.
pub async fn accept(broker: Arc<Broker>, bound: Bound) -> io::Result<()> {
    let listener = match bound.socket {
        Listening::System(socket) => TcpListener::from_std(socket)?,
        #[cfg(feature = "simulation")]
        Listening::Simulated(listener) => listener,
    };
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => start(&broker, &bound.name, bound.scope, stream, remote).await,
            Err(error) => {
                tracing::warn!(%error, listener = &*bound.name, "cannot accept a connection");
                tokio::time::sleep(NO_DESCRIPTOR_PAUSE).await;
            }
        }
    }
}

/// A client whose machine died never closes: a long poll for it would wait for nobody.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let probes = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_INTERVAL);
    tcp::of_system(stream).map_or(Ok(()), |it| SockRef::from(it).set_tcp_keepalive(&probes))
}

/// Serves a connection on a task of its own, once there is room for it.
async fn start(
    broker: &Arc<Broker>,
    name: &Arc<str>,
    scope: Scope,
    stream: TcpStream,
    remote: SocketAddr,
) {
    let connections = broker.limits.connections();
    if !connections.has_room() {
        tracing::warn!(listener = &**name, "max.connections reached: new connections wait");
    }
    let Ok(place) = connections.enter(remote.ip()).await else {
        broker.metrics.connection_refused();
        tracing::debug!(%remote, listener = &**name, "refused: max.connections.per.ip reached");
        return;
    };
    let prepared = stream
        .set_nodelay(true)
        .and_then(|()| keep_alive(&stream))
        .and_then(|()| stream.local_addr());
    // The client may be gone already.
    let Ok(local) = prepared else { return };
    let peer = Peer::anonymous(name.clone(), scope, local, remote);
    let broker = broker.clone();
    tokio::spawn(async move {
        connection::serve(broker, stream, peer).await;
        drop(place);
    });
}
