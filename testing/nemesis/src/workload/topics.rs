//! Making the topics, once all nodes are there.

use std::time::{Duration, Instant};

use milena_client::ClientError;
use milena_client::admin::{Admin, NewTopic};
use milena_client::client::{Client, ClientOptions};
use milena_protocol::error_code::ErrorCode;

use super::settings::{PROBE_TOPIC, Settings, TOPIC};

/// How long the cluster may take to begin.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits for so many brokers and makes the topics; durable ones sync each record before it counts.
///
/// # Errors
/// When they are not there in time, in the words of the last attempt.
pub async fn create(
    settings: &Settings,
    nodes: usize,
    min_in_sync: usize,
    is_durable: bool,
) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt(settings, nodes, min_in_sync, is_durable).await {
            Ok(None) => return Ok(()),
            Ok(Some(why)) if Instant::now() > deadline => return Err(why),
            Err(error) if Instant::now() > deadline => return Err(error.to_string()),
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// What is still missing, in words.
async fn attempt(
    settings: &Settings,
    nodes: usize,
    min_in_sync: usize,
    is_durable: bool,
) -> Result<Option<String>, ClientError> {
    let admin = Admin::new(Client::connect(ClientOptions::new(&settings.bootstrap)).await?);
    let found = admin.describe_cluster().await?.brokers;
    let alive = found.iter().filter(|broker| !broker.is_fenced).count();
    if alive < nodes {
        return Ok(Some(format!("{alive} of {nodes} brokers are there")));
    }
    let copies = i16::try_from(nodes.min(3)).unwrap_or(1);
    let topic = |name: &str, partitions: u32| {
        let mut topic = NewTopic::new(name)
            .partitions(i32::try_from(partitions).unwrap_or(1))
            .replication_factor(copies)
            .config("min.insync.replicas", min_in_sync.to_string());
        if is_durable {
            topic = topic.config("flush.messages", "1");
        }
        topic
    };
    let topics = [topic(TOPIC, settings.partitions), topic(PROBE_TOPIC, 1)];
    for (name, created) in admin.create_topics(&topics, false).await? {
        match created {
            Ok(_) => {}
            Err(refused) if refused.code == ErrorCode::TOPIC_ALREADY_EXISTS => {}
            Err(refused) => return Ok(Some(format!("topic {name}: {refused}"))),
        }
    }
    Ok(None)
}
