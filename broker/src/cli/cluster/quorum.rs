//! The metadata quorum as people and machines read it.

use std::io::Write;
use std::time::Duration;

use milena_client::admin::{QuorumReplica, QuorumStatus};
use serde_json::{Value, json};

use crate::cli::output::{CliError, shown_count};
use crate::cli::table::Table;

/// A voter that had not everything for so long is behind.
const BEHIND: Duration = Duration::from_secs(5);

/// How many records a replica of the metadata log is behind.
pub fn lag(quorum: &QuorumStatus, replica: &QuorumReplica) -> i64 {
    let ends = quorum.voters.iter().chain(&quorum.observers).map(|one| one.log_end_offset.0);
    ends.max().unwrap_or(0) - replica.log_end_offset.0.max(0)
}

/// The voters that did not have everything lately, as the leader sees it.
pub fn behind(quorum: &QuorumStatus) -> Vec<&QuorumReplica> {
    let leader = quorum.voters.iter().find(|voter| voter.node_id == quorum.leader_id);
    // The leader has everything at the moment it is asked.
    let now = leader.map_or(-1, |leader| leader.last_caught_up.0);
    let is_behind = |voter: &&QuorumReplica| {
        let since = now.saturating_sub(voter.last_caught_up.0);
        voter.last_caught_up.0 < 0 || since > BEHIND.as_millis() as i64
    };
    let others = quorum.voters.iter().filter(|voter| voter.node_id != quorum.leader_id);
    others.filter(is_behind).collect()
}

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
            shown_count(lag(quorum, replica)),
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
        "lag": lag(quorum, replica),
        "last_fetch_timestamp": replica.last_fetch.0,
        "last_caught_up_timestamp": replica.last_caught_up.0,
    })
}
