//! One fetch: what is asked of a leader, and its answer taken apart by partition.

use std::time::Duration;

use milena_protocol::api::fetch::{
    FetchPartition, FetchPartitionResponse, FetchRequest, FetchResponse, FetchTopic,
};
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, Uuid};

use super::options::ConsumerOptions;
use super::place::Key;
use super::record::{self, FetchedPartition};
use crate::client::Client;
use crate::error::{ClientError, Refused};

/// The highest version of Fetch that names topics, for brokers that tell no topic id.
const LAST_VERSION_WITH_NAMES: i16 = 12;
/// A fetch outside of any session (KIP-227).
const NO_SESSION: i32 = -1;

/// A partition that is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub key: Key,
    pub topic_id: Uuid,
    pub offset: Offset,
    pub epoch: LeaderEpoch,
    /// Which assignment it is for.
    pub generation: u64,
}

/// What was asked for of one partition, and what came.
pub type Part = (Wanted, Result<FetchedPartition, ClientError>);

/// What came of a fetch.
#[derive(Debug)]
pub struct Fetched {
    pub node_id: NodeId,
    pub outcome: Result<Vec<Part>, ClientError>,
}

/// Fetches from one leader.
pub async fn fetch(
    client: Client,
    options: ConsumerOptions,
    node_id: NodeId,
    wanted: Vec<Wanted>,
) -> Fetched {
    let outcome = ask(&client, &options, node_id, &wanted).await.map(|response| {
        // An answer may be full before a partition's turn has come.
        let read = |wanted: Wanted| {
            let partition = read(find(&response, &wanted)?, &wanted, &options);
            Some((wanted, partition))
        };
        wanted.into_iter().filter_map(read).collect()
    });
    Fetched { node_id, outcome }
}

async fn ask(
    client: &Client,
    options: &ConsumerOptions,
    node_id: NodeId,
    wanted: &[Wanted],
) -> Result<FetchResponse, ClientError> {
    let connection = client.broker(node_id).await?;
    let mut version = connection.version_of::<FetchRequest>()?;
    if wanted.iter().any(|wanted| wanted.topic_id == Uuid::ZERO) {
        version = version.min(LAST_VERSION_WITH_NAMES);
    }
    let request = request(options, wanted);
    let limit = options.max_wait.saturating_add(client.options().connection.request_timeout);
    let response = connection.submit(&request, version)?.wait_at_most(limit).await?;
    Refused::check(response.error_code, None).map_err(|refused| refused.of("fetching"))?;
    Ok(response)
}

fn request(options: &ConsumerOptions, wanted: &[Wanted]) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for one in wanted {
        let partition = FetchPartition {
            partition: one.key.1,
            current_leader_epoch: one.epoch,
            fetch_offset: one.offset,
            partition_max_bytes: options.max_partition_bytes,
            ..Default::default()
        };
        // What is wanted comes sorted, so a topic's partitions stand together.
        match topics.last_mut().filter(|topic| *topic.topic == *one.key.0) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(FetchTopic {
                topic: (*one.key.0).into(),
                topic_id: one.topic_id,
                partitions: vec![partition],
            }),
        }
    }
    FetchRequest {
        max_wait_ms: milliseconds(options.max_wait),
        min_bytes: options.min_bytes,
        max_bytes: options.max_bytes,
        isolation_level: options.isolation.number(),
        session_epoch: NO_SESSION,
        topics,
        rack_id: options.rack.as_str().into(),
        ..Default::default()
    }
}

/// A wait as the wire has it.
fn milliseconds(wait: Duration) -> i32 {
    i32::try_from(wait.as_millis()).unwrap_or(i32::MAX)
}

fn read(
    answer: &FetchPartitionResponse,
    wanted: &Wanted,
    options: &ConsumerOptions,
) -> Result<FetchedPartition, ClientError> {
    let what = || format!("reading {} {}", wanted.key.0, wanted.key.1);
    Refused::check(answer.error_code, None).map_err(|refused| refused.of(what()))?;
    record::read(&wanted.key, wanted.offset, answer, options).map_err(|why| {
        ClientError::Unreadable { topic: wanted.key.0.to_string(), partition: wanted.key.1, why }
    })
}

fn find<'a>(response: &'a FetchResponse, wanted: &Wanted) -> Option<&'a FetchPartitionResponse> {
    let topics = response.responses.iter().filter(|topic| {
        *topic.topic == *wanted.key.0
            || (topic.topic.is_empty() && topic.topic_id == wanted.topic_id)
    });
    topics.flat_map(|topic| &topic.partitions).find(|one| one.partition_index == wanted.key.1)
}
