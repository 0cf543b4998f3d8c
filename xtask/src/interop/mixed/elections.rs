//! The quorum: who leads, who follows, who takes over, and that nothing is forgotten.
//!
//! Node 1 is of one kind, nodes 2 and 3 of the other. Who takes over is no chance: only who has
//! everything that is committed can be elected, so whoever shall not lead is dead while something
//! is committed.

use super::company::{Company, IDS};
use super::logs;
use crate::interop::check::{Failure, Outcome};
use crate::interop::tools::{FEATURES, QUORUM, TOPICS, words};

/// The node that is alone of its kind.
const ALONE: i32 = 1;
/// Those of the other kind.
const OTHERS: [i32; 2] = [2, 3];

/// Runs it; all nodes serve afterwards.
///
/// # Errors
/// When a check does not hold.
pub fn run(company: &mut Company<'_>) -> Outcome {
    begin(company)?;
    join(company)?;
    let leader = take_over(company)?;
    come_back(company, leader)?;
    give_back(company)
}

/// The two of one kind begin. Their log is cut behind a snapshot.
fn begin(company: &mut Company<'_>) -> Outcome {
    company.start(&OTHERS)?;
    let (leader, kind) = (company.leader()?, company.kind(OTHERS[0])?);
    let name = format!("two of three controllers, both of {kind}, elect one of them");
    company.checks.same(&name, true, OTHERS.contains(&leader))?;
    create(company, "first")?;
    // Enough to be noted in a snapshot.
    for number in 0..10 {
        company.milena(&format!("topic create noted-{number} -r 2"))?;
        company.milena(&format!("topic delete noted-{number}"))?;
    }
    let data = company.node(leader)?.data.clone();
    let found = |_: &Company<'_>| Ok((!logs::snapshots(&data)?.is_empty()).to_string());
    company.comes(&format!("{kind} notes a snapshot"), true, found)
}

/// The one of the other kind comes, with nothing.
fn join(company: &mut Company<'_>) -> Outcome {
    company.start(&[ALONE])?;
    let (alone, others) = (company.kind(ALONE)?, company.kind(OTHERS[0])?);
    keep_up(company, &format!("a {alone} controller catches up with {others}'s"))?;
    let data = company.node(ALONE)?.data.clone();
    let first = logs::first_offset(&data)?;
    let name = format!("beginning with a snapshot that {others} made");
    company.checks.same(&name, true, first > 0)?;
    know(company, "it knows what was there", "first")?;
    describe(company)
}

/// The leader dies while only the one of the other kind has everything. Gives who led.
fn take_over(company: &mut Company<'_>) -> Outcome<i32> {
    let (alone, others) = (company.kind(ALONE)?, company.kind(OTHERS[0])?);
    let leader = company.leader()?;
    company.checks.same(&format!("{others} leads"), true, OTHERS.contains(&leader))?;
    let follower = OTHERS.into_iter().find(|id| *id != leader);
    let follower = follower.ok_or_else(|| Failure::new("nobody follows"))?;
    company.kill(&[follower])?;
    create(company, "meanwhile")?;
    company.kill(&[leader])?;
    company.start(&[follower])?;
    let name = format!("{alone} takes over from {others}, which was killed");
    company.comes(&name, ALONE, |company| Ok(company.leader()?.to_string()))?;
    know(company, "with what was there before", "first meanwhile")?;
    create(company, "second")?;
    know(company, "what it writes comes to all", "first meanwhile second")?;
    Ok(leader)
}

/// The one that led before comes back.
fn come_back(company: &mut Company<'_>, leader: i32) -> Outcome {
    company.start(&[leader])?;
    let kind = company.kind(leader)?;
    keep_up(company, &format!("{kind}'s killed leader follows"))?;
    know(company, "and knows what came meanwhile", "first meanwhile second")?;
    company.checks.same("nobody else leads", ALONE, company.leader()?)?;
    describe(company)
}

/// The one dies in turn.
fn give_back(company: &mut Company<'_>) -> Outcome {
    let (alone, others) = (company.kind(ALONE)?, company.kind(OTHERS[0])?);
    company.kill(&[ALONE])?;
    let leads = |company: &Company<'_>| Ok(OTHERS.contains(&company.leader()?).to_string());
    let name = format!("{others} takes over from {alone}, which was killed");
    company.comes(&name, true, leads)?;
    create(company, "third")?;
    company.start(&[ALONE])?;
    keep_up(company, &format!("{alone}'s killed leader follows"))?;
    know(company, "all know everything", "first meanwhile second third")
}

/// A topic is made with Kafka's tool, through whoever leads.
fn create(company: &mut Company<'_>, topic: &str) -> Outcome {
    let arguments = ["--create", "--topic", topic, "--partitions", "1", "--replication-factor"];
    let said = company.kafka(TOPICS, &[&arguments[..], &["1"]].concat())?;
    let kind = company.kind(company.leader()?)?;
    let name = format!("a topic is made while {kind} leads");
    company.checks.says(&name, &[&format!("Created topic {topic}.")], &said)
}

/// Every voter that runs has the whole log.
fn keep_up(company: &mut Company<'_>, name: &str) -> Outcome {
    let running = company.running();
    let expected: Vec<String> = running.iter().map(|id| format!("{id}: 0")).collect();
    company.comes(name, expected.join(", "), Company::lags)
}

/// Every broker that runs knows these topics.
fn know(company: &mut Company<'_>, name: &str, topics: &str) -> Outcome {
    company.comes_everywhere(name, topics, Company::topics)
}

/// Kafka's tool shows the quorum the same, whichever broker or controller is asked.
fn describe(company: &mut Company<'_>) -> Outcome {
    let leader = company.leader()?;
    let upgrade = ["upgrade", "--feature", "share.version=1"];
    let said = company.refused(FEATURES, &upgrade)?;
    let name = format!("{} raises no feature that Milena lacks", company.kind(leader)?);
    company.checks.says(&name, &["Could not upgrade share.version to 1."], &said)?;
    for id in IDS {
        let node = company.node(id)?;
        let (kind, broker, controller) = (node.kind, node.address(), node.controller_address());
        for (option, address) in
            [("--bootstrap-server", broker), ("--bootstrap-controller", controller)]
        {
            let whom = [option, address.as_str()];
            let said = company.kafka_at(&whom, QUORUM, &["describe", "--status"], "")?;
            let said = words(&said);
            let name = format!("kafka-metadata-quorum {option} of {kind} (node {id})");
            let expected =
                [&format!("LeaderId: {leader} "), "MaxFollowerLag: ", "CurrentObservers: []"];
            company.checks.says(&name, &expected, &said)?;
        }
        let whom = ["--bootstrap-server", &company.node(id)?.address()];
        let said = company.kafka_at(&whom, QUORUM, &["describe", "--replication"], "")?;
        let roles = ["Leader", "Follower"];
        let rows = said.lines().filter(|line| roles.iter().any(|role| line.contains(role)));
        company.checks.same("shows all replicas", IDS.len(), rows.count())?;
    }
    Ok(())
}
