//! Where a node listens, for whom, and where others reach that.

use std::io;

use milena_cluster::metadata::image::EndpointImage;

use super::error::StartError;
use crate::advertised;
use crate::config::{Config, HostPort};
use crate::join;
use crate::network::listener::{self, Bound};
use crate::request::Scope;

/// The listener that controllers are reached by: their own, or that of the brokers.
pub(super) fn controller_listener(config: &Config) -> String {
    let own = config.controller_listener_names.first();
    own.unwrap_or(&config.inter_broker_listener_name).clone()
}

/// Whom a listener is for. A controller without a listener of its own shares that of the brokers,
/// also while it is alone: others may join it.
fn scope(config: &Config, listener: &str) -> Scope {
    let is_shared = config.process_roles.controller && config.controller_listener_names.is_empty();
    if config.controller_listener_names.iter().any(|name| name == listener) {
        Scope::Controllers
    } else if is_shared && config.inter_broker_listener_name == listener {
        Scope::All
    } else {
        Scope::Brokers
    }
}

/// The ports of a node.
pub(super) struct Ports {
    pub(super) bound: Vec<Bound>,
    pub(super) http: Vec<std::net::TcpListener>,
}

impl Ports {
    /// Takes them before anything else: a node that cannot be reached should not touch its data.
    pub(super) fn take(config: &mut Config) -> Result<Self, StartError> {
        join::listen_towards(config);
        Ok(Self { bound: bind_all(config)?, http: bind_http(config)? })
    }
}

fn bind_all(config: &Config) -> Result<Vec<Bound>, StartError> {
    config
        .listeners
        .iter()
        .map(|listener| {
            let scope = scope(config, &listener.name);
            let endpoint = listener.endpoint();
            let shown = format!("{}://{}", listener.name, endpoint);
            bind_first(&endpoint, |address| {
                listener::bind(&listener.name, scope, address, config.socket.listen_backlog_size)
            })
            .map_err(|error| StartError::Bind {
                key: "listeners",
                listener: shown,
                error,
            })
        })
        .collect()
}

fn bind_http(config: &Config) -> Result<Vec<std::net::TcpListener>, StartError> {
    config
        .http_listeners
        .iter()
        .map(|listener| {
            let shown = format!("http://{}", listener.endpoint);
            bind_first(&listener.endpoint, |address| {
                let socket = std::net::TcpListener::bind(address)?;
                socket.set_nonblocking(true)?;
                Ok(socket)
            })
            .map_err(|error| StartError::Bind {
                key: "http.listeners",
                listener: shown,
                error,
            })
        })
        .collect()
}

/// Tries the addresses of an endpoint in their order.
fn bind_first<T>(
    endpoint: &HostPort,
    bind: impl Fn(std::net::SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in endpoint.bind_addresses()? {
        match bind(address) {
            Ok(bound) => return Ok(bound),
            Err(error) => last = error,
        }
    }
    Err(last)
}

pub(super) fn endpoint(address: std::net::SocketAddr) -> HostPort {
    HostPort { host: address.ip().to_string(), port: address.port() }
}

/// Where others reach the listeners of some scopes.
pub(super) fn endpoints(
    config: &Config,
    bound: &[Bound],
    is_meant: impl Fn(Scope) -> bool,
) -> Vec<EndpointImage> {
    let meant = bound.iter().filter(|bound| is_meant(bound.scope));
    let endpoint = |bound: &Bound| {
        let listener = config.listeners.iter().find(|listener| listener.name == *bound.name);
        let HostPort { host, port } = advertised::place(config, bound);
        EndpointImage {
            name: (&*bound.name).into(),
            host: host.into(),
            port,
            security_protocol: listener.map_or(0, |it| it.security_protocol.id()),
        }
    };
    meant.map(endpoint).collect()
}
