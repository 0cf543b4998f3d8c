//! A partition with a replica on every node: each kind leads, each follows, each is killed.

use super::company::{Company, IDS, PATIENCE};
use crate::interop::check::{Outcome, awaited};
use crate::interop::records::{CODECS, digest};
use crate::interop::tools::{CONSUMER, ELECTION, PRODUCER, REASSIGNMENT, TOPICS};

/// The topic.
pub const TOPIC: &str = "shared";
/// How many records one client sends at once.
const COUNT: usize = 200;

/// Runs it; all nodes serve afterwards.
///
/// # Errors
/// When a check does not hold.
pub fn run(company: &mut Company<'_>) -> Outcome {
    let arguments = ["--create", "--topic", TOPIC, "--replica-assignment", "1:2:3"];
    let said = company.kafka(TOPICS, &arguments)?;
    company.checks.says("a topic of all nodes is made", &["Created topic shared."], &said)?;
    let mut written = 0;
    for leader in [1, 2] {
        lead(company, TOPIC, leader)?;
        written += fill(company, leader)?;
        in_sync(company, TOPIC, "all replicas are in sync")?;
        read(company, written)?;
    }
    for (leader, follower) in [(1, 2), (2, 1)] {
        written += lose(company, leader, follower)?;
    }
    read(company, written)
}

/// A follower is killed, and then the leader. Gives how many records were written meanwhile.
fn lose(company: &mut Company<'_>, leader: i32, follower: i32) -> Outcome<usize> {
    let (leading, following) = (company.kind(leader)?, company.kind(follower)?);
    lead(company, TOPIC, leader)?;
    company.kill(&[follower])?;
    let mut written = send(company, "ours", "none")?;
    company.checks.pass(&format!("{leading} leads on without its follower of {following}"));
    company.start(&[follower])?;
    in_sync(company, TOPIC, &format!("{following}'s follower is back in sync"))?;
    written += send(company, "Kafka's", "lz4")?;
    company.kill(&[leader])?;
    let name = format!("{following} takes over from {leading}");
    company.comes(&name, follower, |company| company.partition(follower, TOPIC, "leader"))?;
    written += send(company, "Kafka's", "zstd")? + send(company, "ours", "snappy")?;
    company.start(&[leader])?;
    in_sync(company, TOPIC, &format!("{leading}'s leader is back in sync"))?;
    Ok(written)
}

/// Has a node lead the first partition of a topic: it is made the first replica, and elected.
///
/// # Errors
/// When it does not come to that.
pub fn lead(company: &mut Company<'_>, topic: &str, id: i32) -> Outcome {
    let mut order = vec![id.to_string()];
    order.extend(IDS.iter().filter(|other| **other != id).map(i32::to_string));
    let json = format!(
        r#"{{"version":1,"partitions":[{{"topic":"{topic}","partition":0,"replicas":[{}]}}]}}"#,
        order.join(",")
    );
    let file = company.file("reassign.json", &json)?;
    let execute = ["--execute", "--reassignment-json-file", &file];
    company.kafka(REASSIGNMENT, &execute)?;
    let addresses = company.addresses();
    awaited("0", PATIENCE, || {
        Ok(company.told(&addresses, "cluster info", "/reassignments")?.to_string())
    });
    let elect = ["--election-type", "preferred", "--topic", topic, "--partition", "0"];
    company.kafka(ELECTION, &elect)?;
    let name = format!("{topic} is moved to {} (node {id})", company.kind(id)?);
    company.comes_everywhere(&name, id, |company, at| company.partition(at, topic, "leader"))
}

/// All replicas are in the ISR, as every node knows it.
///
/// # Errors
/// When they are not before long.
pub fn in_sync(company: &mut Company<'_>, topic: &str, name: &str) -> Outcome {
    company.comes_everywhere(name, IDS.len(), |company, at| {
        Ok(company.partition(at, topic, "isr")?.split(',').count().to_string())
    })
}

/// Sends records through every codec, with both clients.
fn fill(company: &mut Company<'_>, leader: i32) -> Outcome<usize> {
    let mut written = 0;
    for client in ["Kafka's", "ours"] {
        for codec in CODECS {
            written += send(company, client, codec)?;
        }
    }
    let kind = company.kind(leader)?;
    company.checks.pass(&format!("{kind} takes records in every codec from either client"));
    Ok(written)
}

/// Sends records, each acknowledged by all replicas in sync. Gives how many.
fn send(company: &Company<'_>, client: &str, codec: &str) -> Outcome<usize> {
    let lines: String =
        (0..COUNT).map(|number| format!("{client}-{codec}:value {number}\n")).collect();
    if client == "ours" {
        let line = format!("topic produce {TOPIC} -K : -z {codec} --acks all");
        company.milena_at(&company.addresses(), &line, &lines)?;
    } else {
        let key = ["--reader-property", "parse.key=true", "--reader-property", "key.separator=:"];
        let how =
            ["--topic", TOPIC, "--compression-codec", codec, "--producer-property", "acks=all"];
        company.kafka_for(PRODUCER, &[&how[..], &key].concat(), &lines)?;
    }
    Ok(COUNT)
}

/// Both clients read all records, and the same.
fn read(company: &mut Company<'_>, written: usize) -> Outcome {
    let ours = company.milena(&format!("topic consume {TOPIC} -e -f %o|%k|%s\\n"))?;
    company.checks.same("our client reads all records", written, ours.lines().count())?;
    let which = ["--topic", TOPIC, "--partition", "0", "--offset", "earliest"];
    let count = written.to_string();
    let show = ["print.offset=true", "print.key=true", "key.separator=|"];
    let show: Vec<&str> = show.iter().flat_map(|it| ["--formatter-property", it]).collect();
    let until = ["--max-messages", &count, "--timeout-ms", "20000"];
    let theirs = company.kafka(CONSUMER, &[&which[..], &show, &until].concat())?;
    let theirs: String = theirs
        .lines()
        .filter_map(|line| line.strip_prefix("Offset:"))
        .map(|line| format!("{line}\n"))
        .collect();
    company.checks.same("Kafka's reads the same", digest(&ours), digest(&theirs))
}
