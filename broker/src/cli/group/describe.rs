//! `milena group describe`: members, offsets, and how far the group is behind, in records and in
//! time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Duration;

use clap::Args;
use futures_util::stream::{self, StreamExt};
use milena_client::admin::{Admin, DescribedGroup, OffsetSpec, TopicPartition};
use milena_client::consumer::Isolation;
use milena_protocol::ids::{Offset, PartitionIndex, Timestamp};
use serde_json::json;

use super::age::shown_age;
use crate::cli::connect::{Connect, block_on};
use crate::cli::output::{CliError, shown_count, write_json};
use crate::cli::table::Table;
use crate::clock::WallClock;

/// Leaders are asked for so many records at once.
const FETCHES_AT_ONCE: usize = 16;

/// The arguments of `milena group describe`.
#[derive(Args, Clone, Debug)]
pub struct Describe {
    /// The group.
    group: String,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// A partition that a group has read, or is to read.
struct Progress {
    place: TopicPartition,
    committed: Option<Offset>,
    ends: Option<Ends>,
    member: Option<String>,
    /// For how long the oldest record that is left has been there, if that can be known.
    behind: Option<Duration>,
}

/// Where a partition begins and ends.
#[derive(Clone, Copy, Debug)]
struct Ends {
    earliest: Offset,
    latest: Offset,
}

impl Progress {
    /// Where the group goes on: what is gone it cannot read. Without an offset nobody knows where
    /// it will begin.
    fn next(&self) -> Option<Offset> {
        Some(self.committed?.max(self.ends?.earliest))
    }

    /// Records that are left.
    fn lag(&self) -> Option<i64> {
        Some((self.ends?.latest.0 - self.next()?.0).max(0))
    }

    fn end(&self) -> Option<i64> {
        self.ends.map(|ends| ends.latest.0)
    }

    /// Looks up the oldest record that is left, if one is.
    async fn aged(mut self, admin: &Admin, now: Timestamp) -> Self {
        let Some(next) = self.next() else { return self };
        if self.lag() == Some(0) {
            self.behind = Some(Duration::ZERO);
            return self;
        }
        let (topic, partition) = &self.place;
        // Not every group that may be described is of topics that may be read.
        let Ok(found) = admin.first_record(topic, *partition, next).await else { return self };
        self.behind = match found {
            None => Some(Duration::ZERO),
            Some(first) if first.timestamp == Timestamp::NONE => None,
            Some(first) => {
                let age_ms = now.0.saturating_sub(first.timestamp.0);
                Some(Duration::from_millis(u64::try_from(age_ms).unwrap_or(0)))
            }
        };
        self
    }
}

pub fn run(arguments: &Describe, out: &mut impl Write) -> Result<(), CliError> {
    let (group, progress) = block_on(async {
        let admin = Admin::new(arguments.connect.client().await?);
        let group = admin.describe_group(&arguments.group).await?;
        let offsets = admin.group_offsets(&arguments.group).await?;
        let progress = progress(&admin, &group, &offsets).await?;
        let now = WallClock.now();
        let aged = progress.into_iter().map(|one| one.aged(&admin, now));
        let progress: Vec<_> = stream::iter(aged).buffered(FETCHES_AT_ONCE).collect().await;
        Ok((group, progress))
    })?;
    if arguments.json {
        return Ok(write_json(&told(&group, &progress), out)?);
    }
    let lag: i64 = progress.iter().filter_map(Progress::lag).sum();
    let behind = progress.iter().filter_map(|one| one.behind).max().filter(|age| !age.is_zero());
    writeln!(
        out,
        "{}: {}, {}, {} members, coordinated by node {}, {} records behind{}",
        group.group,
        group.state,
        group.kind,
        group.members.len(),
        group.coordinator,
        shown_count(lag),
        behind.map(|age| format!(", the oldest {} old", shown_age(age))).unwrap_or_default()
    )?;
    if !group.members.is_empty() {
        writeln!(out)?;
        let mut table = Table::new(&["MEMBER", "CLIENT", "HOST", ">PARTITIONS"]);
        for member in &group.members {
            let id = member.instance_id.as_ref().unwrap_or(&member.member_id);
            let count = member.assigned.len().to_string();
            table.row([id.clone(), member.client_id.clone(), member.host.clone(), count]);
        }
        table.write("", out)?;
    }
    if !progress.is_empty() {
        writeln!(out)?;
        let mut table =
            Table::new(&["TOPIC", ">PARTITION", ">NEXT", ">END", ">LAG", ">BEHIND", "READ BY"]);
        let shown = |count: Option<i64>| count.map_or("–".to_owned(), shown_count);
        for one in &progress {
            table.row([
                one.place.0.clone(),
                one.place.1.to_string(),
                shown(one.committed.map(|offset| offset.0)),
                shown(one.end()),
                shown(one.lag()),
                one.behind.map_or("–".to_owned(), shown_age),
                one.member.clone().unwrap_or_default(),
            ]);
        }
        table.write("", out)?;
    }
    Ok(())
}

async fn progress(
    admin: &Admin,
    group: &DescribedGroup,
    offsets: &BTreeMap<TopicPartition, Offset>,
) -> Result<Vec<Progress>, CliError> {
    let mut readers: BTreeMap<&TopicPartition, &str> = BTreeMap::new();
    for member in &group.members {
        let name = member.instance_id.as_deref().unwrap_or(&member.client_id);
        readers.extend(member.assigned.iter().map(|place| (place, name)));
    }
    let places: BTreeSet<&TopicPartition> = offsets.keys().chain(readers.keys().copied()).collect();
    let topics: BTreeSet<&str> = places.iter().map(|place| place.0.as_str()).collect();
    let mut ends = BTreeMap::new();
    for topic in topics {
        let list = |spec| admin.list_offsets(topic, spec, Isolation::ReadUncommitted);
        // A topic that was deleted has no end. What is asked for first is no later than the other.
        let Ok(earliest) = list(OffsetSpec::Earliest).await else { continue };
        let Ok(latest) = list(OffsetSpec::Latest).await else { continue };
        let ends_of =
            earliest.into_iter().zip(latest).zip(0..).map(|((earliest, latest), index)| {
                let ends = Ends { earliest: earliest.offset, latest: latest.offset };
                ((topic.to_owned(), PartitionIndex(index)), ends)
            });
        ends.extend(ends_of);
    }
    let progress = places.into_iter().map(|place| Progress {
        place: place.clone(),
        committed: offsets.get(place).copied(),
        ends: ends.get(place).copied(),
        behind: None,
        member: readers.get(place).map(|name| (*name).to_owned()),
    });
    Ok(progress.collect())
}

fn told(group: &DescribedGroup, progress: &[Progress]) -> serde_json::Value {
    let members = group.members.iter().map(|member| {
        json!({
            "member_id": member.member_id,
            "instance_id": member.instance_id,
            "client_id": member.client_id,
            "host": member.host,
            "partitions": member.assigned.len(),
        })
    });
    let partitions = progress.iter().map(|one| {
        json!({
            "topic": one.place.0,
            "partition": one.place.1.0,
            "committed": one.committed.map(|offset| offset.0),
            "end": one.end(),
            "lag": one.lag(),
            "lag_seconds": one.behind.map(|age| age.as_secs_f64()),
            "member": one.member,
        })
    });
    json!({
        "group": group.group,
        "state": group.state,
        "kind": group.kind,
        "assignor": group.assignor,
        "coordinator": group.coordinator.0,
        "members": members.collect::<Vec<_>>(),
        "partitions": partitions.collect::<Vec<_>>(),
    })
}
