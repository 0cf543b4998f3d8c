//! What has to be done from time to time: retention, opening what had no room before, and the
//! upkeep of directories that have no threads.

use std::sync::Arc;
use std::time::Duration;

use milena_cluster::group::Request;
use milena_protocol::codec::Text;
use milena_storage::LogDirectory;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::blocking;
use crate::broker::Broker;

/// How often directories without threads are synced, as the threads of others would.
const KEEP_UP_INTERVAL: Duration = Duration::from_secs(1);
/// How often logs that had no room are tried again.
const OPEN_AGAIN_INTERVAL: Duration = Duration::from_secs(1);

/// Does the work of directories that have no threads of their own, until the runtime ends.
pub async fn keep_up(directories: Vec<Arc<LogDirectory>>) {
    loop {
        tokio::time::sleep(KEEP_UP_INTERVAL).await;
        for directory in &directories {
            if let Err(error) = directory.maintain() {
                tracing::debug!(%error, "the upkeep of a directory failed");
            }
        }
    }
}

/// Tries again to open logs that could not be opened for want of room, until the runtime ends.
pub async fn open_again(broker: Arc<Broker>) {
    loop {
        tokio::time::sleep(OPEN_AGAIN_INTERVAL).await;
        if !broker.replicas.has_unopened() {
            continue;
        }
        let broker = broker.clone();
        let opened = blocking::spawn(move || {
            broker.replicas.open_again(&broker.metadata.image_owned());
        });
        if let Err(error) = opened.await {
            tracing::error!(%error, "opening logs stopped");
            return;
        }
    }
}

/// Loads the coordinators that this broker has, so that what is due in their groups is done before
/// anyone asks; then lets them forget the offsets of topics as these are deleted.
pub async fn keep_groups(broker: Arc<Broker>, mut deleted: UnboundedReceiver<Vec<Text>>) {
    if let Some(code) = broker.groups.all().await.missing {
        tracing::warn!(%code, "not all groups could be loaded; they are when they are asked for");
    }
    while let Some(topics) = deleted.recv().await {
        // One that cannot be loaded now forgets them when it is (`Machine::loaded`).
        for shard in broker.groups.all().await.shards {
            let asked = shard.ask(Request::TopicsDeleted(topics.clone())).await;
            if let Err(code) = asked {
                // An offset of a topic that was made again is not handed out all the same.
                tracing::debug!(?shard, %code, "offsets of deleted topics stay");
            }
        }
    }
}

/// Lets coordinators come and go with the partitions that this broker leads, until the runtime
/// ends: what is due in them must not wait until somebody asks.
pub async fn follow_leadership(broker: Arc<Broker>) {
    let mut leadership = broker.replicas.shared().leadership();
    while leadership.changed().await.is_ok() {
        broker.groups.resign();
        broker.transactions.resign();
        let missing = [broker.groups.all().await.missing, broker.transactions.all().await.missing];
        for code in missing.into_iter().flatten() {
            tracing::warn!(%code, "not all coordinators could be loaded; they are when asked for");
        }
    }
}

/// Lets every log remove what retention allows, at the configured interval, until the runtime
/// ends.
pub async fn retain(broker: Arc<Broker>) {
    let interval = broker.config.log.retention_check_interval.max(Duration::from_millis(1));
    loop {
        tokio::time::sleep(interval).await;
        let broker = broker.clone();
        let swept = blocking::spawn(move || sweep(&broker)).await;
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
