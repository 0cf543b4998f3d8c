//! What has to be done from time to time: retention.

use std::sync::Arc;
use std::time::Duration;

use crate::broker::Broker;

/// Lets every log remove what retention allows, at the configured interval, until the runtime
/// ends.
pub async fn retain(broker: Arc<Broker>) {
    let interval = broker.config.log.retention_check_interval.max(Duration::from_millis(1));
    loop {
        tokio::time::sleep(interval).await;
        let broker = broker.clone();
        let swept = tokio::task::spawn_blocking(move || sweep(&broker)).await;
        if let Err(error) = swept {
            tracing::error!(%error, "retention stopped");
            return;
        }
    }
}

fn sweep(broker: &Broker) {
    let now = broker.clock.now();
    for partition in broker.replicas.all() {
        match partition.retain(now) {
            Ok(0) => {}
            Ok(segments) => tracing::info!(?partition, segments, "retention removed segments"),
            Err(error) => tracing::warn!(?partition, %error, "retention failed"),
        }
    }
}
