//! Our own command line, which is our client: against our broker, and against Apache Kafka, whose
//! answers it must read as well.

use std::time::Duration;

use super::check::{Checks, Failure, Outcome};
use super::place::Place;
use super::program::{Program, Words};
use super::server::{Server, Subject};

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(60);
/// How long the program of groups and transactions may take: rebalances wait for heartbeats.
const GROUPS_LIMIT: Duration = Duration::from_secs(400);
/// How long it may take to build it.
const BUILD_LIMIT: Duration = Duration::from_secs(600);
/// Every codec there is.
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// Runs the commands.
///
/// # Errors
/// When one of them does something else.
pub fn run(place: &Place, subject: Subject, checks: &mut Checks) -> Outcome {
    let server = Server::start(place, subject, "client")?;
    let mut session = Session { place, address: server.address(), checks };
    session.topics()?;
    session.records()?;
    session.positions()?;
    session.refusals()?;
    session.groups()?;
    session.transactions()?;
    session.cluster()?;
    session.measurements()?;
    session.deletion()
}

/// Runs groups and transactions of the client, which have no command line.
///
/// # Errors
/// When a check does not hold.
pub fn groups(place: &Place, subject: Subject, checks: &mut Checks) -> Outcome {
    let cargo = || Program::new("cargo", BUILD_LIMIT).inside(&place.root);
    let example = ["--quiet", "-p", "milena-client", "--example", "groups_and_transactions"];
    cargo().arg("build").args(example).out()?;
    let server = Server::start(place, subject, "client-groups")?;
    let program = place.root.join("target/debug/examples/groups_and_transactions");
    Program::new(program, GROUPS_LIMIT).arg(server.address()).checks(checks)
}

struct Session<'s> {
    place: &'s Place,
    address: &'s str,
    checks: &'s mut Checks,
}

