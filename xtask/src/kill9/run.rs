//! The command: a broker that is killed, a client that goes on, and the reckoning.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use super::history::{Said, Verdict};
use super::moments::{Moment, Moments};
use crate::interop::check::{Failure, Outcome};
use crate::interop::milena::Milena;
use crate::interop::packages;
use crate::interop::place::Place;
use crate::interop::program::Program;

/// How the command is called.
const USAGE: &str = "usage: cargo xtask kill9 [--rounds N] [--seed S] [--client librdkafka|java]…";
/// The topic that the clients write to.
const TOPIC: &str = "kept";
/// How long the client may take to begin, and kcat to read a partition.
const LIMIT: Duration = Duration::from_secs(120);

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Librdkafka,
    Java,
}

struct Request {
    rounds: usize,
    seed: u64,
    senders: Vec<Sender>,
}

/// Runs `cargo xtask kill9` with its arguments.
///
/// # Errors
/// When anything acknowledged is lost, doubled or out of order, or cannot be tried.
pub fn command(root: &Path, arguments: &[String]) -> Outcome {
    let request = Request::parse(arguments)?;
    let place = Place::of(root)?;
    packages::kcat()?;
    for sender in &request.senders {
        let name = sender.name();
        println!("{} kills under {name}, seed {}", request.rounds, request.seed);
        let (verdict, complaints) = run(&place, *sender, &request)?;
        complaints.iter().take(20).for_each(|complaint| eprintln!("{complaint}"));
        let starts = Moments::of(request.seed)
            .take(request.rounds)
            .filter(|moment| matches!(moment, Moment::Starting(_)))
            .count();
        println!("{name}: {} kills, {starts} of them during a start; {verdict}", request.rounds);
        if !verdict.is_good() || !complaints.is_empty() || verdict.acknowledged == 0 {
            return Err(Failure::new(format!(
                "failed under {name}: {verdict}, {} complaints of the client",
                complaints.len()
            )));
        }
    }
    Ok(())
}

impl Sender {
    fn name(self) -> &'static str {
        match self {
            Self::Librdkafka => "librdkafka",
            Self::Java => "java",
        }
    }

    fn program(self, place: &Place) -> Outcome<Command> {
        Ok(match self {
            Self::Librdkafka => {
                let mut command = Command::new(packages::python(place)?);
                command.arg(place.sources("kill9").join("librdkafka.py"));
                command
            }
            Self::Java => {
                let mut command = Command::new("java");
                command.args(["-cp", &packages::java_classes(place, "kill9")?, "Idempotent"]);
                command
            }
        })
    }
}

impl Request {
    fn parse(arguments: &[String]) -> Outcome<Self> {
        let wrong = || Failure::new(USAGE);
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let mut request = Self {
            rounds: 10,
            seed: clock.map_or(1, |since| u64::from(since.subsec_nanos())),
            senders: Vec::new(),
        };
        let mut arguments = arguments.iter().map(String::as_str);
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(wrong)?;
            match (name, value) {
                ("--rounds", count) => request.rounds = count.parse().map_err(|_| wrong())?,
                ("--seed", seed) => request.seed = seed.parse().map_err(|_| wrong())?,
                ("--client", "librdkafka") => request.senders.push(Sender::Librdkafka),
                ("--client", "java") => request.senders.push(Sender::Java),
                _ => return Err(wrong()),
            }
        }
        if request.senders.is_empty() {
            request.senders = vec![Sender::Librdkafka, Sender::Java];
        }
        Ok(request)
    }
}

/// Kills the broker under a client; gives what became of its records and what it complained of.
fn run(place: &Place, sender: Sender, request: &Request) -> Outcome<(Verdict, Vec<String>)> {
    let scratch = place.scratch("kill9")?;
    let data = scratch.path().join("data");
    let mut broker = Milena::start(place, &data, 0, &[])?;
    let address = broker.address.clone();
    let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
    let port = port.ok_or_else(|| Failure::new(format!("no port in {address}")))?;
    let client = Client::start(sender.program(place)?.arg(&address))?;
    for moment in Moments::of(request.seed).take(request.rounds) {
        match moment {
            Moment::Serving(time) => {
                std::thread::sleep(time);
                broker.kill()?;
            }
            Moment::Starting(time) => {
                // The one that serves makes room, so that there is a start to be hit.
                broker.kill()?;
                let starting = Milena::spawn(place, &data, port, &[])?;
                std::thread::sleep(time);
                starting.kill()?;
            }
        }
        broker = Milena::start(place, &data, port, &[])?;
    }
    let said = client.end()?;
    let mut verdict = Verdict::default();
    for partition in said.partitions() {
        verdict = verdict.and(said.judge(partition, &records(&address, partition)?));
    }
    broker.kill()?;
    Ok((verdict, said.complaints))
}

/// Offsets and numbers of a partition, as kcat reads them.
fn records(address: &str, partition: u32) -> Outcome<Vec<(u64, u64)>> {
    let text = Program::new("kcat", LIMIT)
        .args(["-C", "-b", address, "-t", TOPIC, "-p", &partition.to_string()])
        .args(["-o", "beginning", "-e", "-q", "-f", "%o %s\n"])
        .out()?;
    text.lines()
        .map(|line| {
            let (offset, number) = line.split_once(' ')?;
            Some((offset.parse().ok()?, number.parse().ok()?))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| Failure::new(format!("partition {partition} holds what nobody sent")))
}

/// A running client.
struct Client {
    child: Child,
    input: Option<ChildStdin>,
    listener: JoinHandle<Said>,
}

impl Client {
    /// Starts it and waits until its first record was acknowledged.
    fn start(command: &mut Command) -> Outcome<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Failure::while_doing("cannot run the client"))?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or_else(|| Failure::new("the client has no output"))?;
        let (begun, has_begun) = mpsc::channel();
        let listener = std::thread::spawn(move || {
            let mut said = Said::default();
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if line == "ready" {
                    // Nobody listens any more if the client took too long.
                    let _ = begun.send(());
                } else {
                    said.take_line(&line);
                }
            }
            said
        });
        let client = Self { child, input, listener };
        client.wait_until_ready(&has_begun)
    }

    fn wait_until_ready(mut self, has_begun: &Receiver<()>) -> Outcome<Self> {
        if has_begun.recv_timeout(LIMIT).is_ok() {
            return Ok(self);
        }
        // It may have ended already.
        let _ = self.child.kill();
        Err(Failure::new("the client did not get its first record acknowledged"))
    }

    /// Lets it finish what it has begun, and gives what it said.
    fn end(mut self) -> Outcome<Said> {
        drop(self.input.take());
        let status = self.child.wait().map_err(Failure::while_doing("cannot wait for it"))?;
        let mut said =
            self.listener.join().map_err(|_| Failure::new("cannot listen to the client"))?;
        if !status.success() {
            said.complaints.push(format!("the client ended with {status}"));
        }
        Ok(said)
    }
}
