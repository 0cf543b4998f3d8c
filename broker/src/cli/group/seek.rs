//! `milena group seek`.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use milena_client::admin::{Admin, OffsetSpec, TopicPartition};
use milena_client::consumer::Isolation;
use milena_protocol::ids::{Offset, PartitionIndex, Timestamp};
use serde_json::json;

use crate::cli::connect::{Connect, block_on};
use crate::cli::output::{CliError, write_json};
use crate::cli::table::Table;

/// The arguments of `milena group seek`.
#[derive(Args, Clone, Debug)]
pub struct Seek {
    /// The group, which has no members now.
    group: String,
    /// The topic.
    #[arg(long)]
    topic: String,
    /// Only this partition.
    #[arg(short, long)]
    partition: Option<i32>,
    /// beginning, end, an offset, or @TIMESTAMP in milliseconds.
    #[arg(long, value_parser = target)]
    to: Target,
    /// Shows what would change, and changes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// Where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Beginning,
    End,
    At(Offset),
    Since(Timestamp),
}

fn target(text: &str) -> Result<Target, String> {
    let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= 0);
    let found = match text {
        "beginning" | "earliest" => Some(Target::Beginning),
        "end" | "latest" => Some(Target::End),
        _ => match text.strip_prefix('@') {
            Some(time) => number(time).map(|time| Target::Since(Timestamp(time))),
            None => number(text).map(|offset| Target::At(Offset(offset))),
        },
    };
    found.ok_or_else(|| {
        format!("{text:?} is no place; write beginning, end, OFFSET or @TIMESTAMP in milliseconds")
    })
}

pub fn run(arguments: &Seek, out: &mut impl Write) -> Result<(), CliError> {
    let (wanted, each) = block_on(async {
        let admin = Admin::new(arguments.connect.client().await?);
        let wanted = wanted(&admin, arguments).await?;
        let each = if arguments.dry_run {
            Vec::new()
        } else {
            admin.set_group_offsets(&arguments.group, &wanted).await?
        };
        Ok((wanted, each))
    })?;
    let mut failed = false;
    for ((topic, partition), result) in &each {
        if let Err(refused) = result {
            failed = true;
            eprintln!("milena: group {}, {topic} {partition}: {refused}", arguments.group);
        }
    }
    if failed {
        eprintln!("        a group can be moved once it has no members: stop its consumers first");
        return Err(CliError::Partly);
    }
    if arguments.json {
        let told: Vec<_> = wanted
            .iter()
            .map(|((topic, partition), offset)| {
                json!({ "topic": topic, "partition": partition.0, "offset": offset.0 })
            })
            .collect();
        return Ok(write_json(&told, out)?);
    }
    let mut table = Table::new(&["TOPIC", ">PARTITION", ">NEXT"]);
    for ((topic, partition), offset) in wanted {
        table.row([topic, partition.to_string(), offset.to_string()]);
    }
    table.write("", out)?;
    if arguments.dry_run {
        writeln!(out, "nothing was changed")?;
    }
    Ok(())
}

async fn wanted(
    admin: &Admin,
    arguments: &Seek,
) -> Result<BTreeMap<TopicPartition, Offset>, CliError> {
    let topic = &arguments.topic;
    let list = |spec| admin.list_offsets(topic, spec, Isolation::ReadUncommitted);
    let spec = match arguments.to {
        Target::Beginning => OffsetSpec::Earliest,
        Target::End | Target::At(_) => OffsetSpec::Latest,
        Target::Since(time) => OffsetSpec::Time(time),
    };
    // What is asked for first is no later than what stands in for it.
    let ends = list(OffsetSpec::Latest).await?;
    let found = list(spec).await?;
    let is_asked = |index: PartitionIndex| arguments.partition.is_none_or(|one| one == index.0);
    let mut wanted = BTreeMap::new();
    for (index, (found, end)) in found.iter().zip(&ends).enumerate() {
        let partition = PartitionIndex(i32::try_from(index).unwrap_or(i32::MAX));
        if !is_asked(partition) {
            continue;
        }
        let offset = match arguments.to {
            Target::At(offset) => offset,
            // Nothing is so young: the group goes on with what comes next.
            _ if found.offset == Offset::NONE => end.offset,
            _ => found.offset,
        };
        wanted.insert((topic.clone(), partition), offset);
    }
    if wanted.is_empty() {
        return Err(CliError::Usage(format!("topic {topic} has no such partition")));
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group would be moved somewhere else than was written.
    #[test]
    fn places_are_what_they_say() {
        assert_eq!(target("beginning"), Ok(Target::Beginning));
        assert_eq!(target("latest"), Ok(Target::End));
        assert_eq!(target("42"), Ok(Target::At(Offset(42))));
        assert_eq!(target("@1700000000000"), Ok(Target::Since(Timestamp(1_700_000_000_000))));
        for bad in ["", "-1", "@", "@-1", "middle"] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }
}
