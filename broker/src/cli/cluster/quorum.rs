//! The metadata quorum as people and machines read it.

use std::io::Write;

use milena_client::admin::{QuorumReplica, QuorumStatus};
use serde_json::{Value, json};

use crate::cli::output::{CliError, shown_count};
use crate::cli::table::Table;

/// Writes who votes and who observes, as a table.
pub fn write(quorum: &QuorumStatus, out: &mut impl Write) -> Result<(), CliError> {
    writeln!(
        out,
        "quorum      leader {} in epoch {}, committed up to {}",
        quorum.leader_id,
        quorum.leader_epoch,
        shown_count(quorum.high_watermark.0)
    )?;
    let titles = [">NODE", "ROLE", "ADDRESS", "DIRECTORY", ">END OFFSET", ">LAG"];
    let mut table = Table::new(&titles);
    let voters = quorum.voters.iter().map(|replica| {
        (replica, if replica.node_id == quorum.leader_id { "leader" } else { "voter" })
    });
    let observers = quorum.observers.iter().map(|replica| (replica, "observer"));
    for (replica, role) in voters.chain(observers) {
        let listeners = quorum.listeners.get(&replica.node_id);
        let address = listeners.and_then(|all| all.first()).map(|first| first.address());
        table.row([
            replica.node_id.to_string(),
            role.to_owned(),
            address.unwrap_or_else(|| "–".to_owned()),
            replica.directory_id.to_string(),
            shown_count(replica.log_end_offset.0),
            shown_count(quorum.lag(replica)),
        ]);
    }
    Ok(table.write("", out)?)
}

/// The same for machines.
pub fn json(quorum: &QuorumStatus) -> Value {
    let replicas = |all: &[QuorumReplica]| {
        all.iter().map(|replica| replica_json(quorum, replica)).collect::<Vec<_>>()
    };
    json!({
        "leader_id": quorum.leader_id.0,
        "leader_epoch": quorum.leader_epoch.0,
        "high_watermark": quorum.high_watermark.0,
        "voters": replicas(&quorum.voters),
        "observers": replicas(&quorum.observers),
    })
}

fn replica_json(quorum: &QuorumStatus, replica: &QuorumReplica) -> Value {
    let listeners = quorum.listeners.get(&replica.node_id).into_iter().flatten();
    json!({
        "node_id": replica.node_id.0,
        "directory_id": replica.directory_id.to_string(),
        "addresses": listeners.map(|it| it.address()).collect::<Vec<_>>(),
        "log_end_offset": replica.log_end_offset.0,
        "lag": quorum.lag(replica),
        "last_fetch_timestamp": replica.last_fetch.0,
        "last_caught_up_timestamp": replica.last_caught_up.0,
    })
}
