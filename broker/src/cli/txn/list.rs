//! `milena txn list`.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use milena_client::admin::{Admin, HangingTransaction, TransactionFilter};
use milena_client::client::Topics;
use serde_json::json;

use super::time::{now, shown_age};
use crate::cli::connect::{Connect, block_on};
use crate::cli::output::{CliError, write_json};
use crate::cli::table::Table;

/// The arguments of `milena txn list`.
#[derive(Args, Clone, Debug)]
pub struct List {
    /// Only transactions in this state, such as Ongoing.
    #[arg(long, conflicts_with = "hanging")]
    state: Vec<String>,
    /// Only transactions that have been open for so many seconds; for those that hang, since their
    /// producer last wrote (900 if it is not said, the longest that brokers allow by default).
    #[arg(long, value_name = "SECONDS")]
    open_for: Option<u64>,
    /// Lists transactions that are open in a partition and that no coordinator will end.
    #[arg(long)]
    hanging: bool,
    /// With --hanging: only in these topics.
    #[arg(long, requires = "hanging")]
    topic: Vec<String>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// The longest that a transaction may take, by default, in seconds.
const LONGEST: u64 = 900;

pub fn run(arguments: &List, out: &mut impl Write) -> Result<(), CliError> {
    if arguments.hanging { list_hanging(arguments, out) } else { list_ids(arguments, out) }
}

fn list_ids(arguments: &List, out: &mut impl Write) -> Result<(), CliError> {
    let filter = TransactionFilter {
        states: arguments.state.clone(),
        open_for: arguments.open_for.map(Duration::from_secs),
        ..Default::default()
    };
    let listed = block_on(async {
        let admin = Admin::new(arguments.connect.client().await?);
        Ok(admin.list_transactions(&filter).await?)
    })?;
    if arguments.json {
        let told: Vec<_> = listed
            .iter()
            .map(|one| {
                json!({
                    "transactional_id": one.transactional_id,
                    "producer_id": one.producer_id.0,
                    "state": one.state,
                })
            })
            .collect();
        return Ok(write_json(&told, out)?);
    }
    if listed.is_empty() && filter == TransactionFilter::default() {
        writeln!(out, "there are no transactions; a producer with a `transactional.id` makes one")?;
        return Ok(());
    }
    let mut table = Table::new(&["TRANSACTIONAL ID", ">PRODUCER", "STATE"]);
    for one in listed {
        table.row([one.transactional_id, one.producer_id.to_string(), one.state]);
    }
    Ok(table.write("", out)?)
}

fn list_hanging(arguments: &List, out: &mut impl Write) -> Result<(), CliError> {
    let open_for = Duration::from_secs(arguments.open_for.unwrap_or(LONGEST));
    let now = now();
    let hanging = block_on(async {
        let client = arguments.connect.client().await?;
        let topics = match arguments.topic.as_slice() {
            [] => {
                let metadata = client.refresh(Topics::All, false).await?;
                metadata.topics.keys().map(ToString::to_string).collect()
            }
            named => named.to_vec(),
        };
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        Ok(Admin::new(client).hanging_transactions(&topics, open_for, now).await?)
    })?;
    if arguments.json {
        return Ok(write_json(&hanging.iter().map(told).collect::<Vec<_>>(), out)?);
    }
    if hanging.is_empty() {
        writeln!(out, "no transaction hangs")?;
        return Ok(());
    }
    let columns = ["TOPIC", ">PARTITION", ">START OFFSET", ">PRODUCER", ">EPOCH", ">LAST WRITTEN"];
    let mut table = Table::new(&columns);
    for one in &hanging {
        table.row([
            one.place.0.clone(),
            one.place.1.to_string(),
            one.producer.open_from.map_or("–".to_owned(), |offset| offset.to_string()),
            one.producer.producer_id.to_string(),
            one.producer.producer_epoch.to_string(),
            format!("{} ago", shown_age(one.producer.last_timestamp, now)),
        ]);
    }
    table.write("", out)?;
    if let Some(HangingTransaction { place: (topic, partition), producer }) = hanging.first() {
        let offset = producer.open_from.unwrap_or_default();
        writeln!(
            out,
            "\n`milena txn abort --topic {topic} --partition {partition} --start-offset {offset}` \
             ends the first of them"
        )?;
    }
    Ok(())
}

fn told(hanging: &HangingTransaction) -> serde_json::Value {
    json!({
        "topic": hanging.place.0,
        "partition": hanging.place.1.0,
        "start_offset": hanging.producer.open_from.map(|offset| offset.0),
        "producer_id": hanging.producer.producer_id.0,
        "producer_epoch": hanging.producer.producer_epoch.0,
        "coordinator_epoch": hanging.producer.coordinator_epoch,
        "last_timestamp": hanging.producer.last_timestamp.0,
    })
}
