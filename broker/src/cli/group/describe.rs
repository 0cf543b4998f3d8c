//! `milena group describe`: members, offsets, and how many records are left.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use clap::Args;
use milena_client::admin::{Admin, DescribedGroup, OffsetSpec, TopicPartition};
use milena_client::consumer::Isolation;
use milena_protocol::ids::{Offset, PartitionIndex};
use serde_json::json;

use crate::cli::connect::{Connect, block_on};
use crate::cli::output::{CliError, shown_count, write_json};
use crate::cli::table::Table;

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
    end: Option<Offset>,
    member: Option<String>,
}

impl Progress {
    /// Records that are left. Without an offset nobody knows where the group will begin.
    fn lag(&self) -> Option<i64> {
        Some((self.end?.0 - self.committed?.0).max(0))
    }
}

pub fn run(arguments: &Describe, out: &mut impl Write) -> Result<(), CliError> {
    let (group, progress) = block_on(async {
        let admin = Admin::new(arguments.connect.client().await?);
        let group = admin.describe_group(&arguments.group).await?;
        let offsets = admin.group_offsets(&arguments.group).await?;
        let progress = progress(&admin, &group, &offsets).await?;
        Ok((group, progress))
    })?;
    if arguments.json {
        return Ok(write_json(&told(&group, &progress), out)?);
    }
    let lag: i64 = progress.iter().filter_map(Progress::lag).sum();
    writeln!(
        out,
        "{}: {}, {}, {} members, coordinated by node {}, {} records behind",
        group.group,
        group.state,
        group.kind,
        group.members.len(),
        group.coordinator,
        shown_count(lag)
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
        let mut table = Table::new(&["TOPIC", ">PARTITION", ">NEXT", ">END", ">LAG", "READ BY"]);
        let shown = |count: Option<i64>| count.map_or("–".to_owned(), shown_count);
        for one in &progress {
            table.row([
                one.place.0.clone(),
                one.place.1.to_string(),
                shown(one.committed.map(|offset| offset.0)),
                shown(one.end.map(|offset| offset.0)),
                shown(one.lag()),
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
        // A topic that was deleted has no end.
        let Ok(found) =
            admin.list_offsets(topic, OffsetSpec::Latest, Isolation::ReadUncommitted).await
        else {
            continue;
        };
        let ends_of = found
            .into_iter()
            .zip(0..)
            .map(|(end, index)| ((topic.to_owned(), PartitionIndex(index)), end.offset));
        ends.extend(ends_of);
    }
    let progress = places.into_iter().map(|place| Progress {
        place: place.clone(),
        committed: offsets.get(place).copied(),
        end: ends.get(place).copied(),
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
            "end": one.end.map(|offset| offset.0),
            "lag": one.lag(),
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