impl Session<'_> {
    fn words(&self, line: &str, input: &str) -> Outcome<Words> {
        Program::new(&self.place.binary, LIMIT)
            .args(line.split_whitespace())
            .variable("MILENA_BOOTSTRAP", self.address)
            .words_for(input)
    }

    /// What a command prints; it must end well.
    fn out(&self, line: &str) -> Outcome<String> {
        self.fed(line, "")
    }

    fn fed(&self, line: &str, input: &str) -> Outcome<String> {
        let words = self.words(line, input)?;
        if words.is_success {
            return Ok(words.out);
        }
        Err(Failure::new(format!("milena {line} failed:\n{}", words.shown())))
    }

    /// What a command complains about when it must fail.
    fn refused(&self, line: &str, input: &str) -> Outcome<String> {
        let words = self.words(line, input)?;
        if !words.is_success {
            return Ok(words.err);
        }
        Err(Failure::new(format!("milena {line} did not fail:\n{}", words.shown())))
    }

    fn topics(&mut self) -> Outcome {
        let said = self.out("topic create events -p 3 -c retention.ms=600000")?;
        self.checks.says("a topic is made", &["events", "3 partitions"], &said)?;
        let said = self.out("topic list")?;
        self.checks.says("topics are listed", &["events"], &said)?;
        let said = self.out("topic describe events")?;
        self.checks.says("a topic is described", &["retention.ms", "600000"], &said)?;
        self.out("topic alter events -p 5 --set max.message.bytes=70000 --unset retention.ms")?;
        let said = self.out("topic describe events")?;
        self.checks.says("a topic is altered", &["max.message.bytes", "70000"], &said)?;
        self.checks.same("a key is unset", false, said.contains("600000"))?;
        let said = self.out("topic describe events --json")?;
        self.checks.same("it has more partitions", 5, said.matches("\"leader\"").count())?;
        let said = self.refused("topic create events", "")?;
        self.checks.says("a topic exists", &["--if-not-exists"], &said)
    }

    fn records(&mut self) -> Outcome {
        self.out("topic create records")?;
        for codec in CODECS {
            let line = format!("topic produce records -K : -H codec={codec} -z {codec}");
            self.fed(&line, "k:v\nplain\n")?;
        }
        self.fed("topic produce records -K : -Z --acks leader", ":\n")?;
        let said = self.out("topic consume records -e -Z -f %o|%k|%s|%h\\n")?;
        let mut expected = String::new();
        for (at, codec) in CODECS.iter().enumerate() {
            let first = 2 * at;
            expected += &format!("{first}|k|v|codec={codec}\n");
            expected += &format!("{}|NULL|plain|codec={codec}\n", first + 1);
        }
        expected += "10|NULL|NULL|\n";
        self.checks.same("records come back through every codec", expected, said)?;
        let many: String = (0..20_000).map(|number| format!("{number}\n")).collect();
        for codec in CODECS {
            let name = format!("many-{codec}");
            self.fed(&format!("topic produce {name} -z {codec}"), &many)?;
            let said = self.out(&format!("topic consume {name} -e"))?;
            let name = format!("20,000 records through {codec}");
            self.checks.same(&name, true, said == many)?;
        }
        Ok(())
    }

    fn positions(&mut self) -> Outcome {
        for (position, expected) in [
            ("-o beginning -c 2", "0,1,"),
            ("-o 8 -e", "8,9,10,"),
            ("-o -1 -e", "10,"),
            ("-o s@1 -c 1", "0,"),
            ("-o s@99999999999999 -e", ""),
            ("-o e@1 -o beginning", ""),
        ] {
            let said = self.out(&format!("topic consume records {position} -f %o,"))?;
            self.checks.same(&format!("consume {position}"), expected, said)?;
        }
        let said = self.out("topic trim records --before-time 1 --json")?;
        self.checks.says("nothing is older", &["\"first_offset\": 0"], &said)?;
        self.out("topic trim records --before 9")?;
        let said = self.out("topic consume records -e -f %o,")?;
        self.checks.same("trim removes what is before an offset", "9,10,", said)?;
        let said = self.refused("topic consume records -o 3 -e", "")?;
        self.checks.says("what is gone is told", &["milena topic describe"], &said)?;
        let said = self.out("topic trim records --before-time 99999999999999 --json")?;
        self.checks.says("all are older", &["\"first_offset\": 11"], &said)?;
        self.fed("topic produce records", "one more\n")?;
        let said = self.out("topic trim records --all --json")?;
        self.checks.says("trim removes all", &["\"first_offset\": 12"], &said)
    }

    fn refusals(&mut self) -> Outcome {
        self.out("topic create narrow -c max.message.bytes=1000")?;
        let records = (0..60).map(|number| "x".repeat(if number % 3 == 0 { 2000 } else { 5 }));
        let input: String = records.map(|record| record + "\n").collect();
        let said = self.refused("topic produce narrow", &input)?;
        let expected = ["milena: record 1: ", "40 written, 20 refused"];
        self.checks.says("a record that is too large stops no other", &expected, &said)?;
        let said = self.out("topic consume narrow -e")?;
        self.checks.same("the others are there", 40, said.lines().count())?;
        let said = self.refused("topic consume nowhere", "")?;
        self.checks.says("a topic is missing", &["milena topic list"], &said)
    }

    fn groups(&mut self) -> Outcome {
        self.out("topic create grouped")?;
        self.fed("topic produce grouped", "1\n2\n3\n")?;
        let said = self.out("topic consume grouped --group readers -c 2")?;
        self.checks.same("a group reads what was asked for", "1\n2\n", said)?;
        let said = self.out("topic consume grouped --group readers -e")?;
        self.checks.same("it goes on where it stands", "3\n", said)?;
        let said = self.out("group describe readers")?;
        self.checks.says("it is described", &["readers: Empty", "0 records behind"], &said)?;
        self.out("group seek readers --topic grouped --to 1")?;
        let said = self.out("topic consume grouped --group readers -e")?;
        self.checks.same("it goes on where it was moved to", "2\n3\n", said)?;
        let said = self.out("group delete readers")?;
        self.checks.says("it is forgotten", &["readers deleted"], &said)
    }

    fn transactions(&mut self) -> Outcome {
        let said = self.out("txn list")?;
        self.checks.says("there are no transactions", &["`transactional.id`"], &said)?;
        let said = self.refused("txn describe copier", "")?;
        self.checks.says("a transactional id is missing", &["milena txn list"], &said)?;
        let said = self.out("txn list --hanging --open-for 0")?;
        self.checks.says("no transaction hangs", &["no transaction hangs"], &said)
    }

    fn cluster(&mut self) -> Outcome {
        let said = self.out("cluster info")?;
        let addresses: Vec<&str> = self.address.split(',').collect();
        self.checks.says("the cluster's brokers are told", &addresses, &said)?;
        self.checks.says("and what it can", &["metadata.version"], &said)?;
        let said = self.out("cluster info --json")?;
        self.checks.says("every partition is led", &["\"leaderless_partitions\": 0"], &said)
    }

    fn measurements(&mut self) -> Outcome {
        let said = self.out("bench produce -t load --seconds 0.5 --rate 1000 -p 3 --json")?;
        self.checks.says("bench produce", &["\"failed\": 0"], &said)?;
        let said = self.out("bench produce -t load --seconds 0.2 --prepared 10 --json")?;
        self.checks.says("bench produce --prepared", &["\"failed\": 0"], &said)?;
        let said = self.out("bench consume -t load --seconds 10 --once --json")?;
        self.checks.says("bench consume", &["\"failed\": 0"], &said)?;
        let said = self.out("bench latency -t load --seconds 0.5 --rate 200 --json")?;
        self.checks.says("bench latency", &["\"count\": 100", "\"failed\": 0"], &said)
    }

    fn deletion(&mut self) -> Outcome {
        let said = self.out("topic delete events records")?;
        let expected = ["events deleted", "records deleted"];
        self.checks.says("topics are deleted", &expected, &said)
    }
}
