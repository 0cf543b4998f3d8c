//! `milena group seek`.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use clap::Args;
use milena_client::admin::{Admin, OffsetSpec, TopicPartition};
use milena_client::consumer::Isolation;
use milena_client::error::Refused;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, PartitionIndex};
use serde_json::json;

use super::place::{Known, Place, Target};
use crate::cli::connect::{Connect, block_on};
use crate::cli::output::{CliError, write_json};
use crate::cli::table::Table;
use crate::clock::WallClock;

/// How long to wait for a coordinator that is not ready yet, before it is asked again.
const BACKOFF: Duration = Duration::from_millis(200);

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
    #[command(flatten)]
    place: Place,
    /// Shows what would change, and changes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// What became of each partition.
type Each = Vec<(TopicPartition, Result<(), Refused>)>;

pub fn run(arguments: &Seek, out: &mut impl Write) -> Result<(), CliError> {
    let (wanted, each) = block_on(async {
        let admin = Admin::new(arguments.connect.client().await?);
        let wanted = wanted(&admin, arguments).await?;
        let each =
            if arguments.dry_run { Vec::new() } else { commit(&admin, arguments, &wanted).await? };
        Ok((wanted, each))
    })?;
    let refused: Vec<_> =
        each.iter().filter_map(|(place, result)| Some((place, result.as_ref().err()?))).collect();
    for ((topic, partition), why) in &refused {
        eprintln!("milena: group {}, {topic} {partition}: {why}", arguments.group);
    }
    if refused.iter().any(|(_, why)| why.code == ErrorCode::UNKNOWN_MEMBER_ID) {
        eprintln!("        a group can be moved once it has no members: stop its consumers first");
    }
    if !refused.is_empty() {
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

/// Commits, and again where the coordinator is about to be ready: in a young cluster its topic has
/// just been made.
async fn commit(
    admin: &Admin,
    arguments: &Seek,
    wanted: &BTreeMap<TopicPartition, Offset>,
) -> Result<Each, CliError> {
    let deadline = Instant::now() + Duration::from_secs(arguments.connect.timeout);
    loop {
        let each = admin.set_group_offsets(&arguments.group, wanted).await?;
        let passes = |result: &Result<(), Refused>| {
            result.as_ref().is_err_and(|refused| refused.code.is_retriable())
        };
        if !each.iter().any(|(_, result)| passes(result)) || Instant::now() >= deadline {
            return Ok(each);
        }
        tokio::time::sleep(BACKOFF).await;
    }
}

async fn wanted(
    admin: &Admin,
    arguments: &Seek,
) -> Result<BTreeMap<TopicPartition, Offset>, CliError> {
    let topic = &arguments.topic;
    let target = arguments.place.target(WallClock.now());
    let list = |spec| admin.list_offsets(topic, spec, Isolation::ReadUncommitted);
    // What is asked for first is no later than what bounds it.
    let earliest = list(OffsetSpec::Earliest).await?;
    let since = list(target.spec()).await?;
    let latest = list(OffsetSpec::Latest).await?;
    let committed = match target {
        Target::By(_) => admin.group_offsets(&arguments.group).await?,
        _ => BTreeMap::new(),
    };
    let mut wanted = BTreeMap::new();
    for (((earliest, since), latest), index) in earliest.iter().zip(&since).zip(&latest).zip(0..) {
        let place = (topic.clone(), PartitionIndex(index));
        if arguments.partition.is_some_and(|one| one != index) {
            continue;
        }
        let known = Known {
            earliest: earliest.offset,
            latest: latest.offset,
            committed: committed.get(&place).copied(),
            since: since.offset,
        };
        let offset = target.offset(known).ok_or_else(|| {
            let group = &arguments.group;
            CliError::Usage(format!("group {group} is nowhere in {topic} {index}; say --to where"))
        })?;
        wanted.insert(place, offset);
    }
    if wanted.is_empty() {
        return Err(CliError::Usage(format!("topic {topic} has no such partition")));
    }
    Ok(wanted)
}
