//! HTTP: Confluent's REST v3 resources, records to read and write, health and metrics.
//!
//! Every handler calls the function that the wire's handler calls, with a request struct and a
//! [`Context`]; there is no second path.

mod clusters;
mod configs;
mod error;
mod health;
mod reading;
mod records;
mod state;
mod topics;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use milena_protocol::api;
use milena_protocol::message::Message;

use crate::broker::Broker;
use crate::request::{Context, Peer};

/// The largest body of a request.
const MAX_BODY_BYTES: usize = 16 << 20;
/// The name under which HTTP stands among the listeners.
const LISTENER: &str = "HTTP";

/// What every HTTP handler works with.
#[derive(Clone)]
pub(crate) struct Admin {
    broker: Arc<Broker>,
    local: std::net::SocketAddr,
}

impl Admin {
    /// The context of a wire request in its newest version.
    fn context<R: api::Request>(&self) -> Context {
        // Who asks over HTTP is not known by address here; it speaks for nobody.
        let peer = Peer::anonymous(LISTENER.into(), self.local, self.local);
        Context {
            peer: Arc::new(peer),
            version: <R as Message>::VERSIONS.max,
            correlation_id: 0,
            client_id: "http".into(),
            received_at: Instant::now(),
            frame_bytes: 0,
        }
    }
}

/// Serves HTTP on a listener until the runtime ends.
pub async fn serve(broker: Arc<Broker>, listener: std::net::TcpListener) {
    let served = async {
        let local = listener.local_addr()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        axum::serve(listener, router(broker, local)).await
    };
    if let Err(error) = served.await {
        tracing::error!(%error, "HTTP is not served any more");
    }
}

/// Every route.
pub fn router(broker: Arc<Broker>, local: std::net::SocketAddr) -> Router {
    let admin = Admin { broker, local };
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/v1/status/ready", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .merge(v3("/v3"))
        .merge(v3("/kafka/v3"))
        .fallback(error::no_such_route)
        .layer(axum::extract::DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(admin.clone(), check_host))
        .with_state(admin)
}

fn v3(prefix: &str) -> Router<Admin> {
    let at = |path: &str| format!("{prefix}/clusters{path}");
    Router::new()
        .route(&at(""), get(clusters::list))
        .route(&at("/{cluster}"), get(clusters::one))
        .route(&at("/{cluster}/brokers"), get(clusters::brokers))
        .route(&at("/{cluster}/brokers/{broker}"), get(clusters::broker))
        .route(&at("/{cluster}/brokers/{broker}/configs"), get(configs::of_broker))
        .route(&at("/{cluster}/brokers/{broker}/configs:alter"), post(configs::alter_broker))
        .route(&at("/{cluster}/broker-configs"), get(configs::of_all_brokers))
        .route(&at("/{cluster}/broker-configs:alter"), post(configs::alter_all_brokers))
        .route(&at("/{cluster}/topics"), get(topics::list).post(topics::create))
        .route(
            &at("/{cluster}/topics/{topic}"),
            get(topics::one).delete(topics::delete).patch(topics::grow),
        )
        .route(&at("/{cluster}/topics/{topic}/configs"), get(configs::of_topic))
        .route(&at("/{cluster}/topics/{topic}/configs:alter"), post(configs::alter_topic))
        .route(
            &at("/{cluster}/topics/{topic}/configs/{name}"),
            get(configs::one_of_topic).put(configs::set_of_topic).delete(configs::reset_of_topic),
        )
        .route(&at("/{cluster}/topics/{topic}/partitions"), get(topics::partitions))
        .route(&at("/{cluster}/topics/{topic}/partitions/{partition}"), get(topics::partition))
        .route(
            &at("/{cluster}/topics/{topic}/partitions/{partition}/replicas"),
            get(topics::replicas),
        )
        .route(
            &at("/{cluster}/topics/{topic}/partitions/{partition}/records"),
            get(reading::records),
        )
        .route(
            &at("/{cluster}/topics/{topic}/partitions/{partition}/records:stream"),
            get(reading::stream),
        )
        .route(&at("/{cluster}/topics/{topic}/records"), post(records::produce))
}

/// Lets only requests in that name a host which a browser cannot be tricked into resolving to this
/// machine: addresses, `localhost`, or the name that this node advertises.
async fn check_host(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let host = request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or("");
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
    });
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    let advertised = || {
        let config = &admin.broker.config;
        config.advertised_listeners.values().any(|endpoint| endpoint.host == name)
    };
    if name.is_empty() || is_address || name.eq_ignore_ascii_case("localhost") || advertised() {
        return next.run(request).await;
    }
    let message = format!("this node does not answer to the name {name}; use its address");
    error::Failure::new(StatusCode::MISDIRECTED_REQUEST, 42101, message).into_response()
}
