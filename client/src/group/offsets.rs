//! How far a group has read: committing it and asking for it, again and again until its coordinator
//! answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use milena_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use milena_protocol::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, Offset, PartitionIndex};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::step::Standing;
use crate::backoff::Backoff;
use crate::client::Client;
use crate::consumer::Key;
use crate::error::{ClientError, Refused};

/// The last version that names topics; later ones give their ids.
const NAMES_TOPICS: i16 = 9;
/// How long a member whose epoch is too old waits for its next report.
const NEWS: Duration = Duration::from_secs(1);

/// How far a group has read in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// What comes next.
    pub offset: Offset,
    /// The epoch of the leader that wrote the last record read; −1 where nobody knows.
    pub leader_epoch: LeaderEpoch,
    /// What was said with it.
    pub metadata: String,
}

impl CommittedOffset {
    /// An offset and nothing else.
    #[must_use]
    pub fn at(offset: Offset) -> Self {
        Self { offset, leader_epoch: LeaderEpoch::NONE, metadata: String::new() }
    }
}

/// Offsets by partition.
pub type Offsets = BTreeMap<Key, CommittedOffset>;

/// Who commits.
#[derive(Clone, Debug)]
pub struct Committer {
    pub client: Client,
    pub group: String,
    pub instance_id: Option<String>,
    pub standing: watch::Receiver<Standing>,
}

impl Committer {
    /// Commits, and tries again while that may help and the client's patience lasts.
    ///
    /// # Errors
    /// When the coordinator does not answer, or refuses.
    pub async fn commit(mut self, offsets: Offsets) -> Result<(), ClientError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let what = format!("the offsets of group {} were not committed", self.group);
        let patience = self.client.options().patience;
        let deadline = Instant::now() + patience;
        let mut backoff = Backoff::default();
        loop {
            let error = match self.try_commit(&offsets).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            // The coordinator has given the member a new epoch, which its next report brings.
            let is_stale = error.code() == Some(ErrorCode::STALE_MEMBER_EPOCH);
            if !is_stale && !error.is_retriable() {
                return Err(error);
            }
            if Instant::now() >= deadline {
                let last = Some(error.to_string());
                return Err(ClientError::GaveUp { what, after: patience, last });
            }
            if is_stale {
                // The answer may have come already.
                let _ = timeout(NEWS, self.standing.changed()).await;
            } else {
                sleep(backoff.next()).await;
            }
        }
    }

    async fn try_commit(&mut self, offsets: &Offsets) -> Result<(), ClientError> {
        let connection = self.client.coordinator(&self.group).await?.1;
        let standing = self.standing.borrow_and_update().clone();
        let request = OffsetCommitRequest {
            group_id: self.group.as_str().into(),
            generation_id_or_member_epoch: standing.epoch,
            member_id: standing.member_id.as_str().into(),
            group_instance_id: self.instance_id.as_deref().map(Into::into),
            topics: by_topic(offsets),
            ..Default::default()
        };
        let version = connection.version_of::<OffsetCommitRequest>()?.min(NAMES_TOPICS);
        let response = connection.submit(&request, version)?.wait().await?;
        judge(&self.group, &response)
    }
}

fn by_topic(offsets: &Offsets) -> Vec<OffsetCommitRequestTopic> {
    let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
    for ((topic, partition_index), committed) in offsets {
        let partition = OffsetCommitRequestPartition {
            partition_index: *partition_index,
            committed_offset: committed.offset,
            committed_leader_epoch: committed.leader_epoch,
            committed_metadata: Some(committed.metadata.as_str().into()),
        };
        match topics.last_mut().filter(|last| *last.name == **topic) {
            Some(last) => last.partitions.push(partition),
            None => topics.push(OffsetCommitRequestTopic {
                name: (**topic).into(),
                partitions: vec![partition],
                ..Default::default()
            }),
        }
    }
    topics
}

