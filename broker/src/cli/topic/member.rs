//! Reading as a member of a group, for `milena topic consume --group`.

use std::io::Write;
use std::time::{Duration, Instant};

use milena_client::client::Client;
use milena_client::consumer::{ConsumedRecord, ConsumerOptions, Isolation, Reset};
use milena_client::group::{
    CommittedOffset, GroupConsumer, GroupEvent, GroupOptions, Offsets, Subscription,
};

use super::manner::Manner;
use crate::cli::output::CliError;

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(500);
/// How often what was written is committed.
const COMMIT: Duration = Duration::from_secs(1);

/// What is read, and for how long.
#[derive(Clone, Debug)]
pub struct Membership {
    pub group: String,
    pub topics: Vec<String>,
    pub isolation: Isolation,
    pub reset: Reset,
    /// Whether it ends at the end of what it is assigned.
    pub exits: bool,
    /// After how many records it ends.
    pub count: u64,
}

/// Reads, writes, and commits what was written: no more, however much a poll brings.
pub async fn read(
    client: &Client,
    membership: Membership,
    manner: &Manner,
    out: &mut impl Write,
) -> Result<(), CliError> {
    for topic in &membership.topics {
        // A name with a mistake would be waited for without a word.
        client.topic(topic, false).await?;
    }
    let options = GroupOptions { auto_commit: None, ..GroupOptions::new(membership.group) };
    let reading = ConsumerOptions {
        isolation: membership.isolation,
        reset: membership.reset,
        max_wait: POLL,
        ..Default::default()
    };
    let topics = Subscription::topics(membership.topics.iter().map(String::as_str));
    let mut consumer = GroupConsumer::join(client, topics, options, reading);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    let mut done = Offsets::new();
    let mut left = membership.count;
    let mut committed_at = Instant::now();
    while left > 0 {
        let event = tokio::select! {
            event = consumer.poll(POLL) => event?,
            _ = &mut interrupted => break,
        };
        match event {
            GroupEvent::Records(records) => {
                for record in records.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
                    manner.write(record, out)?;
                    note(&mut done, record);
                    left -= 1;
                }
                out.flush()?;
            }
            GroupEvent::Revoking(_) => commit(&mut consumer, &mut done).await?,
            GroupEvent::Lost(keys) => done.retain(|key, _| !keys.contains(key)),
            GroupEvent::Assigned(_) | GroupEvent::Nothing => {}
        }
        if committed_at.elapsed() >= COMMIT {
            committed_at = Instant::now();
            commit(&mut consumer, &mut done).await?;
        }
        if membership.exits && consumer.is_at_end() {
            break;
        }
    }
    commit(&mut consumer, &mut done).await?;
    Ok(consumer.close().await?)
}

fn note(done: &mut Offsets, record: &ConsumedRecord) {
    let committed = CommittedOffset {
        leader_epoch: record.leader_epoch,
        ..CommittedOffset::at(record.offset.plus(1))
    };
    done.insert((record.topic.clone(), record.partition), committed);
}

/// Commits what was written. Where the group has gone on without this member, the records come
/// again, to whoever has the partition now.
async fn commit(consumer: &mut GroupConsumer, done: &mut Offsets) -> Result<(), CliError> {
    match consumer.commit_offsets(done.clone()).await {
        Ok(()) => done.clear(),
        Err(error) if error.is_of_the_past() => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
