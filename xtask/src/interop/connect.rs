//! Kafka Connect: lines of a file go through a topic into another file.
//!
//! Standalone, where offsets of the source are in a file, and distributed, where connectors, their
//! offsets and their states are in three compacted topics, workers are members of a group of
//! Connect's own protocol, and the source writes in transactions.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use super::check::{Checks, Failure, Outcome};
use super::kafka::{self, Tools, free_port};
use super::place::Place;
use super::program::Program;
use super::server::{Server, Subject};

/// How long something may take to come: a worker starts, or the group waits for a dead one.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a worker may take for an answer.
const ANSWER: Duration = Duration::from_secs(20);
/// How many lines are written at a time.
const LINES: usize = 2000;
/// The topic that they go through.
const TOPIC: &str = "lines";
/// What both kinds of workers are told.
const WORKER: &str = "\
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
offset.flush.interval.ms=500
";
/// What those of a group are told as well; there is one broker, so topics have one replica.
const DISTRIBUTED: &str = "\
group.id=connect
config.storage.topic=connect-configs
offset.storage.topic=connect-offsets
status.storage.topic=connect-status
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
offset.storage.partitions=3
status.storage.partitions=3
exactly.once.source.support=enabled
session.timeout.ms=6000
heartbeat.interval.ms=500
scheduled.rebalance.max.delay.ms=500
";

/// A worker that keeps what it must in a file.
///
/// # Errors
/// When a check does not hold.
pub fn standalone(place: &Place, subject: Subject, checks: &mut Checks) -> Outcome {
    let tools = Tools::install(place)?;
    let server = Server::start(place, subject, "connect")?;
    let scratch = place.scratch("connect-files")?;
    let mut files = Files::at(scratch.path());
    let offsets = files.named("offsets");
    let own = format!("{WORKER}offset.storage.file.filename={}\n", offsets.display());
    let connectors = [files.source(), files.sink()].map(|connector| connector.properties());
    let start = |name: &str| {
        Worker::start(&tools, server.address(), scratch.path(), name, &own, &connectors)
    };
    let worker = start("first")?;
    files.write()?;
    checks.comes("lines go through a topic into a file", files.all(), PATIENCE, || files.read())?;
    files.write()?;
    checks.comes("so do those that follow", files.all(), PATIENCE, || files.read())?;
    worker.stop()?;
    files.write()?;
    let worker = start("second")?;
    checks.comes("a worker goes on where it stopped", files.all(), PATIENCE, || files.read())?;
    checks.comes("with its connectors", RUNNING, PATIENCE, || worker.states())
}

/// Workers of a group.
///
/// # Errors
/// When a check does not hold.
pub fn distributed(place: &Place, subject: Subject, checks: &mut Checks) -> Outcome {
    let tools = Tools::install(place)?;
    let server = Server::start(place, subject, "connect")?;
    let scratch = place.scratch("connect-files")?;
    let mut files = Files::at(scratch.path());
    let own = format!("{WORKER}{DISTRIBUTED}");
    let start =
        |name: &str| Worker::start(&tools, server.address(), scratch.path(), name, &own, &[]);
    let first = start("first")?;
    checks.comes("a worker has no connectors", "[]", PATIENCE, || first.ask("connectors"))?;
    first.put(&files.source())?;
    first.put(&files.sink())?;
    checks.comes("connectors run", RUNNING, PATIENCE, || first.states())?;
    files.write()?;
    checks.comes("lines go through a topic into a file", files.all(), PATIENCE, || files.read())?;
    for topic in ["connect-configs", "connect-offsets", "connect-status"] {
        let said = tools
            .tool("org.apache.kafka.tools.TopicCommand")
            .args(["--bootstrap-server", server.address(), "--describe", "--topic", topic])
            .out()?;
        checks.says(&format!("{topic} is compacted"), &["cleanup.policy=compact"], &said)?;
    }
    first.stop()?;
    files.write()?;

    let second = start("second")?;
    checks.comes("another worker finds the connectors", RUNNING, PATIENCE, || second.states())?;
    checks.comes("and goes on", files.all(), PATIENCE, || files.read())?;

    let third = start("third")?;
    checks.comes("two workers share", "2 workers", PATIENCE, || third.sharing())?;
    files.write()?;
    checks.comes("and go on", files.all(), PATIENCE, || files.read())?;
    drop(second);
    checks.comes("who stays takes over", "1 workers", PATIENCE, || third.sharing())?;
    checks.comes("with all connectors", RUNNING, PATIENCE, || third.states())?;
    files.write()?;
    // A sink's worker that was killed may have written what it had not committed yet.
    checks.comes("nothing is lost", files.all(), PATIENCE, || files.read_once())?;
    let said = tools
        .tool("org.apache.kafka.tools.consumer.ConsoleConsumer")
        .args(["--bootstrap-server", server.address(), "--topic", TOPIC])
        .args(["--partition", "0", "--offset", "earliest"])
        .args(["--isolation-level", "read_committed", "--timeout-ms", "3000"])
        .out()?;
    checks.same("and the source's transactions doubled nothing", files.all(), said)?;

    third.delete("source")?;
    checks.comes("a connector is deleted", "[\"sink\"]", PATIENCE, || third.ask("connectors"))
}

/// What [`Worker::states`] says when all is well: two connectors, each with its task.
const RUNNING: &str = "source: RUNNING RUNNING, sink: RUNNING RUNNING";

