//! What connections may cost, against a real broker process over bare sockets.

mod process;

use milena_protocol::api::api_versions::ApiVersionsRequest;
use process::Connection;
use process::broker::Broker;

/// Connections that announce what they never send would use up the memory.
#[test]
fn announced_bytes_cost_nothing() {
    let broker = Broker::start(&[]);
    let connections: Vec<Connection> = (0..300)
        .map(|_| {
            let mut connection = broker.process.connect();
            connection.send_raw(&90_000_000i32.to_be_bytes());
            connection.send_raw(&[0; 100]);
            connection
        })
        .collect();
    let mut other = broker.process.connect();
    assert!(other.ask(&ApiVersionsRequest::default(), 0).error_code.is_none());
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.process.id())).unwrap();
    let resident: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().split(' ').next()?.parse().ok())
        .unwrap();
    assert!(resident < 150 * 1024, "{resident} KiB resident for {} connections", connections.len());
}
