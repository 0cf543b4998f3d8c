//! `milena cluster remove NODE`: a node goes for good. Its replicas move, then its vote is taken,
//! then it is forgotten; each step can be repeated, so a command that was cut short is run again.

use std::io::Write;

use milena_client::admin::Admin;
use milena_protocol::ids::NodeId;
use serde_json::json;

use super::drain::{Leaving, drain, progress};
use crate::cli::connect::block_on;
use crate::cli::output::{CliError, write_json};

/// What was done.
#[derive(Default)]
struct Done {
    moved: usize,
    had_vote: bool,
    was_broker: bool,
}

pub fn run(arguments: &Leaving, out: &mut impl Write) -> Result<(), CliError> {
    let node = NodeId(arguments.node);
    let done = block_on(async {
        let admin = Admin::new(arguments.connect.client().await?);
        let mut tell = progress(arguments.json, out);
        remove(&admin, arguments, &mut tell).await
    })?;
    if arguments.json {
        let told = json!({ "node_id": node.0, "moved": done.moved,
            "was_voter": done.had_vote, "was_broker": done.was_broker });
        return Ok(write_json(&told, out)?);
    }
    Ok(writeln!(
        out,
        "node {node} is gone; stop its process, and do not start it on its data again"
    )?)
}

async fn remove(
    admin: &Admin,
    leaving: &Leaving,
    tell: &mut impl FnMut(&str),
) -> Result<Done, CliError> {
    let node = NodeId(leaving.node);
    let mut done = Done::default();
    let cluster = admin.describe_cluster().await?;
    let quorum = admin.describe_quorum().await?;
    done.was_broker = cluster.brokers.iter().any(|broker| broker.node_id == node);
    let vote = quorum.voters.iter().find(|voter| voter.node_id == node);
    if !done.was_broker && vote.is_none() {
        return Err(CliError::Usage(format!(
            "there is no node {node}; `milena cluster info` shows who is there"
        )));
    }
    if vote.is_some() && quorum.voters.len() == 1 {
        return Err(CliError::Usage(format!(
            "node {node} is the only voter: let another one vote first with `milena cluster \
             voters add NODE`"
        )));
    }
    if done.was_broker {
        done.moved = drain(admin, leaving, tell).await?;
        tell(&format!("broker {node}: {} partitions were moved", done.moved));
    }
    if let Some(vote) = vote {
        admin.remove_voter(node, vote.directory_id).await?;
        done.had_vote = true;
        tell(&format!("node {node} votes no more"));
    }
    if done.was_broker {
        admin.unregister_broker(node).await?;
        tell(&format!("broker {node} is forgotten"));
    }
    Ok(done)
}