/// A connector and its settings, one to a line.
struct Connector {
    name: &'static str,
    settings: String,
}

impl Connector {
    fn properties(&self) -> (String, String) {
        (self.name.to_owned(), format!("name={}\n{}", self.name, self.settings))
    }

    fn json(&self) -> String {
        let pairs: Vec<String> = self
            .settings
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| format!("{key:?}: {value:?}"))
            .collect();
        format!("{{{}}}", pairs.join(", "))
    }
}

/// The file that is read and the one that is written.
struct Files {
    directory: PathBuf,
    lines: usize,
}

impl Files {
    fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), lines: 0 }
    }

    fn named(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn source(&self) -> Connector {
        let file = self.named("input");
        let settings = format!(
            "connector.class=FileStreamSource\ntasks.max=1\nfile={}\ntopic={TOPIC}\n",
            file.display()
        );
        Connector { name: "source", settings }
    }

    fn sink(&self) -> Connector {
        let file = self.named("output");
        let settings = format!(
            "connector.class=FileStreamSink\ntasks.max=1\nfile={}\ntopics={TOPIC}\n",
            file.display()
        );
        Connector { name: "sink", settings }
    }

    /// Everything that was written.
    fn all(&self) -> String {
        (0..self.lines).map(|number| format!("line {number}\n")).collect()
    }

    /// Writes some more.
    fn write(&mut self) -> Outcome {
        let from = self.all().len();
        self.lines += LINES;
        File::options()
            .create(true)
            .append(true)
            .open(self.named("input"))
            .and_then(|mut file| file.write_all(&self.all().as_bytes()[from..]))
            .map_err(Failure::while_doing("cannot write the source's file"))
    }

    /// What came out.
    fn read(&self) -> Outcome<String> {
        fs::read_to_string(self.named("output"))
            .map_err(Failure::while_doing("cannot read the sink's file"))
    }

    /// The same without repetitions.
    fn read_once(&self) -> Outcome<String> {
        let text = self.read()?;
        let mut seen = std::collections::BTreeSet::new();
        Ok(text.split_inclusive('\n').filter(|line| seen.insert(*line)).collect())
    }
}

/// A process of Connect; killed when it is dropped.
struct Worker {
    child: Child,
    address: String,
}

impl Worker {
    /// Starts one: with connectors it stands alone.
    fn start(
        tools: &Tools,
        broker: &str,
        directory: &Path,
        name: &str,
        own: &str,
        connectors: &[(String, String)],
    ) -> Outcome<Self> {
        let address = format!("http://127.0.0.1:{}", free_port()?);
        let class = if connectors.is_empty() { "ConnectDistributed" } else { "ConnectStandalone" };
        let mut command = tools.service(&format!("org.apache.kafka.connect.cli.{class}"));
        let worker = format!("bootstrap.servers={broker}\nlisteners={address}\n{own}");
        let files = std::iter::once((name.to_owned(), worker)).chain(connectors.iter().cloned());
        for (name, text) in files {
            let file = directory.join(name).with_extension("properties");
            fs::write(&file, text).map_err(Failure::while_doing("cannot write settings"))?;
            command.arg(file);
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.map_err(Failure::while_doing("cannot run java"))?;
        Ok(Self { child, address })
    }

    /// What it answers.
    fn ask(&self, path: &str) -> Outcome<String> {
        self.curl(&[], path)
    }

    fn curl(&self, how: &[&str], path: &str) -> Outcome<String> {
        Program::new("curl", ANSWER)
            .args(["--silent", "--show-error", "--fail-with-body"])
            .args(how)
            .arg(format!("{}/{path}", self.address))
            .out()
    }

    fn put(&self, connector: &Connector) -> Outcome<String> {
        let json = connector.json();
        let how = ["-X", "PUT", "-H", "Content-Type: application/json", "-d", &json];
        self.curl(&how, &format!("connectors/{}/config", connector.name))
    }

    fn delete(&self, connector: &str) -> Outcome<String> {
        self.curl(&["-X", "DELETE"], &format!("connectors/{connector}"))
    }

    /// The states of both connectors, each with those of its tasks, and why one failed.
    fn states(&self) -> Outcome<String> {
        let mut all = Vec::new();
        for name in ["source", "sink"] {
            let said = self.ask(&format!("connectors/{name}/status"))?;
            let mut states = values(&said, "state");
            states.extend(values(&said, "trace"));
            all.push(format!("{name}: {}", states.join(" ")));
        }
        Ok(all.join(", "))
    }

    /// How many workers there are that have a task, and it runs.
    fn sharing(&self) -> Outcome<String> {
        let mut workers = std::collections::BTreeSet::new();
        for name in ["source", "sink"] {
            let said = self.ask(&format!("connectors/{name}/tasks/0/status"))?;
            if values(&said, "state") != ["RUNNING"] {
                return Ok(said);
            }
            workers.extend(values(&said, "worker_id").into_iter().map(str::to_owned));
        }
        Ok(format!("{} workers", workers.len()))
    }

    /// Stops it in order, so that it commits what it has done.
    fn stop(mut self) -> Outcome {
        kafka::stop(&mut self.child, "a worker of Connect")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have been stopped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The texts that stand under a key of an answer.
fn values<'t>(json: &'t str, key: &str) -> Vec<&'t str> {
    json.split(&format!("\"{key}\":\"")).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}
