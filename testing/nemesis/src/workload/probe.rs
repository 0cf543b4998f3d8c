//! Whether there is a controller that decides: a setting is changed again and again.

use std::sync::Arc;
use std::time::Duration;

use milena_client::ClientError;
use milena_client::connection::{Connection, ConnectionOptions};
use milena_protocol::api::incremental_alter_configs::{
    IncrementalAlterConfigsConfig, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResource,
};
use milena_protocol::error_code::ErrorCode;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::settings::PROBE_TOPIC;
use crate::history::operation::Instant;
use crate::history::recorder::Recorder;

/// Between two changes.
const PERIOD: Duration = Duration::from_millis(25);
/// How long an answer may take before somebody else is asked.
const PATIENCE: Duration = Duration::from_secs(1);
/// Kafka's number of a topic's configuration.
const TOPIC_RESOURCE: i8 = 2;

/// When changes were acknowledged.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    acknowledged: Arc<Mutex<Vec<Instant>>>,
}

impl Probe {
    /// Changes a setting through any of the brokers, as long as the runtime lives.
    #[must_use]
    pub fn begin(runtime: &Handle, bootstrap: &str, recorder: &Recorder) -> Self {
        let probe = Self::default();
        let addresses = bootstrap.split(',').map(str::to_owned).collect();
        runtime.spawn(change(probe.clone(), addresses, recorder.clone()));
        probe
    }

    /// When changes were acknowledged, in order.
    #[must_use]
    pub fn acknowledged(&self) -> Vec<Instant> {
        self.acknowledged.lock().clone()
    }
}

async fn change(probe: Probe, addresses: Vec<String>, recorder: Recorder) {
    let options = ConnectionOptions {
        client_id: "nemesis-probe".to_owned(),
        connect_timeout: PATIENCE,
        request_timeout: PATIENCE,
        ..Default::default()
    };
    let mut number = 0;
    for address in addresses.iter().cycle() {
        if let Ok(connection) = Connection::open(address, options.clone()).await {
            while let Ok(true) = change_once(&connection, number).await {
                number += 1;
                probe.acknowledged.lock().push(recorder.now());
                tokio::time::sleep(PERIOD).await;
            }
        }
        tokio::time::sleep(PERIOD).await;
    }
}

async fn change_once(connection: &Connection, number: u64) -> Result<bool, ClientError> {
    let value = format!("{}", 1_000_000_000 + number % 1_000_000);
    let setting = IncrementalAlterConfigsConfig {
        name: "retention.ms".into(),
        config_operation: 0,
        value: Some(value.as_str().into()),
    };
    let request = IncrementalAlterConfigsRequest {
        resources: vec![IncrementalAlterConfigsResource {
            resource_type: TOPIC_RESOURCE,
            resource_name: PROBE_TOPIC.into(),
            configs: vec![setting],
        }],
        validate_only: false,
    };
    let response = connection.ask(&request).await?;
    Ok(response.responses.iter().all(|one| one.error_code == ErrorCode::NONE))
}
