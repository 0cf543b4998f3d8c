//! `milena topic trim`.

use std::io::Write;

use clap::Args;
use milena_client::ClientError;
use milena_client::admin::{Admin, FoundOffset, OffsetSpec};
use milena_client::consumer::Isolation;
use milena_protocol::ids::{Offset, PartitionIndex, Timestamp};
use serde_json::json;

use crate::cli::connect::{Connect, block_on};
use crate::cli::output::{CliError, shown_count, write_json};
use crate::cli::table::Table;

/// The arguments of `milena topic trim`.
#[derive(Args, Clone, Debug)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub struct Trim {
    /// The topic.
    name: String,
    /// Only this partition.
    #[arg(short, long)]
    partition: Option<i32>,
    /// Removes the records before this offset.
    #[arg(long, value_name = "OFFSET", group = "what",
        value_parser = clap::value_parser!(i64).range(0..))]
    before: Option<i64>,
    /// Removes the records before the first one that is not older than this, in milliseconds since
    /// 1970.
    #[arg(long, value_name = "TIMESTAMP", group = "what")]
    before_time: Option<i64>,
    /// Removes all records that are there now.
    #[arg(long, group = "what")]
    all: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

pub fn run(arguments: &Trim, out: &mut impl Write) -> Result<(), CliError> {
    let trimmed = block_on(trim(arguments))?;
    if arguments.json {
        let told: Vec<_> = trimmed
            .iter()
            .map(
                |(partition, offset)| json!({ "partition": partition.0, "first_offset": offset.0 }),
            )
            .collect();
        return Ok(write_json(&json!({ "name": arguments.name, "partitions": told }), out)?);
    }
    let mut table = Table::new(&[">PARTITION", ">FIRST OFFSET NOW"]);
    for (partition, offset) in trimmed {
        table.row([partition.to_string(), shown_count(offset.0)]);
    }
    Ok(table.write("", out)?)
}

async fn trim(arguments: &Trim) -> Result<Vec<(PartitionIndex, Offset)>, CliError> {
    let admin = Admin::new(arguments.connect.client().await?);
    let name = arguments.name.as_str();
    let topic = admin.describe_topic(name).await?;
    let partitions: Vec<PartitionIndex> = match arguments.partition {
        Some(partition) => vec![PartitionIndex(partition)],
        None => topic.partitions.iter().map(|partition| partition.index).collect(),
    };
    let all_before = |offset| vec![offset; topic.partitions.len()];
    let before = match (arguments.before, arguments.before_time) {
        (Some(offset), _) => all_before(Some(Offset(offset))),
        (None, Some(time)) => {
            let isolation = Isolation::ReadUncommitted;
            // The ends come first: where nothing is found up to there, what is written later is
            // not looked at, and stays.
            let ends = admin.list_offsets(name, OffsetSpec::Latest, isolation).await?;
            let spec = OffsetSpec::Time(Timestamp(time));
            let found = admin.list_offsets(name, spec, isolation).await?;
            older(&found, &ends).map(Some).collect()
        }
        (None, None) => all_before(None),
    };
    let mut trimmed = Vec::new();
    for partition in partitions {
        let index = usize::try_from(partition.0).ok();
        let count = topic.partitions.len();
        let Some(before) = index.and_then(|index| before.get(index)) else {
            let topic = name.to_owned();
            return Err(ClientError::NoSuchPartition { topic, partition, count }.into());
        };
        trimmed.push((partition, admin.delete_records(name, partition, *before).await?));
    }
    Ok(trimmed)
}

/// Behind the records that are older than a time, by partition: before the first one that is not,
/// or where there is none, at the end that was known before it was looked for.
fn older(found: &[FoundOffset], ends: &[FoundOffset]) -> impl Iterator<Item = Offset> {
    found.iter().zip(ends).map(|(found, end)| match found.offset {
        Offset::NONE => end.offset,
        offset => offset,
    })
}

#[cfg(test)]
mod tests {
    use milena_protocol::ids::LeaderEpoch;

    use super::*;

    /// Where no record is young enough, one that is written while the topic is trimmed would be
    /// removed with the old ones.
    #[test]
    fn nothing_is_removed_that_was_not_looked_at() {
        let at = |offset| FoundOffset {
            offset: Offset(offset),
            timestamp: Timestamp::NONE,
            leader_epoch: LeaderEpoch::NONE,
        };
        let trimmed: Vec<i64> =
            older(&[at(3), at(-1)], &[at(9), at(7)]).map(|offset| offset.0).collect();
        assert_eq!(trimmed, [3, 7]);
    }
}
