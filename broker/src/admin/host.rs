//! Which names a request may call this node by. A web page can point a name of its own at this
//! machine and have a browser talk to it; it cannot make the browser leave that name out.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::Failure;
use crate::broker::Broker;

/// Lets in what calls this node by an address, `localhost`, a name that it advertises, or no name.
pub async fn check(State(broker): State<Arc<Broker>>, request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).map(|host| host.to_str().unwrap_or("?"));
    let in_target = request.uri().authority().map(|authority| authority.as_str());
    let foreign =
        [host, in_target].into_iter().flatten().map(name).find(|name| !is_own(&broker, name));
    match foreign {
        Some(name) => Failure::foreign_host(name).into_response(),
        None => next.run(request).await,
    }
}

/// A host without its port.
fn name(host: &str) -> &str {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) => name,
        _ => host,
    }
}

fn is_own(broker: &Broker, name: &str) -> bool {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let advertised = &broker.config.advertised_listeners;
    name.is_empty()
        || bare.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || advertised.values().any(|endpoint| endpoint.host.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::name;

    /// An address of version 6 would be cut in the middle and refused.
    #[test]
    fn a_port_is_cut_off() {
        let cases = [
            ("localhost:9644", "localhost"),
            ("localhost", "localhost"),
            ("[::1]:9644", "[::1]"),
            ("[::1]", "[::1]"),
            ("evil.example:80", "evil.example"),
            ("", ""),
        ];
        for (host, expected) in cases {
            assert_eq!(name(host), expected, "{host}");
        }
    }
}
