//! `milena txn abort`: through the coordinator by its id, or past it in a partition where it hangs.

use std::io::Write;

use clap::Args;
use milena_client::admin::{Admin, HangingTransaction};
use milena_protocol::ids::{Offset, PartitionIndex};

use crate::cli::connect::{Connect, block_on};
use crate::cli::output::CliError;

/// The arguments of `milena txn abort`.
#[derive(Args, Clone, Debug)]
pub struct Abort {
    /// The transactional id whose transaction is aborted and whose producer is fenced.
    #[arg(required_unless_present = "topic", conflicts_with = "topic")]
    id: Option<String>,
    /// The topic where a transaction hangs, as `milena txn list --hanging` shows it.
    #[arg(long, requires = "partition", requires = "start_offset")]
    topic: Option<String>,
    /// The partition where it hangs.
    #[arg(short, long, requires = "topic")]
    partition: Option<i32>,
    /// Where it begins.
    #[arg(long, value_name = "OFFSET", requires = "topic")]
    start_offset: Option<i64>,
    #[command(flatten)]
    connect: Connect,
}

pub fn run(arguments: &Abort, out: &mut impl Write) -> Result<(), CliError> {
    let place = arguments.topic.clone().zip(arguments.partition).zip(arguments.start_offset);
    let said = block_on(async {
        let admin = Admin::new(arguments.connect.client().await?);
        match (&arguments.id, place) {
            (Some(id), _) => abort_of_id(&admin, id).await,
            (None, Some(((topic, partition), offset))) => {
                abort_in_partition(&admin, topic, PartitionIndex(partition), Offset(offset)).await
            }
            (None, None) => Err(CliError::Usage("name an id, or where it hangs".to_owned())),
        }
    })?;
    Ok(writeln!(out, "{said}")?)
}

async fn abort_of_id(admin: &Admin, id: &str) -> Result<String, CliError> {
    // Fencing would make an id that does not exist.
    let before = admin.describe_transaction(id).await?;
    let (_, epoch) = admin.fence_producer(id).await?;
    let was_open = before.began_at.0 >= 0 && before.state == "Ongoing";
    let what = if was_open { "its transaction is aborted" } else { "it had no open transaction" };
    Ok(format!("{id}: {what}, producers before epoch {epoch} are fenced"))
}

async fn abort_in_partition(
    admin: &Admin,
    topic: String,
    partition: PartitionIndex,
    offset: Offset,
) -> Result<String, CliError> {
    let producers = admin.describe_producers(&topic, partition).await?;
    let found = producers.into_iter().find(|producer| producer.open_from == Some(offset));
    let Some(producer) = found else {
        return Err(CliError::Usage(format!(
            "no transaction is open in {topic} {partition} from offset {offset}; \
             `milena txn list --hanging` shows those that hang"
        )));
    };
    let hanging = HangingTransaction { place: (topic.clone(), partition), producer };
    admin.abort_hanging(&hanging).await?;
    let id = producer.producer_id;
    Ok(format!(
        "the transaction of producer {id} from {offset} on is aborted in {topic} {partition}"
    ))
}