/// The first refusal, one that does not heal before one that does.
fn judge(group: &str, response: &OffsetCommitResponse) -> Result<(), ClientError> {
    let codes = response
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| (&topic.name, partition)));
    let refused = codes.filter(|(_, partition)| !partition.error_code.is_none());
    let worst = refused.min_by_key(|(_, partition)| partition.error_code.is_retriable());
    let Some((topic, partition)) = worst else { return Ok(()) };
    let refused = Refused { code: partition.error_code, message: None };
    let place = format!("{topic} {}", partition.partition_index);
    Err(refused.of(format!("committing the offset of {place} for group {group}")))
}

/// How far a group has read in partitions; those without an offset are left out. With `stable` it
/// waits for transactions that may still commit other ones.
///
/// # Errors
/// When the coordinator does not answer within the client's patience, or refuses.
pub async fn fetch(
    client: &Client,
    group: &str,
    wanted: &[Key],
    stable: bool,
) -> Result<Offsets, ClientError> {
    let patience = client.options().patience;
    let deadline = Instant::now() + patience;
    let mut backoff = Backoff::default();
    loop {
        match try_fetch(client, group, wanted, stable).await {
            Err(error) if error.is_retriable() && Instant::now() < deadline => {
                sleep(backoff.next()).await;
            }
            Err(error) if error.is_retriable() => {
                let what = format!("the offsets of group {group} were not told");
                let last = Some(error.to_string());
                return Err(ClientError::GaveUp { what, after: patience, last });
            }
            settled => return settled,
        }
    }
}

async fn try_fetch(
    client: &Client,
    group: &str,
    wanted: &[Key],
    stable: bool,
) -> Result<Offsets, ClientError> {
    let connection = client.coordinator(group).await?.1;
    let version = connection.version_of::<OffsetFetchRequest>()?.min(NAMES_TOPICS);
    let mut topics: BTreeMap<&str, Vec<PartitionIndex>> = BTreeMap::new();
    for (topic, partition) in wanted {
        topics.entry(topic).or_default().push(*partition);
    }
    let mut request = OffsetFetchRequest { require_stable: stable, ..Default::default() };
    if version >= 8 {
        let topics = topics.into_iter().map(|(name, partition_indexes)| OffsetFetchRequestTopics {
            name: name.into(),
            partition_indexes,
            ..Default::default()
        });
        request.groups = vec![OffsetFetchRequestGroup {
            group_id: group.into(),
            topics: Some(topics.collect()),
            ..Default::default()
        }];
    } else {
        let topics = topics.into_iter().map(|(name, partition_indexes)| OffsetFetchRequestTopic {
            name: name.into(),
            partition_indexes,
        });
        request.group_id = group.into();
        request.topics = Some(topics.collect());
        // Before version 7 nobody waits for transactions.
        request.require_stable &= version >= 7;
    }
    let response = connection.submit(&request, version)?.wait().await?;
    read(group, &response)
}

fn read(group: &str, response: &OffsetFetchResponse) -> Result<Offsets, ClientError> {
    let check = |code| {
        Refused::check(code, None)
            .map_err(|refused| refused.of(format!("the offsets of group {group}")))
    };
    check(response.error_code)?;
    let mut offsets = Offsets::new();
    for topic in &response.topics {
        let name: Arc<str> = (*topic.name).into();
        for found in &topic.partitions {
            check(found.error_code)?;
            let committed = CommittedOffset {
                offset: found.committed_offset,
                leader_epoch: found.committed_leader_epoch,
                metadata: found.metadata.as_deref().unwrap_or_default().to_owned(),
            };
            offsets.insert((Arc::clone(&name), found.partition_index), committed);
        }
    }
    for answer in &response.groups {
        check(answer.error_code)?;
        for topic in &answer.topics {
            let name: Arc<str> = (*topic.name).into();
            for found in &topic.partitions {
                check(found.error_code)?;
                let committed = CommittedOffset {
                    offset: found.committed_offset,
                    leader_epoch: found.committed_leader_epoch,
                    metadata: found.metadata.as_deref().unwrap_or_default().to_owned(),
                };
                offsets.insert((Arc::clone(&name), found.partition_index), committed);
            }
        }
    }
    offsets.retain(|_, committed| committed.offset != Offset::NONE);
    Ok(offsets)
}
