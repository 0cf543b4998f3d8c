//! Groups whose coordinator is of one kind and then of the other: handed over, and killed.

use std::process::{Child, Stdio};

use super::company::Company;
use super::partitions::{in_sync, lead};
use crate::interop::check::{Failure, Outcome};
use crate::interop::tools::{CONSUMER, PRODUCER, TOPICS};

/// The topic that groups read.
const TOPIC: &str = "grouped";
/// The topic whose leader coordinates all groups.
const OFFSETS: &str = "__consumer_offsets";
/// The protocols of groups.
const PROTOCOLS: [&str; 2] = ["classic", "consumer"];
/// How many records are sent at once.
const COUNT: usize = 50;

/// Runs it; all nodes serve afterwards.
///
/// # Errors
/// When a check does not hold.
pub fn run(company: &mut Company<'_>) -> Outcome {
    company.kafka(TOPICS, &["--create", "--topic", TOPIC, "--replica-assignment", "3:1:2"])?;
    let mut groups = Groups { company, sent: 0 };
    groups.send()?;
    groups.company.milena(&format!("topic consume {TOPIC} --group first -e"))?;
    for (from, to) in [(1, 2), (2, 1)] {
        groups.moved(from, to)?;
    }
    Ok(())
}

struct Groups<'g, 'c> {
    company: &'g mut Company<'c>,
    /// How many records there are.
    sent: usize,
}

/// A member of a group; killed when it is dropped.
struct Member {
    group: String,
    process: Child,
}

impl Drop for Member {
    fn drop(&mut self) {
        // It may have ended by itself, which the checks tell.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Groups<'_, '_> {
    /// Groups at work, while their coordinator is handed over from one node to another, and that
    /// is killed.
    fn moved(&mut self, from: i32, to: i32) -> Outcome {
        let (old, new) = (self.company.kind(from)?, self.company.kind(to)?);
        lead(self.company, OFFSETS, from)?;
        let members: Vec<Member> = PROTOCOLS
            .iter()
            .map(|protocol| self.member(&format!("{protocol}-{from}"), protocol))
            .collect::<Outcome<_>>()?;
        self.are_read(&members, from, &format!("{old} coordinates"))?;
        lead(self.company, OFFSETS, to)?;
        self.are_read(&members, to, &format!("{new} goes on with what {old} coordinated"))?;
        self.company.kill(&[to])?;
        self.are_read(&members, from, &format!("{old} takes over from {new}, which was killed"))?;
        self.company.start(&[to])?;
        in_sync(self.company, OFFSETS, &format!("{new} knows of groups again"))?;
        let groups: Vec<String> = members.iter().map(|member| member.group.clone()).collect();
        drop(members);
        self.send()?;
        groups.iter().try_for_each(|group| self.is_left(group))
    }

    fn member(&self, group: &str, protocol: &str) -> Outcome<Member> {
        let process = self
            .company
            .tools
            .service(CONSUMER)
            .args(["--bootstrap-server", &self.company.addresses()])
            .args(["--topic", TOPIC, "--group", group, "--from-beginning"])
            .args(["--command-property", &format!("group.protocol={protocol}")])
            .args(["--command-property", "auto.commit.interval.ms=200"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(Failure::while_doing("cannot run java"))?;
        Ok(Member { group: group.to_owned(), process })
    }

    /// Sends records, with Kafka's producer.
    fn send(&mut self) -> Outcome {
        let lines: String = (0..COUNT).map(|number| format!("value {number}\n")).collect();
        self.company.kafka_for(PRODUCER, &["--topic", TOPIC], &lines)?;
        self.sent += COUNT;
        Ok(())
    }

    /// What is sent is read and committed by every group, at this coordinator.
    fn are_read(&mut self, members: &[Member], coordinator: i32, name: &str) -> Outcome {
        self.send()?;
        for Member { group, .. } in members {
            let expected = format!("Stable at {coordinator}, {} committed", self.sent);
            let name = format!("{name} (a {group} group)");
            self.company.comes(&name, expected, |company| state(company, group))?;
        }
        Ok(())
    }

    /// Our client goes on where a group stands whose member is dead.
    fn is_left(&mut self, group: &str) -> Outcome {
        let empty = |company: &Company<'_>| {
            let told =
                company.told(&company.addresses(), &format!("group describe {group}"), "")?;
            Ok(told["state"].as_str().unwrap_or("nothing").to_owned())
        };
        self.company.comes(&format!("a dead member leaves (a {group} group)"), "Empty", empty)?;
        let read = self.company.milena(&format!("topic consume {TOPIC} --group {group} -e"))?;
        let name = format!("our client goes on where it was (a {group} group)");
        self.company.checks.same(&name, COUNT, read.lines().count())
    }
}

fn state(company: &Company<'_>, group: &str) -> Outcome<String> {
    let told = company.told(&company.addresses(), &format!("group describe {group}"), "")?;
    let (state, coordinator) = (told["state"].as_str().unwrap_or("nothing"), &told["coordinator"]);
    Ok(format!("{state} at {coordinator}, {} committed", told["partitions"][0]["committed"]))
}
