//! The listener of HTTP: connections, how many there may be, and how long they may be idle.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::call::Ends;
use super::routes;
use crate::broker::Broker;

/// Connections at once; more wait until one ends.
const MAX_CONNECTIONS: usize = 1024;
/// How long the head of a request may take, from the end of the answer before it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// What a connection holds of a request before anyone reads it, so the largest head too.
const BUFFER_BYTES: usize = 64 << 10;
/// How long accepting pauses when the process has no descriptor left.
const NO_DESCRIPTOR_PAUSE: Duration = Duration::from_millis(100);

/// Serves HTTP on a listener until the runtime ends.
pub async fn serve(broker: Arc<Broker>, listener: std::net::TcpListener) {
    if let Err(error) = accept(broker, listener).await {
        tracing::error!(%error, "HTTP is not served any more");
    }
}

async fn accept(broker: Arc<Broker>, listener: std::net::TcpListener) -> io::Result<()> {
    // Made for the first connection: it takes milliseconds, and a start has few of them.
    let mut router = None;
    let listener = TcpListener::from_std(listener)?;
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let permit = permits.clone().acquire_owned().await;
        let permit = permit.map_err(io::Error::other)?;
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.get_or_insert_with(|| routes::router(broker.clone()));
                tokio::spawn(converse(router.clone(), stream, permit));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an HTTP connection");
                tokio::time::sleep(NO_DESCRIPTOR_PAUSE).await;
            }
        }
    }
}

/// Answers the requests of a connection, one after the other.
async fn converse(router: Router, stream: TcpStream, permit: OwnedSemaphorePermit) {
    let (Ok(()), Ok(ends)) = (stream.set_nodelay(true), Ends::of(&stream)) else {
        // The client is gone already.
        return;
    };
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ends);
        router.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, ?ends, "an HTTP connection ended");
    }
    drop(permit);
}
